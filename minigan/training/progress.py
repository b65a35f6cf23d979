"""One line that says how the run is doing.

On a terminal, a line that redraws itself:

     42%  ████████░░░░░░░░░░  epoch 5/10  ETA 1:23  d_loss 0.532  g_loss 1.214  ...

Into a pipe or a file, plain lines: one an epoch, and one every half minute in
longer epochs.
"""

import io
import math
import os
import shutil
import sys
import time

from ..errors import printable
from .history import LABELS
from .prompt import at_a_prompt

REDRAW_SECONDS = 0.1  # on a terminal
REPORT_SECONDS = 30.0  # in a pipe
MEMORY_SECONDS = 30.0  # the speed shown is an average over about this long
BAR_MIN, BAR_MAX = 8, 30  # columns
GAP = "  "


class Progress:
    """The progress of a run of `total_steps` training steps.

    steps_per_epoch, batch_size: integers, for the epoch count and images/s, or whatever the
        things of a batch are.
    start_step: the steps already done before a resume; the speed excludes them.
    stream: a text stream; by default stderr, so that stdout holds results only
        and the bar stays on the terminal when they are sent elsewhere.  At a prompt it is stdout:
        a notebook shows what comes from stderr as if it were wrong.
    clock: returns seconds as a float, never running backwards.

    A stream that cannot be written is no reason to stop.  reader_gone: whether it is a pipe that
    nobody reads any longer.
    """

    def __init__(
        self,
        total_steps,
        *,
        steps_per_epoch,
        batch_size,
        things="images",
        start_step=0,
        stream=None,
        clock=time.monotonic,
    ):
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.batch_size, self.things = batch_size, things
        usual = sys.stdout if at_a_prompt() else sys.stderr
        self._stream = stream or usual or io.StringIO()  # None where it is closed
        self._encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._full, self._empty = "█░" if self._text("█░") == "█░" else "#-"
        self._terminal = self._stream.isatty()
        self._clock = clock

        self._step, self._values = start_step, {}
        self._started = self._measured_at = clock()
        self._measured_step = start_step
        self._recent_steps = self._recent_seconds = 0.0  # their ratio is the speed

        # Show something at this time, and in a pipe also at this step.
        self._next_time = self._started + (0 if self._terminal else REPORT_SECONDS)
        self._next_step = math.inf if self._terminal else self._epoch_end()
        self._shown_step = start_step
        self._shown_width = 0  # of the line now on the terminal
        self._closed = False
        self.reader_gone = False

    def update(self, step, values):
        """Say that `step` steps are done.

        values: mapping name -> float, the latest losses and probabilities, the
        most important first.  Cheap: it is called every step and seldom draws.
        """
        self._step, self._values = step, values
        now = self._clock()
        if now >= self._next_time or step >= self._next_step:
            self._show(now)

    def note(self, line):
        """Print a line of its own; the bar goes on below it."""
        line = printable(line)
        if self._shown_width:
            self._write("\r" + line.ljust(self._shown_width) + "\n")
            self._draw()
        else:
            self._write(line + "\n")

    def close(self):
        """Show the last state and end the line.  A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._terminal or self._shown_step < self._step:
            self._show(self._clock())
        if self._terminal:
            self._write("\n")
            self._shown_width = 0

    def _show(self, now):
        self._measure(now)
        self._shown_step = self._step
        if self._terminal:
            self._draw()
            self._next_time = now + REDRAW_SECONDS
        else:
            self._write(GAP.join(text for _, text in self._fields()).lstrip() + "\n")
            self._next_time = now + REPORT_SECONDS
            self._next_step = self._epoch_end()

    def _draw(self):
        width = self._columns() - 1  # many terminals wrap once the last column is written
        line = self._line(width)
        self._write("\r" + line.ljust(min(self._shown_width, width)))
        self._shown_width = len(line)

    def _line(self, width):
        """The bar and the most important fields, in at most `width` characters."""
        fields = self._fields()
        fields.insert(1, (4, self._full * BAR_MIN))
        kept = []
        room = width + len(GAP)
        for index in sorted(range(len(fields)), key=lambda index: fields[index][0]):
            size = len(GAP) + len(fields[index][1])
            if size > room:
                break
            kept.append(index)
            room -= size
        texts = [fields[index][1] for index in sorted(kept)]
        if 1 in kept:
            texts[1] = self._bar(min(BAR_MIN + room, BAR_MAX))
        return GAP.join(texts)

    def _bar(self, size):
        filled = self._done(size)
        return self._full * filled + self._empty * (size - filled)

    def _fields(self):
        """What there is to say, in the order of the line: (rank, text), rank 0 matters most."""
        epochs = math.ceil(self.total_steps / self.steps_per_epoch)
        epoch = min((max(self._step, 1) - 1) // self.steps_per_epoch + 1, epochs)
        fields = [
            (0, f"{self._done(100):3d}%"),
            (3, f"epoch {epoch}/{epochs}"),
            (7, f"step {self._step}/{self.total_steps}"),
            (1, self._time_field()),
        ]
        for index, (name, value) in enumerate(self._values.items()):
            fields.append((2 if index < 2 else 5, f"{LABELS.get(name, name)} {_number(value)}"))
        fields.append((6, f"{self.batch_size * self._speed():.0f} {self.things}/s"))
        return fields

    def _done(self, whole):
        """The part of `whole` that is done, rounded down: 100 % means done."""
        if self._step >= self.total_steps:
            return whole
        return whole * self._step // self.total_steps

    def _time_field(self):
        if self._step >= self.total_steps:
            return f"took {_duration(self._measured_at - self._started)}"
        speed = self._speed()
        left = _duration((self.total_steps - self._step) / speed) if speed else "-:--"
        return f"ETA {left}"

    def _epoch_end(self):
        return (self._step // self.steps_per_epoch + 1) * self.steps_per_epoch

    # Speed: recent steps over recent seconds, both forgotten exponentially.  Unlike
    # an average of speeds, it is right from the first interval on, however uneven.

    def _measure(self, now):
        steps, seconds = self._step - self._measured_step, now - self._measured_at
        keep = math.exp(-seconds / MEMORY_SECONDS)
        self._recent_steps = keep * self._recent_steps + steps
        self._recent_seconds = keep * self._recent_seconds + seconds
        self._measured_step, self._measured_at = self._step, now

    def _speed(self):
        """Steps a second, 0.0 while unknown."""
        return self._recent_steps / self._recent_seconds if self._recent_seconds else 0.0

    # The stream.

    def _columns(self):
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (AttributeError, OSError, ValueError):  # not a real file
            return shutil.get_terminal_size().columns

    def _text(self, text):
        """`text` with a question mark for every character the stream cannot encode."""
        return text.encode(self._encoding, "replace").decode(self._encoding)

    def _write(self, text):
        if self.reader_gone:
            return
        try:
            self._stream.write(self._text(text))
            self._stream.flush()
        except BrokenPipeError:
            self.reader_gone = True
        except OSError:  # a full disk, a closed terminal
            pass


def _number(value):
    size = abs(value)
    return f"{value:.2e}" if size >= 1000 or 0 < size < 0.001 else f"{value:.3f}"


def _duration(seconds):
    """Seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
