"""minigan anatomy: one training step taken apart, in one HTML file.

For each of five losses, and for a D that is some steps ahead of G, both steps are taken in plain
kernels with a trace of all that passes.  The page holds the pictures and numbers of all of them.
"""

import inspect
from pathlib import Path

import numpy as np

from ..condition import ByClass, join
from ..errors import UserError
from ..kernels import FAST, PLAIN, plain
from ..layers import Dropout, ReLU, Sigmoid, Tanh
from ..network import Layer
from ..optim import Adam
from ..training.page import fill, save
from . import ink
from .formulas import entry, passes, used
from .game import LOSSES, d_pass, g_pass, leaves, penalty
from .subject import first, from_checkpoint

LEADS = (0, 1, 2, 5, 20)  # steps of D alone
STEPS = 300  # of the small M1 before it is shown: its pictures begin to look like something
SHOWN = 6  # pictures at the top
OVERLAY = 32  # pixels a side of -dfake above them
BUDGET = 1_900_000  # bytes of all the small pictures, about


def anatomy(options):
    """Write the page of a checkpoint's networks, or of a small M1, to `options.out`."""
    if options.checkpoint:
        if options.steps is not None:
            raise UserError(f"--steps {options.steps}: a checkpoint has its steps behind it")
        subject = from_checkpoint(options.checkpoint, options.data, seed=options.seed)
    else:
        steps = STEPS if options.steps is None else options.steps
        subject = first(steps, seed=options.seed, words=options.data or "digits")
    print(f"{subject.name}: {subject.facts}; large networks take minutes", flush=True)
    with np.errstate(all="ignore"):  # what is not finite has no number on the page
        page = render(dissect(subject))
    save(options.out, page)


def render(content):
    """The page, a str: the template with the content in it."""
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return fill(template, content)


def dissect(subject, leads=None):
    """All that the page shows of a `Subject`, ready for JSON."""
    leads = leads or LEADS
    sheet = _Sheet(subject, len(leads))
    real, _, z = sheet.batch
    alone = [_batch_of_d(subject, step) for step in range(1, max(leads) + 1)]
    states = {}
    for game in {(loss.real, loss.fake): loss for loss in LOSSES}.values():
        ahead = subject.D.clone()
        ahead.use_kernels(FAST)
        optimizer = Adam(ahead, subject.lr, b1=0.5)
        for step in range(max(leads) + 1):
            if step:
                ahead.begin_step(step)
                _d_step(ahead, optimizer, game, step, *alone[step - 1])
            if step in leads:
                for loss in LOSSES:
                    if (loss.real, loss.fake) == (game.real, game.fake):
                        states[f"{loss.name}/{step}"] = sheet.state(ahead, loss)
    value_range = subject.batches.value_range
    return dict(
        name=subject.name,
        facts=subject.facts,
        leads=list(leads),
        loss=subject.loss,
        losses=[sheet.game(loss) for loss in LOSSES],
        fakes=ink.photographs(sheet.fake[:SHOWN], value_range),
        reals=ink.photographs(real[:SHOWN], value_range),
        z=dict(shape=z.shape[1:]),
        layers=sheet.layers,
        functions=sheet.functions,
        pictures=list(sheet.pictures),
        states=states,
    )


def _batch_of_d(subject, step):
    """(real, fake, code) of a step of D alone, on pictures that no other step sees."""
    real, code, z = subject.batch(step)
    G = subject.G.clone()  # its moving averages stay those of the step that is shown
    G.begin_step(step)
    return real, G.forward(z)[0], code


def _d_step(D, optimizer, loss, step, real, fake, code):
    """One update of D."""
    D.zero_grad()
    d_pass(D, loss.real, real, code)
    d_pass(D, loss.fake, fake, code)
    penalty(D, loss, real, fake, code, step)
    optimizer.step()


class _Sheet:
    """The pictures and functions of the page, each once, and what refers to them."""

    def __init__(self, subject, leads):
        self.pictures, self.functions = {}, {}
        self.G = _plain(subject.G)
        real, code, z = self.batch = subject.batch(0)
        self.G.begin_step(0)
        self.fake, _ = self.G.forward(z)
        planes = code is not None and not isinstance(subject.D, ByClass)
        judged = join(real, code) if planes else real  # what D's first layer reads
        self.layers = dict(G=self.describe(self.G, z[:2]), D=self.describe(subject.D, judged[:2]))
        g, d = (len(layers) for layers in self.layers.values())
        count = leads * (len(LOSSES) * (2 * d + g) + 8 * d)
        pixels = 2 * 0.7 * BUDGET / count  # two to a byte, and text of them is a third longer
        self.side = max(4, min(16, int((pixels / (2 * ink.COLUMNS)) ** 0.5) - 1))

    def picture(self, draw, values):
        uri = draw(ink.tile(values, self.side))
        return self.pictures.setdefault(uri, len(self.pictures))

    def describe(self, network, x):
        """What the page says of each layer, given two of the network's inputs."""
        described = []
        for layer in leaves(_plain(network)):
            x, *calls = passes(layer, x)
            for functions in calls:
                self.note(functions)
            down, up, frozen = map(list, calls)
            described.append(dict(
                title=repr(layer), text=_first_line(layer), shape=x.shape[1:],
                share=share(layer)[0], count=layer.param_count, down=down, up=up, frozen=frozen,
            ))  # fmt: skip
        return described

    def note(self, functions):
        """Describe functions, by name, and those of plain that they use."""
        for name, function in functions.items():
            others = used(name)[1:] if vars(plain).get(name) is function else []
            self.functions.setdefault(name, dict(uses=others, **entry(function)))
            self.note({other: getattr(plain, other) for other in others})

    def game(self, loss):
        """What the page says of a loss."""
        parts = {}
        for part in ("real", "fake", "generator"):
            name, *arguments = getattr(loss, part)
            self.note({name: getattr(plain, name)})
            call = f"{name}({', '.join(['x', *map(str, arguments)])})"
            parts[part] = dict(call=call, function=name)
        return dict(name=loss.name, **parts)

    def state(self, D, loss):
        """Both steps with this D, at the same weights."""
        (real, code, z), fake = self.batch, self.fake
        G, D = self.G, _plain(D)
        D.begin_step(0)
        D.zero_grad()
        parts = [d_pass(D, part, images, code)
                 for part, images in ((loss.real, real), (loss.fake, fake))]  # fmt: skip
        extra = penalty(D, loss, real, fake, code)
        y, dy = (
            [np.concatenate(pair) for pair in zip(*map(_flat, traces), strict=True)]
            for traces in ([part.y["D"] for part in parts], [part.dy["D"] for part in parts])
        )
        d_step = dict(
            loss=_number(sum(part.loss for part in parts) + (extra or 0)),
            penalty=None if extra is None else _number(extra),
            scores=[_number(part.scores.mean()) for part in parts],
            D=self.rows(D, y, dy),
        )
        G.begin_step(0)
        there = g_pass(G, D, loss, z, code)
        y, dy = there.y, there.dy
        wish = -there.dx[:SHOWN].mean(axis=-1)
        g_step = dict(
            loss=_number(there.loss),
            dfake=_number(_norm(there.dx)),
            dG=_number(_norm(G.grads)),
            dz=_number(_rms(there.dz)),
            wish=ink.red_and_blue(np.concatenate(list(ink.shrunk(wish, OVERLAY)), axis=1)),
            G=self.rows(G, _flat(y["G"]), _flat(dy["G"])),
            D=self.rows(D, _flat(y["D"]), _flat(dy["D"]), learns=False),
        )
        return dict(d=d_step, g=g_step)

    def rows(self, network, y, dy, learns=True):
        return [self.row(*row, learns) for row in zip(leaves(network), y, dy, strict=True)]

    def row(self, layer, y, dy, learns):
        """[picture of y, of dy, rms of y, of dy, share, |dW| / |W|]."""
        ratio = None
        if learns and layer.param_count and (size := _norm(layer.params)):
            ratio = _number(_norm(layer.grads) / size)
        return [
            self.picture(ink.grey, y), self.picture(ink.red_and_blue, dy),
            _number(_rms(y)), _number(_rms(dy)), _number(share(layer)[1](y)), ratio,
        ]  # fmt: skip


def _plain(network):
    """A copy in plain kernels, which do one layer at a time."""
    copy = network.clone()
    copy.use_kernels(PLAIN)
    return copy


def _flat(trace):
    """A trace as a list of arrays, the inner networks' among them."""
    return [array for item in trace
            for array in (_flat(item) if isinstance(item, list) else [item])]  # fmt: skip


def _first_line(layer):
    """The first sentence of the layer's docstring."""
    text = inspect.getdoc(type(layer)) or ""
    return " ".join(text.partition("\n\n")[0].split()) if text != inspect.getdoc(Layer) else ""


def share(layer):
    """(word, function of y): what share of a layer's y to tell."""
    if isinstance(layer, (Tanh, Sigmoid)):  # f' is below a tenth of its largest value
        low, high, steepest = (-1, 1, 1.0) if isinstance(layer, Tanh) else (0, 1, 0.25)
        return "saturated", lambda y: np.mean((y - low) * (high - y) < 0.1 * steepest)
    if isinstance(layer, Dropout):
        return "zero", lambda y: np.mean(y == 0)
    if isinstance(layer, ReLU):
        return "off", lambda y: np.mean(y <= 0)
    return "negative", lambda y: np.mean(y < 0)


def _norm(values):
    return float(np.sqrt(np.sum(np.square(values, dtype=np.float64))))


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _number(value):
    """A number of three digits, None where it is not finite."""
    return float(f"{float(value):.3g}") if np.isfinite(value) else None
