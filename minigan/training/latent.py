"""The generator's input distribution, as a value that goes into the checkpoint."""

import numpy as np

from .. import random
from ..condition import join, one_hot

KINDS = ("normal", "uniform")


class Latent:
    """z of `size` numbers a sample: "normal" N(0, 1), or "uniform" in [low, high).

    classes: of a conditional generator, which reads z and a one-hot label behind it, the names
    of the labels 0, 1, ...  Raises ValueError for another kind or size.
    """

    def __init__(self, size, kind="normal", low=-1.0, high=1.0, classes=()):
        if kind not in KINDS or size < 1:
            kinds = " or ".join(KINDS)
            raise ValueError(f"latent must be {kinds} of size >= 1: {kind!r}, {size!r}")
        self.size, self.kind, self.low, self.high = size, kind, low, high
        self.classes = tuple(classes)

    def draw(self, count, *, seed, where, step=0, dtype="float32", xp=np):
        """z (count, size) of `dtype` and module `xp` at an address (see `minigan.random`)."""
        shape, address = (count, self.size), dict(seed=seed, where=where, step=step)
        if self.kind == "normal":
            return random.normal(shape, **address, dtype=dtype, xp=xp)
        return random.uniform(shape, self.low, self.high, **address, dtype=dtype, xp=xp)

    def between(self, a, b, share):
        """z (n, size) on the way from a to b, both (size,), at share (n,): 0 is at a, 1 at b.

        Normal z of many numbers lie near a sphere, and the way keeps to it (White 2016, "Sampling
        generative networks"): a straight line passes the inside, whose z are shorter than any that
        the generator has seen.  Uniform ones fill a cube, which that way may leave and a straight
        line does not: it is theirs.
        """
        return arc(a, b, share) if self.kind == "normal" else straight_line(a, b, share)

    def labelled(self, z, labels):
        """What a conditional generator reads: z with the codes of labels (count,)."""
        return join(z, one_hot(labels, len(self.classes), dtype=z.dtype))


def straight_line(a, b, share):
    """(1 - t) a + t b for every t of share (n,): (n, size) of a's dtype."""
    t = share[:, None]
    return ((1 - t) * a + t * b).astype(a.dtype)


def arc(a, b, share):
    """(sin((1 - t) w) a + sin(t w) b) / sin w, w the angle between a and b; (n, size) as above.

    A straight line where they are parallel, and no arc or any would do.
    """
    w = float(np.arccos(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1)))
    if np.sin(w) < 1e-3:
        return straight_line(a, b, share)
    t = share[:, None]
    return (np.sin((1 - t) * w) / np.sin(w) * a + np.sin(t * w) / np.sin(w) * b).astype(a.dtype)
