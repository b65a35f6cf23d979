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


def check_setting(owner, name, value, low, high, open_low=False):
    """Raise ValueError unless low <= value < high (low < value where open_low)."""
    if not (low < value if open_low else low <= value) or not value < high:
        bracket = "(" if open_low else "["
        raise ValueError(
            f"{type(owner).__name__}: {name}={value!r} is outside {bracket}{low}, {high})"
        )
