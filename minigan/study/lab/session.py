"""A session: a thread that trains one duel, does what it is told between two stages, and shows it.

    session = Session(FIRST)
    session.do({"do": "step"})
    frame = session.frame(after=0).result()

All that touches the networks happens on that one thread, so there is no lock: a command is a job
that waits for its turn.  Frames are made when somebody has asked for one.
"""

import math
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict

import numpy as np

from ...threads import calling_thread_alone
from ..duel import Duel
from ..worlds import EXTENT, WORLDS, divergences
from . import view
from .curves import Curves
from .settings import FIRST, LIVE, PACES
from .stages import described, number, tensors

EVERY = 20  # steps from one judgement of G to the next
OF_A_WORLD = 160  # points of its small picture
JUDGES = 1000  # points by which it is judged
VALUES = ("d_loss", "g_loss", "d_grads", "g_grads", "dfake")  # of a step; norms of the last three
JUDGEMENT = ("modes", "good", "kl", "js")
NO_POINTS = "there are no points yet: draw some in the picture"
OVERFLOW = (
    "The numbers have overflowed in step {:,}: they are infinite, or none at all. Lower the "
    "learning rates and reset."
)


class Session:
    """Trains until `close`.  settings: a `LabSettings`."""

    def __init__(self, settings):
        # Frames are numbered on from the clock, so that a page sees when it has another session.
        self._age = time.time_ns() // 1000
        self._jobs, self._waiting, self._ended = queue.SimpleQueue(), [], False
        self._running, self._until = False, 0  # whether it trains, and which step is to be the last
        self._due, self._speed = 0.0, _Speed()  # when the next stage or step is; how many a second
        self._take(settings)
        self._reset()
        self._thread = threading.Thread(target=self._work, name="minigan-lab", daemon=True)
        self._thread.start()

    # What other threads call.

    def do(self, command):
        """Carry out a command, a value out of JSON.  Raises ValueError with one line.

        {"do": "run" | "pause" | "step" | "stage" | "reset"}, or {"do": "set", "settings":
        {name: value, ...}}, which begins anew unless networks in training can be given the values.
        """
        method, *arguments = self._understood(command)
        done = Future()
        self._jobs.put(lambda: self._obey(done, method, *arguments))
        done.result()

    def frame(self, after):
        """A Future of the first frame whose number is above `after`: a dict for JSON.

        It has an entry "about" if settings have changed since.
        """
        future = Future()
        self._jobs.put(lambda: self._waiting.append((after, future)))
        return future

    def close(self):
        """Let the thread end."""
        self._jobs.put(self._end)
        self._thread.join()

    def _understood(self, command):
        commands = dict(run=self._run, pause=self._pause, step=self._step, stage=self._one_stage,
                        reset=self._reset, set=self._set)  # fmt: skip
        if not isinstance(command, dict) or command.get("do") not in [*commands]:
            raise ValueError(f"{command!r:.80} is no command: do is one of {', '.join(commands)}")
        name, arguments = command["do"], {key: command[key] for key in command.keys() - {"do"}}
        if arguments.keys() != ({"settings"} if name == "set" else set()):
            raise ValueError(f"{command!r:.80}: settings go with do=set, and with nothing else")
        return commands[name], *arguments.values()

    # The thread.

    def _work(self):
        # Networks may explode: `_finish` says so.
        with np.errstate(all="ignore"), calling_thread_alone():
            while not self._ended:
                try:
                    job = self._jobs.get(timeout=self._rest())
                except queue.Empty:
                    job = self._advance
                job()
                self._show()

    def _rest(self):
        """Seconds until it has something to do; None: until somebody asks for something."""
        return max(0.0, self._due - time.monotonic()) if self._running else None

    def _advance(self):
        pace = "fast" if self._step_count < self._until else self._settings.pace
        self._due = time.monotonic() + PACES[pace]
        if pace == "stages":
            self._part()
        else:
            self._to_its_end()
        if self._until and self._step_count >= self._until:
            self._pause()

    def _end(self):
        self._ended = True

    # Commands.

    def _obey(self, done, method, *arguments):
        """Its end, or its error, goes to whoever gave the command."""
        self._age += 1
        try:
            done.set_result(method(*arguments))
        except Exception as error:
            self._taken = self._age  # whose page shows what was refused: it is told what there is
            done.set_exception(error)

    def _run(self):
        self._need_points()
        self._running, self._until = True, 0
        self._due, self._speed = 0.0, _Speed()

    def _pause(self):
        self._running, self._until = False, 0

    def _step(self):
        self._pause()
        self._to_its_end()

    def _one_stage(self):
        self._pause()
        self._part()

    def _reset(self):
        """New networks, and the steps that are to be over before anybody looks."""
        s = self._settings
        self._duel = Duel(s)
        self._step_count, self._parts, self._stage, self._note = 0, None, None, ""
        self._now, self._judgement = [math.nan] * len(VALUES), [math.nan] * len(JUDGEMENT)
        self._curves, self._judged = Curves(len(VALUES)), Curves(len(JUDGEMENT))
        self._until = s.begin
        self._running = self._world is not None and (self._running or self._until > 0)
        self._age += 1

    def _set(self, changes):
        before, settings = asdict(self._settings), self._settings.changed(changes)
        changed = {name for name, value in asdict(settings).items() if value != before[name]}
        if self._parts:
            self._to_its_end()
        self._take(settings)
        if changed <= LIVE:
            self._duel = _carried_over(self._duel, settings)
        else:
            self._reset()

    def _take(self, settings):
        self._settings, self._about = settings, None
        self._world = settings.the_world()
        if self._world:
            self._data = self._world.sample(
                JUDGES, seed=settings.seed, where="shown", dtype=settings.dtype
            )
        else:
            self._data = np.empty((0, 2), settings.dtype)
            self._pause()
        self._age += 1
        self._taken = self._age

    def _need_points(self):
        if self._world is None:
            raise ValueError(NO_POINTS)

    # A training step.

    def _to_its_end(self):
        """To the end of a step, which may have begun."""
        self._part()
        while self._parts:
            self._part()
        self._stage = None

    def _part(self):
        """The next stage of the step, or the first of the next step."""
        s, step = self._settings, self._step_count
        if not self._parts:
            self._need_points()
            real = self._world.sample(s.batch, seed=s.seed, step=step, dtype=s.dtype)
            d, g = s.learns != "G", s.learns != "D"
            self._parts = self._duel.stages(real, step, d=d, g=g)
            self._updates, self._values = s.d_steps * d + g, {}
        self._stage = next(self._parts)
        self._values |= self._stage.values
        self._updates -= self._stage.name.endswith("update")
        self._age += 1
        if not self._updates:
            self._parts = None
            self._finish()

    def _finish(self):
        """Note the values of a step that is over."""
        self._step_count += 1
        there = {name: self._values[name] for name in VALUES if name in self._values}
        there = {name: float(np.linalg.norm(value) if np.ndim(value) else value)
                 for name, value in there.items()}  # fmt: skip
        self._now = [there.get(name, math.nan) for name in VALUES]
        self._curves.add(self._now)
        self._speed.note(self._step_count)
        finite = all(map(math.isfinite, there.values()))
        if finite and self._step_count % EVERY == 0:
            points = view.samples(self._duel, JUDGES, "judged", self._step_count)
            if finite := bool(np.isfinite(points).all()):  # the update may have been too large
                self._judge(points)
        if not finite:
            self._pause()
            self._note = OVERFLOW.format(self._step_count)

    def _judge(self, points):
        found = (math.nan, math.nan)
        if len(self._world.centres):
            found = self._world.quality(points)
        self._judgement = [*map(float, (*found, *divergences(points, self._data)))]
        self._judged.add(self._judgement)

    # What is seen.

    def _show(self):
        waiting = [(after, future) for after, future in self._waiting if after < self._age]
        if not waiting:
            return
        self._waiting = [pair for pair in self._waiting if pair not in waiting]
        waiting = [pair for pair in waiting if pair[1].set_running_or_notify_cancel()]
        frame = self._frame() if waiting else None
        for after, future in waiting:
            about = dict(about=self._describe()) if after < self._taken else {}
            future.set_result(frame | about)

    def _frame(self):
        duel, stage = self._duel, self._stage
        fake = view.samples(duel)
        return dict(
            number=self._age,
            step=self._step_count,
            begin=self._until,
            running=self._running,
            note=self._note,
            speed=number(self._speed.rate) if self._running else None,
            stage=stage and dict(name=stage.name, tensors=tensors(stage, duel)),
            now=dict(zip(VALUES + JUDGEMENT, map(number, self._now + self._judgement))),
            surface=view.packed(view.surface(duel)),
            fake=view.packed(fake),
            wishes=view.packed(view.wishes(duel, fake[: view.ARROWS])),
            map=view.packed(view.noise_map(duel)),
            curves=_curve(self._curves, 1),
            judged=_curve(self._judged, EVERY),
        )

    def _describe(self):
        """What changes with the settings alone."""
        if self._about is None:
            s, duel = self._settings, self._duel
            self._about = dict(
                settings=asdict(s),
                defaults=asdict(FIRST),
                extent=EXTENT,
                worlds={name: view.packed(world.sample(OF_A_WORLD, seed=0))
                        for name, world in WORLDS.items()},
                real=view.packed(self._data[: view.SHOWN]),
                modes=0 if self._world is None else len(self._world.centres),
                stages=described(s),
                networks={name: [repr(layer) for layer in network.layers]
                          for name, network in (("G", duel.G), ("D", duel.D))},
            )  # fmt: skip
        return self._about


class _Speed:
    """Steps a second, measured over half a second or more."""

    def __init__(self):
        self.rate, self._since = math.nan, None

    def note(self, step):
        """This step has ended now."""
        now = time.monotonic()
        if self._since is None:
            self._since = now, step
        elif now - self._since[0] > 0.5:
            self.rate = (step - self._since[1]) / (now - self._since[0])
            self._since = now, step


def _carried_over(duel, settings):
    """A duel of these settings with the networks of another, and its optimizers where they fit.

    Adam's sums are of weights b^age: with another b they would be of another size.
    """
    new = Duel(settings)
    pairs = [(new.G, duel.G), (new.D, duel.D)]
    if new.average:
        pairs += [(new.generator, duel.generator)]
    for network, trained in pairs:
        network.params, network.buffers = trained.params, trained.buffers
    if all(getattr(settings, n) == getattr(duel.settings, n) for n in ("optimizer", "b1", "b2")):
        for optimizer, used in ((new.opt_g, duel.opt_g), (new.opt_d, duel.opt_d)):
            optimizer.t, optimizer.state = used.t, used.state
    return new


def _curve(curves, every):
    return dict(stretch=curves.stretch * every, points=view.packed(curves.points()))
