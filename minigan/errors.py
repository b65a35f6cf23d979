"""The one error a command turns into a line and exit code 2.

The library raises ValueError and TypeError for a wrong argument, as Python
does everywhere.  `UserError` is the narrower kind: something outside the
program (a path, a file, a device, a command-line value) is not as it should
be.  Its message is one line that names the value, the place and the fix;
commands print it without a traceback, and nothing else is hidden that way.

Names come from outside too, and may hold line breaks or a terminal's control sequences:
`printable` takes the harm out of them.
"""

import contextlib

LONGEST = 1000  # characters of a message


class OneLine:
    """An exception whose message is one printable line, and says what there is to say.

    Of one that is too long, since it repeats what somebody typed, the middle is left out.  A
    notebook shows it alone, without the calls that led there.
    """

    def __init__(self, message):
        line = printable(message)
        if len(line) > LONGEST:
            line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
        super().__init__(line)

    def _render_traceback_(self):
        """What IPython shows of it, a list of lines."""
        return [f"{type(self).__name__}: {self}"]


class UserError(OneLine, ValueError):
    """Bad input from outside the program."""


class RunFailed(OneLine, RuntimeError):
    """A training run cannot go on; commands exit with 1."""


class Interrupted(OneLine, KeyboardInterrupt):
    """Somebody at a prompt has interrupted a training run, which has saved."""


@contextlib.contextmanager
def writing(path):
    """Turn a failure to write to `path` within the block into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def printable(value):
    """The text of a value as one line, with an escape such as \\x1b for what is no character."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(value)
    )


def check_setting(owner, name, value, low, high, open_low=False):
    """Raise ValueError unless low <= value < high (low < value where open_low)."""
    if not (low < value if open_low else low <= value) or not value < high:
        bracket = "(" if open_low else "["
        raise ValueError(
            f"{type(owner).__name__}: {name}={value!r} is outside {bracket}{low}, {high})"
        )
