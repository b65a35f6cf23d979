"""The two steps of a GAN, for any of five losses, with a trace of all that passes.

The losses are pairs of a function of `kernels/plain.py` and its argument, so that a page can say
which formula ran.  D's loss is a sum over real and generated images, G's is of the latter alone.
"""

from dataclasses import dataclass

import numpy as np

from ..condition import join, join_backward
from ..kernels import PLAIN
from ..layers import BatchNorm
from ..network import Sequential
from ..penalty import gradient_penalty


@dataclass(frozen=True)
class Loss:
    """A game: what D minimises on real and on generated images, and what G minimises.

    name: for people.  real, fake, generator: (name of a function of plain, its arguments).
    """

    name: str
    real: tuple
    fake: tuple
    generator: tuple


LOSSES = (
    Loss("non-saturating", ("bce_with_logits", 1.0), ("bce_with_logits", 0.0),
         ("bce_with_logits", 1.0)),
    Loss("minimax", ("bce_with_logits", 1.0), ("bce_with_logits", 0.0), ("minimax",)),
    Loss("hinge", ("hinge", -1), ("hinge", +1), ("wasserstein", -1)),
    Loss("least squares", ("least_squares", 1.0), ("least_squares", 0.0), ("least_squares", 1.0)),
    Loss("Wasserstein", ("wasserstein", -1), ("wasserstein", +1), ("wasserstein", -1)),
)  # fmt: skip


@dataclass
class Pass:
    """A way through D, or through G and D, and back.

    loss: a number.  scores: (N, 1), D's verdicts.  y, dy: the traces of the networks that were
    passed, by name ("G", "D").  dx: the gradient at D's images, (N, H, W, C); dz: at G's input.
    """

    loss: float
    scores: np.ndarray
    y: dict
    dy: dict
    dx: np.ndarray
    dz: np.ndarray | None = None


def d_pass(D, part, images, code=None):
    """D judges images (N, H, W, C) of one kind; adds the gradient to D's.

    part: `Loss.real` or `Loss.fake`.  code: labels (N, K) of a conditional D.
    """
    return _judge(D, part, images, code, params=True)


def g_pass(G, D, loss, z, code=None):
    """The gradient runs through D, which stays as it is, to G; G's is set.  z: G's input."""
    y, dy = [], []
    fake, cache = G.forward(z, trace=y)
    there = _judge(D, loss.generator, fake, code, params=False)
    G.zero_grad()
    there.dz = G.backward(there.dx, cache, trace=dy)
    there.y["G"], there.dy["G"] = y, dy
    return there


def _judge(D, part, images, code, params):
    y, dy = [], []
    scores, cache = D.forward(images if code is None else join(images, code), trace=y)
    function, *arguments = part
    loss, dverdict = getattr(PLAIN[type(scores)], function)(verdict(scores), *arguments)
    dx = D.backward(verdict_backward(dverdict, scores), cache, params=params, trace=dy)
    if code is not None:
        dx, _ = join_backward(dx, images.shape[-1])
    return Pass(float(loss), verdict(scores), {"D": y}, {"D": dy}, dx)


def verdict(scores):
    """One score a sample: of two logits, (generated, real), their difference, as a softmax does."""
    return scores[:, 1:] - scores[:, :1] if _two(scores) else scores


def verdict_backward(dverdict, scores):
    return np.concatenate([-dverdict, dverdict], axis=1) if _two(scores) else dverdict


def _two(scores):
    return scores.ndim == 2 and scores.shape[1] == 2


def penalty(D, loss, real, fake, code=None, step=0):
    """WGAN-GP's penalty on D where the game is Wasserstein's, added to its gradient; the value.

    None where there is none: another game, or a D whose score is not one number of one sample.
    """
    features = real.shape[-1] + (0 if code is None else code.shape[1])
    if (
        loss.name != "Wasserstein"
        or D.output_shape((*real.shape[1:-1], features)) != (1,)
        or any(isinstance(layer, BatchNorm) for layer in leaves(D))
    ):
        return None
    return float(gradient_penalty(D, real, fake, condition=code, step=step))


def leaves(network):
    """Yields the layers of a network that are no networks."""
    for layer in network.layers:
        if isinstance(layer, Sequential):
            yield from leaves(layer)
        else:
            yield layer
