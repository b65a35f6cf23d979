"""The report: a line for each check, and below it what is wrong."""

import textwrap

import numpy as np

from .check import FLOAT32_TOLERANCE, PLAIN_TOLERANCE, SECOND_ORDER_TOLERANCE, TOLERANCE

WIDEST = 60  # of the titles; longer ones are cut
FORM = "{:<7}  {:<{width}}  {:<5}  {:>7}  {:>10}  {:>9}  {:>7}  {:>8}  {}"


class Table:
    """Lines of text of equal columns.  cases: all that will come, for the width of their titles."""

    def __init__(self, cases):
        self.width = min(max((len(case.title) for case in cases), default=0), WIDEST)

    @property
    def head(self):
        """Two lines: what the columns are, and the tolerances."""
        return "\n".join((
            self._line("verdict", "layer, loss or step", "mode", "input", "parameters",
                       "2nd order", "float32", "vs plain", "contract"),
            self._line("", "", "limit", f"{TOLERANCE:.0e}", f"{TOLERANCE:.0e}",
                       f"{SECOND_ORDER_TOLERANCE:.0e}", f"{FLOAT32_TOLERANCE:.0e}",
                       f"{PLAIN_TOLERANCE:.0e}", "kept"),
        ))  # fmt: skip

    def row(self, check):
        """The line of a check, each column its largest error, and lines with its notes."""
        params = [error for name, error in check.errors.items() if name != "input"]
        contract = "" if check.broken is None else "BROKEN" if check.broken else "kept"
        line = self._line(
            "ok" if check.ok else "FAILED",
            textwrap.shorten(check.title, WIDEST, placeholder=" ..."),
            check.mode, _largest(v for k, v in check.errors.items() if k == "input"),
            _largest(params), _largest(check.second.values()), _largest(check.float32.values()),
            _largest(check.plain.values()), contract,
        )  # fmt: skip
        return "\n".join([line, *("         " + note for note in check.notes)])

    def _line(self, *cells):
        return FORM.format(*cells, width=self.width).rstrip()


def _largest(errors):
    errors = list(errors)
    return f"{np.max(errors):.0e}" if errors else ""  # NaN where one is
