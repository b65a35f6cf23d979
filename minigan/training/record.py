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
    history: the `History`, opened with the first values, which name its columns; None before.
    """

    def __init__(self, path, steps_per_epoch, xp):
        self.path, self.steps_per_epoch, self.xp = path, steps_per_epoch, xp
        self.history = None
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

    def columns(self):
        """The history as it is now, as `History.read` returns it; None before the first values."""
        content = self.content()
        return History.parse(content, self.path) if content else None

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
        logged = [xp.asarray(value) for row in pending.values() for value in row.values()]
        numbers = iter(to_host(xp.stack(logged)))
        if self.history is None:
            self.history = History(self.path, next(iter(pending.values())))
            self.history.truncate(min(pending) - 1)
        for step, row in pending.items():
            values = {name: next(numbers) for name in row}
            if not np.isfinite(list(values.values())).all():
                raise NotFiniteError(step, values)
            self.history.add_columns(values)
            self.history.append(step, (step - 1) // self.steps_per_epoch + 1, values)
        return step, values

    def flush(self):
        """Write what has been read but is not yet in the file."""
        if self.history is not None:
            self.history.flush()
