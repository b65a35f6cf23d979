"""The one error a command turns into a line and exit code 2.

The library raises ValueError and TypeError for a wrong argument, as Python
does everywhere.  `UserError` is the narrower kind: something outside the
program (a path, a file, a device, a command-line value) is not as it should
be.  Its message is one line that names the value, the place and the fix;
commands print it without a traceback, and nothing else is hidden that way.

Names come from outside too, and may hold line breaks or a terminal's control sequences:
`printable` takes the harm out of them.
"""

LONGEST = 1000  # characters of a name, and of a message that repeats what was typed


class UserError(ValueError):
    """Bad input from outside the program.  The message is one printable line."""

    def __init__(self, message):
        super().__init__(printable(message))


class RunFailed(RuntimeError):
    """A training run cannot go on.  The message is one printable line; commands exit with 1."""

    def __init__(self, message):
        super().__init__(printable(message))


def printable(value):
    """The text of a value as one line, with an escape such as \\x1b for what is no character."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(value)
    )


def shortened(line):
    """A line without its middle, where it is longer than LONGEST: a long name fills no terminal."""
    half = LONGEST // 2
    return line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}"


def check_setting(owner, name, value, low, high, open_low=False):
    """Raise ValueError unless low <= value < high (low < value where open_low)."""
    if not (low < value if open_low else low <= value) or not value < high:
        bracket = "(" if open_low else "["
        raise ValueError(
            f"{type(owner).__name__}: {name}={value!r} is outside {bracket}{low}, {high})"
        )
