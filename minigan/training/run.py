"""The run around a training step: data in, results out, nothing lost.

An example keeps its training step in sight and lets the run do the rest:

    run = Run(options, dataset, {"generator": (G, opt_g), ...}, latent=Latent(100))
    for real in run:
        z = run.draw_latent("D step")
        ...                                      # the training step
        run.log(d_loss=d_loss, g_loss=g_loss)

Between two steps the run notices Ctrl-C; after every epoch it writes pictures,
history, loss curve and checkpoint, in this order: the checkpoint is what resume
starts from, so whatever a kill leaves behind it is simply written again.
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
from ..errors import RunFailed, UserError
from ..version import __version__
from . import pictures
from .atomic import replacing
from .checkpoint import Checkpoint, save
from .history import History
from .lock import locked
from .options import CHECKPOINT, configuration
from .plot import loss_curve
from .progress import Progress

SAMPLES = 16  # pictures on a sheet
READ_EVERY = 50  # steps between two readings of the losses from a GPU: each one waits for it


class Run:
    """A training run in the folder `options.out`.

    options: of `training.parse`.  dataset: images uint8 (N, H, W, C), name, source.
    networks: dict name -> Sequential, "generator" among them.  optimizers: dict of
    the same names.  latent: the `Latent` of the generator.  value_range: of the
    generator's images; the real ones are scaled to it.

    Iterating yields one batch of real images a step, (batch, H, W, C) on the device,
    in a new random order every epoch.  What the last whole batch of an epoch leaves
    over comes at another place in the next.

    Raises UserError for a device that is not there, a batch larger than the data, a
    checkpoint that does not fit, a folder that cannot be written or is in use;
    RunFailed where a loss is not finite.
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

        self.step = 0  # steps done
        if options.resume:
            self._restore(Checkpoint(self.folder / CHECKPOINT))
        self.device = resolve_device(options.device)
        self.xp = array_module(self.device)
        for part in (*networks.values(), *optimizers.values()):
            part.to(self.device)
        self.images = self.xp.asarray(dataset.images)

        self._pending = {}  # step -> what `log` was given, and nobody has read yet
        self._saved_step = self.step if options.resume else None
        self._history = None  # opened with the first values, which name its columns
        self._progress = None
        self._order_epoch = None  # the epoch whose shuffle is at hand

    # What the training step uses.

    def __iter__(self):
        with self._saving_errors(), locked(self.folder), _Interrupts() as interrupts:
            self._begin()
            while self.step < self.total_steps:
                for network in self.networks.values():
                    network.begin_step(self.step)
                yield self._real_batch()
                self.step += 1
                if self.step % (1 if self.device == "cpu" else READ_EVERY) == 0:
                    self._read_losses()
                if interrupts.signal is not None:
                    self._interrupted(interrupts.signal)
                if self.step % self.steps_per_epoch == 0 or self.step == self.total_steps:
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

    def _restore(self, checkpoint):
        run = checkpoint.run
        data = _fingerprint(self.dataset)
        if run["data"] != data:
            raise UserError(
                f"cannot resume {checkpoint.path} with other data: "
                f"{run['data']['name']} ({run['data']['count']} images) there, "
                f"{data['name']} ({data['count']} images) here"
                + (", of the same size but with other pixels" * (run["data"]["count"] == data["count"]))
            )
        checkpoint.restore(self.networks, self.optimizers)
        self.step = run["step"]

    def _begin(self):
        config = configuration(self.options) | {
            "data_source": self.dataset.source,
            "version": __version__,
            "parameters": {name: network.param_count for name, network in self.networks.items()},
        }
        with replacing(self.folder / "config.json") as file:
            file.write(json.dumps(config, indent=2).encode() + b"\n")
        sizes = ", ".join(f"{name} {net.param_count:,}" for name, net in self.networks.items())
        self._progress = Progress(
            self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            start_step=self.step,
        )
        note = self._progress.note
        note(f"data: {len(self.images):,} images {self.dataset.name}, {self.dataset.source}")
        note(f"parameters: {sizes}; {self.device}, {self.options.dtype}; results in {self.folder}")
        if self.step == 0:
            self._save_samples()
        elif self.step >= self.total_steps:
            note(f"nothing left to do: the run is at step {self.step}; give more --epochs")
        else:
            note(f"resuming after step {self.step:,} of {self.total_steps:,}")

    def _real_batch(self):
        epoch, batch = divmod(self.step, self.steps_per_epoch)
        if self._order_epoch != epoch:
            order = random.permutation(
                len(self.images), seed=self.options.seed, where="shuffle", step=epoch
            )
            self._order, self._order_epoch = self.xp.asarray(order), epoch
        chosen = self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
        low, high = self.value_range
        images = self.images[chosen].astype(self.options.dtype)
        images *= (high - low) / 255
        images += low
        return images

    def _read_losses(self):
        """Fetch the values logged since the last time, check them and write them down."""
        if not self._pending:
            return
        xp, pending = self.xp, self._pending
        self._pending = {}
        names = list(next(iter(pending.values())))
        rows = [xp.stack([xp.asarray(row[name]) for name in names]) for row in pending.values()]
        if self._history is None:
            self._history = History(self.folder / "history.csv", names)
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
        for network in self.networks.values():
            if not bool(self.xp.isfinite(network.params).all()):
                self._fail_not_finite(self.step, {})
        self._save_samples()
        if self._history is not None:
            loss_curve(self.folder / "losses.png", self._history.columns())
        run = {
            "name": self.options.name,
            "options": configuration(self.options),
            "data": _fingerprint(self.dataset),
            "latent": vars(self.latent),
            "value_range": list(self.value_range),
            "step": self.step,
        }
        save(self.folder / CHECKPOINT, self.networks, self.optimizers, run)
        self._saved_step = self.step

    def _save_samples(self):
        """One sheet of pictures: the same z every time, the generator in evaluation mode."""
        z = self.latent.draw(
            SAMPLES, seed=self.options.seed, where="samples", dtype=self.options.dtype, xp=self.xp
        )
        images, _ = self.networks["generator"].forward(z, train=False)
        sheet = pictures.grid(pictures.to_uint8(to_host(images), self.value_range))
        epoch = math.ceil(self.step / self.steps_per_epoch)
        pictures.save_png(self.folder / "samples" / f"epoch_{epoch:03d}.png", sheet)

    def _save_gif(self):
        frames = sorted((self.folder / "samples").glob("epoch_*.png"))
        pictures.save_gif(self.folder / "samples.gif", frames)

    def _finish(self):
        self._save_gif()
        self._progress.close()
        print(
            f"done: {self.folder / 'samples.gif'}, losses.png, history.csv; more pictures: "
            f"python -m minigan sample {self.folder / CHECKPOINT} --out more.png"
        )

    def _interrupted(self, signal_number):
        self._save()
        self._save_gif()
        self._progress.close()
        print(f"stopped after step {self.step:,}, saved; go on with: {self.options.command}")
        raise SystemExit(128 + signal_number)

    def _fail_not_finite(self, step, values):
        losses = [f"{name} is {value}" for name, value in values.items() if not np.isfinite(value)]
        tensors = [
            f"{name} {tensor} ({what})"
            for name, network in self.networks.items()
            for tensor, *pair in network.named_tensors()
            for what, array in zip(("parameter", "gradient"), pair)
            if not bool(self.xp.isfinite(array).all())
        ]
        first = f"first tensor that is not finite: {tensors[0]}" if tensors else "all tensors finite"
        self._progress.close()
        raise RunFailed(
            f"step {step}: {', '.join(losses) or 'parameters are not finite'}; {first}; "
            f"{self._last_good()}; a lower learning rate may help"
        )

    def _last_good(self):
        if self._saved_step is None:
            return "no checkpoint was written yet"
        return f"the last good checkpoint is that of step {self._saved_step}"

    @contextlib.contextmanager
    def _saving_errors(self):
        """Turn a failure to write (disk full, folder gone) into one line."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write {error.filename or self.folder}: {error.strerror or error}; "
                f"{self._last_good()}; go on with: {self.options.command}"
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


def _fingerprint(dataset):
    """What tells one set of pictures from another, as JSON-ready data."""
    return {
        "name": dataset.name,
        "count": len(dataset.images),
        "shape": list(dataset.images.shape[1:]),
        "crc32": zlib.crc32(np.ascontiguousarray(dataset.images)),
    }
