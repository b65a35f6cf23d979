"""Two small networks that play for the plane: G turns noise into points, D scores them.

    duel = Duel(Settings(loss="wasserstein", penalty="wgan-gp"))
    for step in range(1000):
        real = world.sample(256, seed=0, step=step)
        values = duel.step(real, step)

`stages` is the training step, top to bottom, as in the examples; between its parts it hands out
what has just been computed, so that the laboratory can stop inside a step.  `step` goes through.
"""

from dataclasses import dataclass, field, fields

from .. import init, layers, losses, optim, penalty, processes
from ..arrays import to_host
from ..average import MovingAverage
from ..network import Sequential
from ..threads import calling_thread_alone
from ..training.latent import KINDS, Latent
from .game import LOSSES
from .worlds import COUNT

GAMES = {loss.name.lower().replace(" ", "-"): loss for loss in LOSSES}
PENALTIES = ("none", "wgan-gp", "r1", "clip")
ACTIVATIONS = {
    "relu": layers.ReLU, "leaky-relu": lambda: layers.LeakyReLU(0.2), "tanh": layers.Tanh,
}  # fmt: skip
OPTIMIZERS = ("adam", "rmsprop", "sgd")
SMALLEST = 2.0**-126  # number that float32 has with all its digits


def one_of(default, *choices):
    return field(default=default, metadata={"choices": choices})


def between(default, low, high):
    return field(default=default, metadata={"limits": (low, high)})


@dataclass(frozen=True)
class Settings:
    """What a duel is made of.  Raises ValueError in one line for what cannot be.

    loss: of `GAMES`.  penalty: of `PENALTIES`; strength: its weight, of "clip" the limit of the
    weights.  d_layers, g_layers: hidden ones, of d_width, g_width units; d_batchnorm, g_batchnorm:
    in front of their activation.  d_steps: updates of D for each of G, on the same real points.
    b1, b2: of Adam.  average: decay of the moving average of G, 0 for none.
    noise, noise_size: kind and size of z.
    """

    loss: str = one_of("wasserstein", *GAMES)
    penalty: str = one_of("wgan-gp", *PENALTIES)
    strength: float = between(0.1, SMALLEST, 1e6)
    g_layers: int = between(3, 0, 8)
    d_layers: int = between(3, 0, 8)
    g_width: int = between(64, 1, 1024)
    d_width: int = between(64, 1, 1024)
    g_batchnorm: bool = False
    d_batchnorm: bool = False
    activation: str = one_of("relu", *ACTIVATIONS)
    optimizer: str = one_of("adam", *OPTIMIZERS)
    g_lr: float = between(2e-3, SMALLEST, 10)
    d_lr: float = between(2e-3, SMALLEST, 10)
    b1: float = between(0.5, 0, 0.9999)
    b2: float = between(0.9, 0, 0.9999)
    d_steps: int = between(2, 1, 100)
    average: float = between(0.99, 0, 0.9999)
    noise: str = one_of("uniform", *KINDS)
    noise_size: int = between(2, 1, 256)
    dtype: str = one_of("float32", "float32", "float64")
    seed: int = between(0, 0, 2**64 - 1)

    def __post_init__(self):
        for setting in fields(self):
            _check(setting, getattr(self, setting.name))
        if self.d_batchnorm and self.penalty in ("wgan-gp", "r1"):
            raise ValueError(
                f"penalty={self.penalty!r} with d_batchnorm=True: each score would depend on the "
                "whole batch, and the penalty is on the slope of one sample's; take one of them"
            )


def _check(setting, value):
    kind, place = type(setting.default), f"{setting.name}={value!r}"
    choices, limits = setting.metadata.get("choices"), setting.metadata.get("limits")
    if choices and value not in choices:
        raise ValueError(f"{place} is not one of {', '.join(choices)}")
    if type(value) not in ((float, int) if kind is float else (kind,)):
        raise ValueError(f"{place} is not {kind.__name__}: give one such as {setting.default!r}")
    if limits and not limits[0] <= value <= limits[1]:  # true for a NaN
        raise ValueError(f"{place} is not between {limits[0]} and {limits[1]}")


@dataclass(frozen=True)
class Stage:
    """A part of a training step that is over.

    name: of the part, one of `STAGES`.  values: name -> array or 0-d result, what it made.  The
    arrays are the step's own: a reader changes none, and copies what is to outlive the next part.
    """

    name: str
    values: dict


STAGES = (
    "D forward", "D backward", "penalty", "D update",
    "G forward", "through D", "G backward", "G update",
)  # fmt: skip


class Duel:
    """G: z (N, noise_size) -> points (N, 2).  D: points (N, 2) -> scores (N, 1).

    settings: a `Settings`.  Attributes: G, D, opt_g, opt_d, latent; generator: the network that
    draws, which is G or its moving average.

    Both networks run on the plain kernels: what is read is what runs, and where a product takes
    less time than waking a thread, they are the faster ones.
    """

    def __init__(self, settings):
        self.settings = s = settings
        self.game = GAMES[s.loss]
        self.latent = Latent(s.noise_size, s.noise)
        self.G = _network("generator", s.noise_size, s.g_layers, s.g_width, 2, s.g_batchnorm, s)
        self.D = _network("discriminator", 2, s.d_layers, s.d_width, 1, s.d_batchnorm, s)
        self.opt_g, self.opt_d = _optimizer(self.G, s.g_lr, s), _optimizer(self.D, s.d_lr, s)
        self.average = MovingAverage(self.G, s.average) if s.average else None
        self.generator = self.average.network if self.average else self.G

    def to(self, device):
        """Move all to "cpu" or "gpu"."""
        for part in (self.G, self.D, self.generator, self.opt_g, self.opt_d):
            part.to(device)
        return self

    def noise(self, n, where, step):
        """z (n, noise_size) on the networks' device, a function of the seed, `where` and `step`."""
        s, here = self.settings, processes.here
        whole = n * here.size if here.share else n
        return here.rows(
            self.latent.draw(
                whole, seed=s.seed, where=where, step=step, dtype=s.dtype, xp=self.G.xp
            )
        )

    def samples(self, generator=None, n=COUNT):
        """Points (n, 2) on the host, of the same z every time; by default of `generator`."""
        z = self.noise(n, "samples", 0)
        return to_host((generator or self.generator).forward(z, train=False)[0])

    def train(self, world, steps, batch_size=256):
        """So many steps from the first one on, each on new points of a world."""
        s, xp = self.settings, self.G.xp
        for step in range(steps):
            real = world.sample(batch_size, seed=s.seed, step=step, dtype=s.dtype, xp=xp)
            self.step(real, step)

    def step(self, real, step, *, d=True, g=True):
        """A whole training step; returns the values of its stages, the last of each name."""
        values = {}
        with calling_thread_alone():
            for stage in self.stages(real, step, d=d, g=g):
                values |= stage.values
        return values

    def stages(self, real, step, *, d=True, g=True):
        """Updates of D, then one of G; yields a `Stage` after each part.

        real: points (N, 2) of the networks' dtype.  step: counts the steps, and is the address of
        their random numbers.  d, g: whether D and G learn.
        """
        G, D, s, n = self.G, self.D, self.settings, len(real)
        for i in range(s.d_steps if d else 0):
            # D: real points up, generated ones down, each kind by its own batch statistics.
            z = self.noise(n, f"z for D {i}", step)
            fake, _ = G.forward(z)
            real_scores, real_cache = D.forward(real)
            fake_scores, fake_cache = D.forward(fake)
            real_loss, dreal_scores = loss(self.game.real, real_scores)
            fake_loss, dfake_scores = loss(self.game.fake, fake_scores)
            yield Stage("D forward", dict(
                real=real, z=z, fake=fake, real_scores=real_scores, fake_scores=fake_scores,
                d_loss=real_loss + fake_loss,
            ))  # fmt: skip

            D.zero_grad()
            D.backward(dreal_scores, real_cache, need_dx=False)
            D.backward(dfake_scores, fake_cache, need_dx=False)
            yield Stage("D backward", dict(
                dreal_scores=dreal_scores, dfake_scores=dfake_scores, d_grads=D.grads,
            ))  # fmt: skip

            if s.penalty == "wgan-gp":
                punished = penalty.gradient_penalty(
                    D, real, fake, weight=s.strength, seed=s.seed, where=f"epsilon {i}", step=step
                )
            elif s.penalty == "r1":
                punished = penalty.r1(D, real, weight=s.strength)
            if s.penalty in ("wgan-gp", "r1"):
                d_loss = real_loss + fake_loss + punished
                yield Stage("penalty", dict(penalty=punished, d_loss=d_loss, d_grads=D.grads))

            self.opt_d.step()
            if s.penalty == "clip":
                penalty.clip_weights(D, s.strength)
            yield Stage("D update", dict(d_params=D.params))

        if not g:
            return
        # G: the gradient runs through the updated D, which stays as it is (params=False).
        z = self.noise(n, "z for G", step)
        fake, g_cache = G.forward(z)
        yield Stage("G forward", dict(z=z, fake=fake))

        scores, d_cache = D.forward(fake)
        g_loss, dscores = loss(self.game.generator, scores)
        dfake = D.backward(dscores, d_cache, params=False)
        yield Stage("through D", dict(
            fake_scores=scores, g_loss=g_loss, dfake_scores=dscores, dfake=dfake,
        ))  # fmt: skip

        G.zero_grad()
        G.backward(dfake, g_cache, need_dx=False)
        yield Stage("G backward", dict(g_grads=G.grads))

        self.opt_g.step()
        if self.average:
            self.average.update(step + 1)
        yield Stage("G update", dict(g_params=G.params))


def loss(part, scores):
    """(loss, dscores) of scores (N, 1).  part: `Loss.real`, `.fake` or `.generator` of a game."""
    function, *arguments = part
    return getattr(losses, function)(scores, *arguments)


def _network(name, inputs, hidden, width, outputs, batchnorm, settings):
    chain = []
    for _ in range(hidden):
        # Biases spread the kinks of the first layer over the plane; at 0 all go through its middle.
        biases = init.UniformFanIn(inputs)
        chain += [layers.Dense(inputs, width, weight_init=init.HeNormal(), bias_init=biases)]
        chain += [layers.BatchNorm(width)] * batchnorm
        chain += [ACTIVATIONS[settings.activation]()]
        inputs = width
    return Sequential(
        [*chain, layers.Dense(inputs, outputs)],
        name=name, seed=settings.seed, dtype=settings.dtype, kernels="plain",
    )  # fmt: skip


def _optimizer(network, lr, s):
    if s.optimizer == "adam":
        return optim.Adam(network, lr, b1=s.b1, b2=s.b2)
    return {"rmsprop": optim.RMSProp, "sgd": optim.SGD}[s.optimizer](network, lr)
