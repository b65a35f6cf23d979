"""history.csv: what a run measured, one row a step.

    step,epoch,d_loss,g_loss,d_real,d_fake
    1,1,0.6931472,0.7012345,0.5,0.49

What is measured every few steps only is nan in between, and its column comes with its first value.
Plain text on purpose: it can be followed while the run goes on, and it opens
everywhere.  A killed run loses at most the rows not yet flushed and a torn last
line; a checkpoint has the rows up to its step too, and on resume they are the file again.
"""

import contextlib
import itertools
import os
from pathlib import Path

import numpy as np

from ..atomic import replacing
from ..errors import UserError
from ..regular import open_regular

BUFFERED_ROWS = 1000
BEGINNING = b"step,epoch"  # of every history

# How people write what a column holds; other columns go by their own name.
NORMS = {"norm_dfake": "|dfake|", "norm_dG": "|dG|", "norm_dD": "|dD|"}
MEASURED = {*NORMS, "variety"}  # of every run, by every loss
LABELS = {"d_real": "D(x)", "d_fake": "D(G(z))"} | NORMS


class History:
    """The history file of a run, open for appending.

    path: the CSV file; one that is there is continued, else a new one is begun.
    names: the columns after step and epoch, as of now; those of the file go before them.

    Raises UserError if the file that is there is no history, ValueError for
    names that a CSV cannot hold, OSError if the file cannot be written.
    """

    def __init__(self, path, names):
        self.path = Path(path)
        self.names = self._given = tuple(names)
        columns = ("step", "epoch", *self.names)
        if len(set(columns)) < len(columns) or any(set(name) & set(',"\r\n') for name in columns):
            raise ValueError(f"history columns must differ and need no quotes, got {columns}")
        self._rows = []  # lines not yet in the file
        if self.path.exists():
            self._continue()
        else:
            self._begin()

    @property
    def _header(self):
        return ",".join(["step", "epoch", *self.names])

    def add_columns(self, names):
        """Add those of the columns that are not there yet, nan in all rows so far, atomically."""
        new = tuple(name for name in names if name not in self.names)
        if not new:
            return
        _, rows = _lines(self.content(), self.path)
        self.names += new
        self._rewrite(row + ",nan" * len(new) for row in rows)

    def append(self, step, epoch, values):
        """Add one row.

        step, epoch: integers.
        values: mapping name -> float; a column that is not in it becomes nan.

        Each number is written with the fewest digits that read back as the same
        number of its own type, float32 or float64.  Raises ValueError for a name
        that is not a column.
        """
        unknown = values.keys() - set(self.names)
        if unknown:
            raise ValueError(f"no column {sorted(unknown)} in the history; it has {self._header}")
        numbers = [_shortest(values.get(name, np.nan)) for name in self.names]
        self._rows.append(",".join([str(step), str(epoch), *numbers]) + "\n")
        if len(self._rows) >= BUFFERED_ROWS:
            self.flush()

    def flush(self):
        """Write the buffered rows: all of them or, if it raises OSError, none."""
        if not self._rows:
            return
        if not self.path.exists():  # deleted under a running run: no reason to stop it
            self._begin()
        size = self.path.stat().st_size
        try:
            with open(self.path, "ab") as file:
                file.write("".join(self._rows).encode())
                file.flush()
                os.fsync(file.fileno())  # a checkpoint that outlives a power cut needs them
        except OSError:
            os.truncate(self.path, size)
            raise
        self._rows.clear()

    def truncate(self, after_step):
        """Drop every row whose step is greater than `after_step`, atomically.

        Where none is left, the columns are those that were given.
        """
        self.flush()
        keep = self.columns()["step"] <= after_step
        _, rows = _lines(self.path.read_bytes(), self.path)
        if not keep.any():
            self.names = self._given
        self._rewrite(itertools.compress(rows, keep))

    def columns(self):
        """All rows, the buffered ones included, as `read` returns them."""
        return self.parse(self.content(), self.path)

    def content(self):
        """The bytes of the file, the buffered rows included."""
        self.flush()
        return self.path.read_bytes()

    @staticmethod
    def read(path):
        """Read a history file: {"step": (T,) int64, "epoch": (T,) int64, name: (T,) float64}.

        A torn last line is left out.  Raises UserError if the file is not a
        history, OSError if it cannot be read.
        """
        with open_regular(path) as file:
            return History.parse(file.read(), path)

    @staticmethod
    def parse(content, path):
        """As `read`, of the bytes that are or were in the file."""
        header, rows = _lines(content, path)
        names = header.split(",")
        if names[:2] != ["step", "epoch"]:
            raise UserError(f"{path} is not a history: it begins {header[:60]!r}, not 'step,epoch'")
        table = np.empty((0, len(names)))
        if rows:
            try:
                table = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
            except ValueError as error:
                raise UserError(f"{path} is damaged: {error}") from error
            if table.shape[1] != len(names):
                raise UserError(f"{path} is damaged: its rows do not have the columns {header}")
        columns = dict(zip(names, np.ascontiguousarray(table.T)))
        return columns | {name: columns[name].astype(np.int64) for name in ("step", "epoch")}

    @staticmethod
    def restore(path, content):
        """Make a file what it was at a checkpoint; whether rows of it had been lost or changed.

        content: the bytes that the checkpoint has.  Raises UserError where they are no history,
        or what lies there is none and so not ours to write over; OSError.
        """
        path, there = Path(path), b""
        History.parse(content, f"the history in the checkpoint of {path}")
        with contextlib.suppress(FileNotFoundError):
            with open_regular(path) as file:
                there = file.read()
            if not there.startswith(BEGINNING):
                raise UserError(f"{path} is not a history: move it away")
            if there == content:
                return False
        with replacing(path) as file:
            file.write(content)
        return not there.startswith(content)

    def _begin(self):
        self._rewrite([])

    def _rewrite(self, rows):
        with replacing(self.path) as file:
            for line in itertools.chain([self._header], rows):
                file.write(f"{line}\n".encode())

    def _continue(self):
        """Take up the columns of the file that is there, and cut off a torn last line."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        header = data.partition(b"\n")[0].decode(errors="replace").rstrip("\r")
        if whole == 0 and self._header.startswith(header):
            self._begin()
        elif whole == 0 or not data.startswith(BEGINNING):
            raise UserError(
                f"{self.path} is not a history: it begins {header[:200]!r}, not "
                f"{self._header!r}: use another folder, or move the file away"
            )
        else:
            if whole < len(data):
                os.truncate(self.path, whole)
            self.names = tuple(header.split(",")[2:])
            self.add_columns(self._given)


def _lines(content, path):
    """(header, rows) of the complete lines in the bytes of a file, line ends removed."""
    text = content.decode("utf-8", errors="replace").replace("\r\n", "\n")
    lines = [line for line in text.split("\n")[:-1] if line]
    if not lines:
        raise UserError(f"{path} is not a history: it has no complete line")
    return lines[0], lines[1:]


def _shortest(value):
    # str of a NumPy float stops where its own precision does: 0.1, where the same
    # float32 widened to a Python float would be 0.10000000149011612.
    return str(value) if isinstance(value, np.floating) else repr(float(value))
