"""The run around a training step: data in, results out, nothing lost.

An example keeps its training step in sight and lets the run do the rest:

    networks, optimizers = {"generator": G, ...}, {"generator": opt_g, ...}
    run = Run(options, dataset, networks, optimizers, latent=Latent(100))
    for real in run:
        z = run.draw_latent("D step")
        ...                                      # the training step
        run.log(d_loss=d_loss, g_loss=g_loss)

Between two steps the run notices Ctrl-C; at the start and after every epoch it writes
pictures, history, loss curve and checkpoint, in this order: the checkpoint is what
resume starts from, so whatever a kill leaves behind it is simply written again.
"""

import contextlib
import json
import math
import signal
import threading
import zlib

import numpy as np

from .. import random
from ..arrays import array_module, resolve_device, to_host
from ..atomic import replacing
from ..average import MovingAverage
from ..condition import one_hot
from ..errors import RunFailed, UserError
from ..kernels import choose
from ..version import __version__
from . import pictures, shortage
from .checkpoint import TRAINED, Checkpoint, save, state
from .feed import Feed
from .history import History
from .lock import locked
from .memory import keep_freed_memory, refuse_what_does_not_fit
from .options import CHECKPOINT, command_line, configuration
from .plot import loss_curve
from .progress import Progress

CONFIG, HISTORY, LOSSES, GIF = "config.json", "history.csv", "losses.png", "samples.gif"
SHEETS = "samples"  # the folder of the sheets, epoch_000.png, step_000100.png and so on
SAMPLES = 16  # pictures on a sheet
CLASS_GAP = 6  # pixels between the sheets of two classes
READ_EVERY = 50  # steps between two readings of the losses from a GPU: each one waits for it


class Run:
    """A training run in the folder `options.out`.

    options: of `training.parse`.  dataset: images uint8 (N, H, W, C), name, source; labels
    too where the latent has classes.
    networks: dict name -> Sequential, "generator" among them.  optimizers: dict of
    the same names.  latent: the `Latent` of the generator.  value_range: of the
    generator's images; the real ones are scaled to it.

    With `options.average` above 0, pictures are those of the generator's moving average.

    Iterating yields one batch of real images a step, (batch, H, W, C) on the device,
    in a new random order every epoch.  What the last whole batch of an epoch leaves
    over comes at another place in the next.  Where the latent has classes, it yields
    (images, codes), the second one-hot (batch, classes).

    Raises UserError for a device that is not there, a batch larger than the data, data
    without the labels it takes, a checkpoint that does not fit, a folder that cannot be
    written or is in use; RunFailed where a loss is not finite.
    """

    def __init__(self, options, dataset, networks, optimizers, *, latent, value_range=(-1.0, 1.0)):
        self.options, self.dataset = options, dataset
        self.networks, self.optimizers = networks, optimizers
        self.latent, self.value_range = latent, value_range
        self.folder, self.batch_size = options.out, options.batch_size
        count = len(dataset.images)
        if self.batch_size > count:
            raise UserError(f"--batch-size {self.batch_size} is above the {count} images there are")
        self.steps_per_epoch = count // self.batch_size
        self.total_steps = options.steps or options.epochs * self.steps_per_epoch
        self.device = resolve_device(options.device)
        self.xp = array_module(self.device)
        for part in (*networks.values(), *optimizers.values()):
            part.to(self.device)
        # The networks as a checkpoint names them; its "generator" is the one that draws.
        self._average, self._stored = None, networks
        if options.average:
            generator = networks["generator"]
            self._average = MovingAverage(generator, options.average)
            self._stored = networks | {"generator": self._average.network, TRAINED: generator}
        self.feed = Feed(dataset.images, self.xp)
        self.labels = self._checked_labels() if latent.classes else None

        self.step = 0  # steps done
        self._saved_step = None  # that of the checkpoint on the disk
        self._data = _fingerprint(dataset, labels=bool(latent.classes))
        self._configuration = configuration(options)
        if options.data == "auto":  # what it was today, tomorrow's resume must find again
            self._configuration["data"] = dataset.name
        self._pending = {}  # step -> what `log` was given, and nobody has read yet
        self._history = None  # opened with the first values, which name its columns
        self._progress = None
        self._order_epoch = None  # the epoch whose shuffle is at hand

    # What the training step uses.

    def __iter__(self):
        keep_freed_memory()
        if self.device == "cpu":
            refuse_what_does_not_fit()
        # NumPy's warnings of an overflow add nothing: losses and results are checked.
        quiet = np.errstate(all="ignore")
        with self._saving_errors(), locked(self.folder), _Interrupts() as interrupts, quiet:
            self._begin()
            shortage.advice = self._out_of_memory
            while self.step < self.total_steps:
                for network in self._stored.values():
                    network.begin_step(self.step)
                yield self._real_batch()
                self.step += 1
                if self._average is not None:
                    self._average.update(self.step)
                if self.step % (1 if self.device == "cpu" else READ_EVERY) == 0:
                    self._read_losses()
                epoch_ends = self.step % self.steps_per_epoch == 0
                every = self.options.sample_every
                if every and self.step % every == 0 and not epoch_ends:
                    self._save_samples(f"step_{self.step:06d}")
                if interrupts.signal is not None:
                    self._interrupted(interrupts.signal)
                if epoch_ends or self.step == self.total_steps:
                    self._save()
            self._finish()

    def address(self, where):
        """The address of random numbers of this step, as keywords for `minigan.random`."""
        return dict(seed=self.options.seed, where=where, step=self.step)

    def draw_latent(self, where):
        """z (batch, size) for this step; `where` names its use."""
        return self.latent.draw(
            self.batch_size, **self.address(where), dtype=self.options.dtype, xp=self.xp
        )

    def log(self, **values):
        """Record losses and the like of this step: numbers, or 0-d arrays on the device."""
        self._pending.setdefault(self.step + 1, {}).update(values)

    # The parts of a run, in the order in which they happen.

    def _begin(self):
        self._remove_leftovers()
        if self.options.resume:
            self._restore(Checkpoint(self.folder / CHECKPOINT))
        config = self._configuration | {
            "data_source": self.dataset.source,
            "version": __version__,
            "parameters": {name: network.param_count for name, network in self.networks.items()},
        }
        with replacing(self.folder / CONFIG) as file:
            file.write(json.dumps(config, indent=2).encode() + b"\n")
        sizes = ", ".join(f"{name} {net.param_count:,}" for name, net in self.networks.items())
        self._progress = Progress(
            self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            start_step=self.step,
        )
        note = self._progress.note
        dataset = self.dataset
        note(f"data: {len(dataset.images):,} images {dataset.name}, {dataset.source}")
        note(f"parameters: {sizes}; {self.device}, {self.options.dtype}; results in {self.folder}")
        if not self.options.resume:
            self._save()
        elif self.step < self.total_steps:
            note(f"resuming after step {self.step:,} of {self.total_steps:,}")
            if self.device == "gpu":
                note("bit for bit on the same kind of GPU with the same cuBLAS, else to rounding")
        else:
            note(f"nothing left to do after step {self.step:,}: give more --epochs or --steps")

    def _remove_leftovers(self):
        """Remove the temporary files of runs that were killed while they wrote."""
        for name in (CONFIG, HISTORY, LOSSES, GIF, CHECKPOINT, f"{SHEETS}/*.png"):
            path = self.folder / name
            for leftover in path.parent.glob(f".{path.name}.*.tmp"):
                leftover.unlink()

    def _restore(self, checkpoint):
        run, here = checkpoint.run, self._data
        if run["data"] != here:
            there = run["data"]
            pixels = ", but with other pixels or labels" * (there["shape"] == here["shape"])
            raise UserError(
                f"cannot resume {checkpoint.path} with other data: {there['count']} images "
                f"{there['name']} there, {here['count']} images {here['name']} here{pixels}"
            )
        if self.total_steps < run["step"]:
            raise UserError(
                f"cannot resume {checkpoint.path} up to step {self.total_steps}: it is at step "
                f"{run['step']} already; give more --epochs or --steps"
            )
        checkpoint.restore(self._stored, self.optimizers)
        self.step = self._saved_step = run["step"]
        path = self.folder / HISTORY
        if path.exists():
            History(path, list(History.read(path))[2:]).truncate(self.step)

    def _real_batch(self):
        epoch, batch = divmod(self.step, self.steps_per_epoch)
        if self._order_epoch != epoch:
            order = random.permutation(
                len(self.dataset.images), seed=self.options.seed, where="shuffle", step=epoch
            )
            self._order, self._order_epoch = self.xp.asarray(order), epoch
            self._order_on_host = order
        chosen = self._order[batch * self.batch_size :][: self.batch_size]
        on_host = self._order_on_host[batch * self.batch_size :][: self.batch_size]
        real = self._scaled(self.feed.take(chosen, on_host))
        if self.labels is None:
            return real
        classes = len(self.latent.classes)
        return real, one_hot(self.labels[chosen], classes, dtype=self.options.dtype)

    def real_images(self, chosen):
        """Images of the data, (n, H, W, C) on the device, in the generator's range.

        chosen: a slice.
        """
        return self._scaled(self.feed.take(chosen, chosen))

    def _scaled(self, pixels):
        """Pixels, uint8, in the generator's range."""
        k = choose()[type(pixels)]
        return k.from_pixels(pixels, *self.value_range, self.options.dtype)

    def _checked_labels(self):
        """The labels (N,) on the device, each a number of a class."""
        labels, classes = self.dataset.labels, len(self.latent.classes)
        if labels is None or labels.min() < 0 or labels.max() >= classes:
            found = "none" if labels is None else f"{labels.min()} to {labels.max()}"
            raise UserError(
                f"--data {self.options.data}: wanted are labels 0 to {classes - 1}, found {found}"
            )
        return self.xp.asarray(labels)

    def _read_losses(self):
        """Fetch the values logged since the last time, check them and write them down."""
        if not self._pending:
            return
        xp, pending = self.xp, self._pending
        self._pending = {}
        names = list(next(iter(pending.values())))
        rows = [xp.stack([xp.asarray(row[name]) for name in names]) for row in pending.values()]
        if self._history is None:
            self._history = History(self.folder / HISTORY, names)
            self._history.truncate(min(pending) - 1)
        for step, row in zip(pending, to_host(xp.stack(rows))):
            values = dict(zip(names, row))
            if not np.isfinite(row).all():
                self._fail_not_finite(step, values)
            self._history.append(step, (step - 1) // self.steps_per_epoch + 1, values)
        self._progress.update(step, values)

    def _save(self):
        """Write all that an epoch leaves; the checkpoint last."""
        self._read_losses()
        for array in state(self._stored, self.optimizers).values():
            if not bool(self.xp.isfinite(array).all()):
                self._fail_not_finite(self.step, {})
        self._save_samples(f"epoch_{self._epoch:03d}")
        if self._history is not None:
            loss_curve(self.folder / LOSSES, self._history.columns())
        run = {
            "name": self.options.name,
            "options": self._configuration,
            "data": self._data,
            "latent": vars(self.latent),
            "value_range": list(self.value_range),
            "step": self.step,
        }
        save(self.folder / CHECKPOINT, self._stored, self.optimizers, run)
        self._saved_step = self.step

    def _save_samples(self, name):
        """A sheet of pictures of the same z every time; of each class one, where there are any."""
        z = self.latent.draw(
            SAMPLES, seed=self.options.seed, where="samples", dtype=self.options.dtype, xp=self.xp
        )
        if self.latent.classes:
            sheets = [
                self._sheet(self.latent.labelled(z, self.xp.full(SAMPLES, k)), scale=1)
                for k in range(len(self.latent.classes))
            ]
            sheet = pictures.grid(np.stack(sheets), gap=CLASS_GAP)
        else:
            sheet = self._sheet(z)
        pictures.save_png(self.folder / SHEETS / f"{name}.png", sheet)

    def _sheet(self, z, scale=None):
        """A contact sheet, uint8 (H, W, C); the generator runs in evaluation mode."""
        images, _ = self._stored["generator"].forward(z, train=False)
        return pictures.grid(pictures.to_uint8(to_host(images), self.value_range), scale=scale)

    def _save_gif(self):
        # No more than this run's own: the folder may hold pictures of a run that went further.
        names = {e * self.steps_per_epoch: f"epoch_{e:03d}" for e in range(self._epoch + 1)}
        if every := self.options.sample_every:
            names = {s: f"step_{s:06d}" for s in range(every, self.step, every)} | names
        paths = [self.folder / SHEETS / f"{names[step]}.png" for step in sorted(names)]
        if sheets := [path for path in paths if path.exists()]:
            pictures.save_gif(self.folder / GIF, sheets)

    @property
    def _epoch(self):
        """The epoch of the last step, from 1; 0 before the first step."""
        return math.ceil(self.step / self.steps_per_epoch)

    def _finish(self):
        self._save_gif()
        self._progress.close()
        checkpoint = self.folder / CHECKPOINT
        sample = ["python", "-m", "minigan", "sample", checkpoint, "--out", "more.png"]
        if self.latent.classes:
            sample += ["--label", self.latent.classes[-1]]
        print(f"done: {self.folder / GIF}, {LOSSES}, {HISTORY}; more pictures: "
              f"{command_line(sample)}")

    def _interrupted(self, signal_number):
        self._save()
        self._save_gif()
        self._progress.close()
        print(f"stopped after step {self.step:,}, saved; go on with: {self.options.command}")
        raise SystemExit(128 + signal_number)

    def _fail_not_finite(self, step, values):
        if self._history is not None:
            self._history.flush()
        self._progress.close()
        losses = [f"{name} is {value}" for name, value in values.items() if not np.isfinite(value)]
        where = next((name for name, array in self._tensors() if not self.xp.isfinite(array).all()),
                     None)
        raise RunFailed(
            f"step {step}: {', '.join(losses) or 'the result is not finite'}; "
            + (f"first tensor that is not finite: {where}" if where else "all tensors are finite")
            + f"; {self._last_good()}; a lower learning rate may help"
        )

    def _tensors(self):
        """Yields (name, array) of everything that training writes, the finest names first."""
        for name, network in self.networks.items():
            for tensor, param, grad in network.named_tensors():
                yield f"{name} {tensor} (parameter)", param
                yield f"{name} {tensor} (gradient)", grad
        yield from state(self.networks, self.optimizers).items()

    def _last_good(self):
        if self._saved_step is None:
            return "no checkpoint was written yet"
        return f"the last good checkpoint is that of step {self._saved_step}"

    def _out_of_memory(self):
        """What to do after a MemoryError, which has ended the run."""
        self._progress.close()
        batch = shortage.batch_that_fits(self.networks, self.latent, self.batch_size, self.xp)
        fits = f"--batch-size {batch} would fit" if batch else "not even one image at a time fits"
        go_on = f"; go on with: {self.options.command}" if self._saved_step else ""
        return f"{fits}; {self._last_good()}{go_on}"

    @contextlib.contextmanager
    def _saving_errors(self):
        """Turn a failure to write (disk full, folder gone) into one line."""
        try:
            yield
        except BrokenPipeError:
            raise  # not a file: somebody stopped reading what we print
        except OSError as error:
            if self._progress is not None:
                with contextlib.suppress(OSError):  # it may be what cannot be written
                    self._progress.close()
            go_on = "" if self._saved_step is None else f"; go on with: {self.options.command}"
            raise UserError(
                f"cannot write {error.filename or self.folder}: {error.strerror or error}; "
                f"{self._last_good()}{go_on}"
            ) from error


class _Interrupts:
    """Ctrl-C and termination become a note that is read between two steps.

    An exception in the middle of a step would leave half of it behind.  A second
    Ctrl-C does interrupt at once, and saves nothing.
    """

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number, _frame):
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


def _fingerprint(dataset, labels):
    """What tells one set of pictures (and labels) from another, as JSON-ready data."""
    crc32 = zlib.crc32(np.ascontiguousarray(dataset.images))
    if labels:
        crc32 = zlib.crc32(np.ascontiguousarray(dataset.labels), crc32)
    return {
        "name": dataset.name,
        "count": len(dataset.images),
        "shape": list(dataset.images.shape[1:]),
        "crc32": crc32,
    }
