"""What a run measures: kept where it was computed, read now and then, checked and written down."""

import numpy as np

from ..arrays import to_host
from .history import History


class NotFiniteError(ArithmeticError):
    """A value that was logged is NaN or infinite.  step: of which it is; values: all of them."""

    def __init__(self, step, values):
        super().__init__(f"step {step}")
        self.step, self.values = step, values


class Record:
    """The values that a training step logs, on their way into history.csv.

    path: of the history.  steps_per_epoch: an integer.  xp: the array module of the run.
    scores: names of columns that most rows leave empty, NaN; the last of the history.
    history: the `History`, opened with the first values, which name its columns; None before.
    """

    def __init__(self, path, steps_per_epoch, xp, scores=()):
        self.path, self.steps_per_epoch, self.xp = path, steps_per_epoch, xp
        self.scores, self.history = tuple(scores), None
        self._restored = b""  # its bytes until then, of a resumed run
        self._pending = {}  # step -> what `log` was given, and nobody has read yet

    def log(self, step, values):
        """Record values of a step: numbers, or 0-d arrays on the device."""
        self._pending.setdefault(step, {}).update(values)

    def has(self, step):
        """Whether something of this step waits to be read."""
        return step in self._pending

    def content(self):
        """The bytes of the history as it is now; none before the first values."""
        return self._restored if self.history is None else self.history.content()

    def restore(self, step, content):
        """Bring the history back to what it was at this step; whether rows had been lost.

        content: its bytes then; none where the checkpoint is from before the first step, or of a
        time when checkpoints had no history.
        """
        if content:
            self._restored = content
            return History.restore(self.path, content)
        if self.path.exists():
            history = History(self.path, list(History.read(self.path))[2:])
            history.truncate(step)
            self._restored = history.content()
        return False

    def read(self):
        """Fetch what was logged since the last time, and write it down.

        Returns (step, values) of the last step, or None where there was nothing.  Raises
        NotFiniteError.
        """
        if not self._pending:
            return None
        xp, pending = self.xp, self._pending
        self._pending = {}
        names = [name for name in next(iter(pending.values())) if name not in self.scores]
        rows = [xp.stack([xp.asarray(row[name]) for name in names]) for row in pending.values()]
        if self.history is None:
            self.history = History(self.path, [*names, *self.scores])
            self.history.truncate(min(pending) - 1)
        for step, row in zip(pending, to_host(xp.stack(rows))):
            values = dict(zip(names, row))
            if not np.isfinite(row).all():
                raise NotFiniteError(step, values)
            scores = {name: v for name, v in pending[step].items() if name in self.scores}
            self.history.append(step, (step - 1) // self.steps_per_epoch + 1, values | scores)
        return step, values

    def flush(self):
        """Write what has been read but is not yet in the file."""
        if self.history is not None:
            self.history.flush()
