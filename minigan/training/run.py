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
import math
import signal

import numpy as np

from .. import processes
from ..arrays import array_module, resolve_device
from ..average import MovingAverage
from ..data.status import few, say
from ..errors import Interrupted, RunFailed, UserError, printable
from ..score import FIGURES
from ..version import __version__
from . import failures, keep, shortage, together
from .batches import Batches, absent, check_classes
from .checkpoint import TRAINED, Checkpoint, save, state
from .diagnosis import diagnose
from .graph import Recorded
from .history import MEASURED
from .init_from import init_from
from .interrupts import NO_READER, Interrupts
from .lock import locked
from .measures import Measures
from .memory import keep_freed_memory, refuse_what_does_not_fit
from .options import command_line, configuration
from .pictures import pillow_image
from .plot import loss_curve
from .progress import Progress
from .prompt import at_a_prompt
from .rates import Rates
from .record import NotFiniteError, Record
from .report import page
from .results import CHECKPOINT, GIF, HISTORY, LOSSES, REPORT, Results
from .resume import check_data, check_drawn, check_same
from .scoring import Scoring
from .sheet import draw, sheet
from .within import Within

READ_EVERY = 50  # steps between two readings of the losses from a GPU: each one waits for it
REDRAW = 1.1  # growth of a run after which its curve is drawn again: of few data, epochs are short


class Run:
    """A training run in the folder `options.out`.

    options: of `training.parse`.  dataset: images uint8 (N, H, W, C), or points (N, F), name,
    source; labels too where the latent has classes.
    networks: dict name -> Sequential, "generator" among them.  optimizers: dict of
    the same names.  latent: the `Latent` of the generator.  value_range: of the
    generator's images; the real ones are scaled to it.  picture: function of the generator that
    draws -> uint8 (H, W, C), what a sheet shows; by default some of its images.

    With `options.average` above 0, pictures are those of the generator's moving average.

    Iterating yields one batch of real images a step, (batch, H, W, C) on the device, as
    `Batches.at` makes them; where the latent has classes, (images, codes).  Leaving the loop, by
    `break` or by an exception, saves what is done, unless it is half a step.

    step: the steps done.  saved_step: those of the checkpoint on the disk, None before the first.

    Raises UserError for a device that is not there, a batch larger than the data, data
    without the labels it takes, a checkpoint that does not fit, a folder that cannot be
    written or is in use; RunFailed where a loss is not finite.

    Under an MPI launcher a batch is that of all processes, and each yields its part: see
    `together`.
    """

    def __init__(
        self,
        options,
        dataset,
        networks,
        optimizers,
        *,
        latent,
        value_range=(-1.0, 1.0),
        picture=None,
    ):
        self.options, self.dataset = options, dataset
        self.networks, self.optimizers = networks, optimizers
        self.latent, self.value_range, self._picture = latent, value_range, picture
        self.folder, self.batch_size = options.out, options.batch_size
        self.device = resolve_device(options.device)
        self.xp = array_module(self.device)
        if options.cuda_graph and self.device == "cpu":
            raise UserError("--cuda-graph is for a GPU: give --device gpu too, or leave it out")
        together.take_device(self.xp)
        if options.local_batchnorm:
            processes.here.keep_moments()
        check_classes(dataset, latent.classes)
        together.check_batch(self.batch_size)
        self.batches = Batches(
            dataset,
            self.batch_size,
            seed=options.seed,
            classes=len(latent.classes),
            value_range=value_range,
            dtype=options.dtype,
            xp=self.xp,
            mirror=options.mirror,
        )
        self.steps_per_epoch = self.batches.per_epoch
        self.total_steps = options.steps or options.epochs * self.steps_per_epoch
        if options.init_from and not options.resume:
            say(init_from(networks, options.init_from))
        self._rates = Rates(optimizers, options.lr_schedule, self.total_steps)
        for part in (*networks.values(), *optimizers.values()):
            part.to(self.device)
        # The networks as a checkpoint names them; its "generator" is the one that draws.
        self._average, self._stored = None, networks
        if options.average:
            generator = networks["generator"]
            self._average = MovingAverage(generator, options.average)
            self._stored = networks | {"generator": self._average.network, TRAINED: generator}

        self.step, self.saved_step = 0, None
        self._curve_step = 0  # the steps of which losses.png is
        self._within = None  # the step that is under way
        self._data = self.batches.fingerprint()
        self._configuration = configuration(options)
        if options.data == "auto":  # what it was today, tomorrow's resume must find again
            self._configuration["data"] = dataset.name
        self._results = Results(self.folder)
        self._writes = processes.here.rank == 0  # one process does, for all
        self._record = Record(self.folder / HISTORY, self.steps_per_epoch, self.xp, self._writes)
        together.check_alike(
            {"the version of minigan": __version__, "a run called": options.name}
            | {f"a {name} of": f"{net.param_count:,} numbers" for name, net in networks.items()}
            | self._configuration
            | {"data": self._data}
        )
        self._measures = Measures(self.batches, latent, networks, seed=options.seed)
        self._scoring = None  # the first process scores, for all
        if options.score_every and self._writes:
            run = self._description()
            with processes.by_itself():
                self._scoring = Scoring(dataset, run, latent, device=self.device, notify=say)
            self._scoring.check_known(options.keep_best)
        self._progress = None  # there is one from the beginning of the loop on
        self._in_the_loop = False

    def __iter__(self):
        keep_freed_memory()
        if self.device == "cpu":
            refuse_what_does_not_fit()
        # NumPy's warnings of an overflow add nothing: losses and results are checked.
        quiet = np.errstate(all="ignore")
        with (
            self._failing_in_a_line(),
            locked(self.folder) if self._writes else contextlib.nullcontext(),
            self._looping(),
            quiet,
            Interrupts() as interrupts,
        ):
            self._begin()
            shortage.advice = self._out_of_memory
            while self.step < self.total_steps:
                self._begin_step()
                try:
                    yield self.batches.at(self.step)
                except GeneratorExit:  # the loop has been left
                    if not interrupts.at_once:
                        self._leave()
                    raise
                self._end_step()
                if self.step % (1 if self.device == "cpu" else READ_EVERY) == 0:
                    self._read_losses()
                epoch_ends = self.step % self.steps_per_epoch == 0
                every = self.options.sample_every
                if every and self.step % every == 0 and not epoch_ends:
                    self._write_sheet(f"step_{self.step:06d}")
                stop = interrupts.signal or (NO_READER if self._progress.reader_gone else 0)
                if stop := processes.here.largest(stop):  # for all
                    self._stop(stop)
                if epoch_ends or self.step == self.total_steps:
                    self._save()
            self._finish()
        print(self._done())

    def sheet(self):
        """What the generator draws at this moment: the sheet of an epoch, as a Pillow image."""
        with processes.by_itself():
            return pillow_image(self._shown(self._draw()))

    # What the training step uses.

    def address(self, where):
        """The address of random numbers of this step, as keywords for `minigan.random`."""
        return dict(seed=self.options.seed, where=where, step=self.step)

    def recorded(self, step):
        """A training step, a function, as one CUDA graph where --cuda-graph asks for it.

        See `graph.Recorded`; else, and where several processes share a step, the function itself.
        """
        if not self.options.cuda_graph or processes.here.size > 1:
            return step
        return Recorded(step, lambda: self.step, lambda line: self._progress.note(line))

    def draw_latent(self, where):
        """z (batch, size) for this step; `where` names its use."""
        z = self.latent.draw(
            self.batch_size, **self.address(where), dtype=self.options.dtype, xp=self.xp
        )
        return processes.here.rows(z)

    @property
    def generator(self):
        """The network that draws: the generator in training, or its moving average."""
        return self._stored["generator"]

    def real_images(self, chosen):
        """Images of the data, (n, H, W, C) on the device, in the generator's range.

        chosen: a slice.
        """
        return self.batches.images(chosen)

    def log(self, **values):
        """Record losses and the like of this step, which is thereby done.

        values: numbers, or 0-d arrays on the device.
        """
        self._record.log(self.step if self._within is None else self.step + 1, values)

    def save(self):
        """Write now what the end of an epoch writes, the checkpoint last.

        For the loop's body: after `log`, or before anything is computed.  Raises RuntimeError
        elsewhere; UserError where a file cannot be written, RunFailed where a result is not
        finite.
        """
        if not self._in_the_loop:
            raise RuntimeError("save() is for the body of the loop over the run")
        if not self._settle():
            raise RuntimeError("save() in the middle of a step: call it after log()")
        with self._failing_in_a_line():
            self._save()

    # A step, which is done or not.

    def _begin_step(self):
        processes.here.begin_batch(self.batch_size)
        for network in self._stored.values():
            network.begin_step(self.step)
        self._rates.begin_step(self.step)
        self._within = Within(self.networks, self.optimizers)

    def _end_step(self):
        if self.options.local_batchnorm and self._within is not None:
            for network in self.networks.values():  # a checkpoint holds one, for all
                processes.here.average(network.buffers)
        processes.here.end_batch()
        if self._within is not None:  # not where save() has seen to it
            self._within = None
            self.step += 1
            if measured := self._measures.of(self.step):
                self._record.log(self.step, measured)
            if self._average is not None:
                self._average.update(self.step)
            every = self.options.score_every
            if every and self._record.has(self.step):  # there is a row to write them into
                if self.step % (every * self.steps_per_epoch) == 0:
                    self._score()

    def _settle(self):
        """Count a step that is done, which is one that is logged; False in the middle of one."""
        if self._within is not None and self._record.has(self.step + 1):
            self._end_step()
        return self._within is None or not self._within.has_stepped()

    # The parts of a run, in the order in which they happen.

    def _begin(self):
        resume = self.options.resume or self.saved_step is not None  # the loop is entered again
        if self._writes:
            self._results.check(resume)
            self._results.remove_leftovers()
        repaired = resume and self._restore(Checkpoint(self.folder / CHECKPOINT))
        if self._writes:
            if self.options.keep:  # a killed run may not have come to it
                keep.forget(self.folder, self.step // self.steps_per_epoch, self.options.keep)
            self._write_config()
        sizes = ", ".join(f"{name} {net.param_count:,}" for name, net in self.networks.items())
        self._progress = Progress(
            self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            things=self.batches.things,
            start_step=self.step,
        )
        note = self._progress.note
        dataset = self.dataset
        count = f"{len(dataset.images):,} {self.batches.things}"
        note(f"data: {count} {dataset.name}, {dataset.source}")
        if unknown := absent(dataset, self.latent.classes):
            things = self.batches.things
            note(f"no {things} of {few(unknown)}: what is drawn by this name is chance")
        note(f"parameters: {sizes}; {self.device}, {self.options.dtype}; results in {self.folder}")
        if who := together.description():
            note(who)
        if repaired:
            note(f"{self.folder / HISTORY} had lost or changed rows: restored from the checkpoint")
        if not resume:
            self._save()
            return
        if self._rates.change:
            self._save()  # first: what is said holds, even if the run is killed at once
            note(self._rates.change)
        else:
            self._write_sheet(f"epoch_{self._epoch:03d}")  # that of now, whatever lies there
        if self.step < self.total_steps:
            note(f"resuming after step {self.step:,} of {self.total_steps:,}")
            if self.device == "gpu":
                note("bit for bit on the same kind of GPU with the same cuBLAS, else to rounding")
        else:
            note(f"nothing left to do after step {self.step:,}: give more --epochs or --steps")

    def _write_config(self):
        sizes = {name: network.param_count for name, network in self.networks.items()}
        about = {
            "data_source": self.dataset.source,
            "rates": self._rates.periods,
            "version": __version__,
            "parameters": sizes,
        }
        self._results.write_config(self._configuration | about)

    def _restore(self, checkpoint):
        """Go back to a checkpoint; whether the history had to be repaired."""
        # Others may have changed it since `parse` looked.
        stored = checkpoint.run["options"]
        check_same(stored, self._configuration, checkpoint.path, self.options.free)
        check_data(checkpoint, self._data, self.total_steps)
        drawn = vars(self.latent) | {"value_range": self.value_range}
        check_drawn(checkpoint, drawn)
        checkpoint.restore(self._stored, self.optimizers)
        self.step = self.saved_step = checkpoint.run["step"]
        self._rates.resume(self.step, checkpoint.run.get("rates", []))
        return self._record.restore(self.step, checkpoint.history)

    def _read_losses(self):
        try:
            row = self._record.read()
        except NotFiniteError as error:
            self._fail(error.step, error.values)
        if row is not None:
            step, values = row
            aside = MEASURED | {*FIGURES}
            self._progress.update(step, {n: v for n, v in values.items() if n not in aside})

    def _score(self):
        """The scores of this moment, into the row of the step that is done."""
        figures = None
        if self._writes:
            with processes.by_itself():
                figures = self._scoring.scores(self.generator)
        figures = processes.here.first(figures)
        known = {name: figures[name] for name in FIGURES if math.isfinite(figures[name])}
        dtype = self.options.dtype  # that of the losses beside them
        self._record.log(self.step, {n: self.xp.asarray(v, dtype) for n, v in known.items()})
        texts = ", ".join(f"{name} {value:.3g}" for name, value in known.items())
        self._progress.note(f"epoch {self._epoch}: {texts}")

    def _save(self):
        """Read and check all that an epoch leaves, and write it."""
        self._read_losses()
        arrays = state(self._stored, self.optimizers)
        for array in arrays.values():
            if not bool(self.xp.isfinite(array).all()):
                self._fail(self.step, {})
        if self._writes:
            with processes.by_itself():
                self._write(arrays)
        self.saved_step = self.step

    def _write(self, arrays):
        """Write all that an epoch leaves, the checkpoint last.  arrays: its own."""
        images = self._write_sheet(f"epoch_{self._epoch:03d}")
        columns = self._record.columns()
        if columns is not None:
            if self.step >= REDRAW * self._curve_step:
                self._draw_curve(columns)
            for verdict in diagnose(columns, images, self.value_range, arrays):
                if verdict.ill:
                    self._progress.note(f"epoch {self._epoch}: {verdict.name}: {verdict.evidence}")
        content, epoch_ends = self._record.content(), self.step % self.steps_per_epoch == 0
        names = keep.kept(self.options, self._epoch, columns, self.step) if epoch_ends else ()
        for name in (*names, CHECKPOINT):
            path = self.folder / name
            save(path, self._stored, self.optimizers, self._description(), content)
        if self.options.keep and epoch_ends:
            keep.forget(self.folder, self._epoch, self.options.keep)

    def _description(self):
        """What a checkpoint stores of the run."""
        return {
            "name": self.options.name,
            "options": self._configuration,
            "data": self._data,
            "latent": vars(self.latent),
            "value_range": list(self.value_range),
            "step": self.step,
            "rates": self._rates.periods,
        }

    def _write_sheet(self, name):
        """Write the sheet of this moment; the images on it, (kinds, N, H, W, C)."""
        if not self._writes:
            return None
        images = self._draw()
        self._results.write_sheet(name, self._shown(images))
        return images

    def _draw(self):
        return draw(self.generator, self.latent, seed=self.options.seed, xp=self.xp)

    def _shown(self, images):
        """The sheet of images that G has just drawn, or the picture that the example makes."""
        return self._picture(self.generator) if self._picture else sheet(images, self.value_range)

    def _finish(self):
        """What is written once all is done."""
        if not self._writes:
            return
        self._write_gif()
        columns = self._record.columns()
        if columns is not None:
            if self._curve_step != self.step:
                self._draw_curve(columns)
            arrays = state(self._stored, self.optimizers)
            verdicts = diagnose(columns, self._draw(), self.value_range, arrays)
            self._results.write_report(page(self.folder, self.options.name, columns, verdicts))
        self._progress.close()

    def _draw_curve(self, columns):
        loss_curve(self.folder / LOSSES, columns)
        self._curve_step = self.step

    def _write_gif(self):
        # No more than this run's own: the folder may hold pictures of a run that went further.
        names = {e * self.steps_per_epoch: f"epoch_{e:03d}" for e in range(self._epoch + 1)}
        if every := self.options.sample_every:
            names = {s: f"step_{s:06d}" for s in range(every, self.step, every)} | names
        for problem in self._results.write_gif([names[step] for step in sorted(names)]):
            self._progress.note(f"left out of {GIF}: {problem}")

    @property
    def _epoch(self):
        """The epoch of the last step, from 1; 0 before the first step."""
        return math.ceil(self.step / self.steps_per_epoch)

    # The ends of a run.

    def _done(self):
        """The last line of a run that nothing stopped."""
        checkpoint, points = self.folder / CHECKPOINT, self.batches.things == "points"
        more = "more.npy" if points else "more.png"
        sample = ["python", "-m", "minigan", "sample", checkpoint, "--out", more]
        if self.latent.classes:
            sample += ["--label", self.latent.classes[-1]]
        return printable(
            f"done: {self.folder / GIF}, {REPORT}, {LOSSES}, {HISTORY}; "
            f"more {'points' if points else 'pictures'}: {command_line(sample)}"
        )

    def _stop(self, signal_number):
        """Save and end the program, or at a prompt the run, as a signal asked for."""
        self._save()
        self._finish()
        line = f"stopped after step {self.step:,}, saved; go on with: {self.options.command}"
        if signal_number == signal.SIGINT and at_a_prompt():
            raise Interrupted(line)
        with contextlib.suppress(OSError):  # the terminal may be what was closed
            print(printable(line))
        raise SystemExit(128 + signal_number)

    def _leave(self):
        """Save what is done, unless it is half a step; raises nothing, which nobody could catch."""
        with contextlib.suppress(MemoryError):  # that may be why the loop was left
            if not together.all_are_here() or not self._settle():
                return
            if self._within is not None:
                self._within.undo()
            processes.here.end_batch()
            if self.step == self.saved_step:
                return
            try:
                with self._failing_in_a_line():
                    self._save()
                    self._finish()
            except (UserError, RunFailed) as error:
                line = f"not saved: {error}"
            else:
                line = f"left after step {self.step:,}, saved; go on with: {self.options.command}"
            self._progress.close()
            self._progress.note(line)

    def _fail(self, step, values):
        self._record.flush()
        self._progress.close()
        raise failures.not_finite(self, step, values)

    def _out_of_memory(self):
        self._progress.close()
        return failures.out_of_memory(self)

    @contextlib.contextmanager
    def _looping(self):
        self._in_the_loop = True
        try:
            yield
        finally:
            self._in_the_loop = False

    @contextlib.contextmanager
    def _failing_in_a_line(self):
        """Turn a failure to write (disk full, folder gone) into one line."""
        try:
            yield
        except OSError as error:
            if self._progress is not None:
                self._progress.close()
            raise failures.cannot_write(self, error) from error
