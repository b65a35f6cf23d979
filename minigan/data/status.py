"""Words on standard error, for whoever sits at the terminal: what was found, how far work is.

Where they cannot be written (a full disk, a pipe without a reader), the work goes on without.
"""

import contextlib
import sys

from ..errors import printable


def say(line):
    """Print a line of its own."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(printable(line), file=sys.stderr)


def few(words, most=5):
    """The first few of many words, and how many more there are."""
    words = list(words)
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return printable(", ".join(words[:most]) + more)


class StatusLine:
    """One line on a terminal, rewritten as work goes on and wiped at the end; else nothing.

    with StatusLine() as status:
        status.show("1 of 3")
    """

    def __init__(self):
        self.line = ""
        self.wanted = sys.stderr is not None and sys.stderr.isatty()

    def show(self, line):
        if self.wanted and line != self.line:
            self._write(line)

    def _write(self, line):
        with contextlib.suppress(OSError):
            print("\r" + line.ljust(len(self.line)), end="", file=sys.stderr, flush=True)
        self.line = line

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.line:
            self._write("")
            with contextlib.suppress(OSError):
                print("\r", end="", file=sys.stderr, flush=True)
