"""The one error a command turns into a line and exit code 2.

The library raises ValueError and TypeError for a wrong argument, as Python
does everywhere.  `UserError` is the narrower kind: something outside the
program (a path, a file, a device, a command-line value) is not as it should
be.  Its message is one line that names the value, the place and the fix;
commands print it without a traceback, and nothing else is hidden that way.
"""


class UserError(ValueError):
    """Bad input from outside the program.  The message is one line."""


class RunFailed(RuntimeError):
    """A training run cannot go on.  The message is one line; commands exit with 1."""
