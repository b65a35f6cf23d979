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

    def labelled(self, z, labels):
        """What a conditional generator reads: z with the codes of labels (count,)."""
        return join(z, one_hot(labels, len(self.classes), dtype=z.dtype))
