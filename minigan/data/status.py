"""How far a long piece of work is, for whoever sits at the terminal."""

import sys


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
        print("\r" + line.ljust(len(self.line)), end="", file=sys.stderr, flush=True)
        self.line = line

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.line:
            self._write("")
            print("\r", end="", file=sys.stderr, flush=True)
