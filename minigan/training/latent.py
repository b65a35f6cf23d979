"""The generator's input distribution, as a value that goes into the checkpoint."""

import numpy as np

from .. import random

KINDS = ("normal", "uniform")


class Latent:
    """z of `size` numbers a sample: "normal" N(0, 1), or "uniform" in [low, high).

    Raises ValueError for another kind or size.
    """

    def __init__(self, size, kind="normal", low=-1.0, high=1.0):
        if kind not in KINDS or size < 1:
            raise ValueError(f"latent must be {' or '.join(KINDS)} of size >= 1: {kind!r}, {size!r}")
        self.size, self.kind, self.low, self.high = size, kind, low, high

    def draw(self, count, *, seed, where, step=0, dtype="float32", xp=np):
        """z (count, size) of `dtype` and module `xp` at an address (see `minigan.random`)."""
        shape, address = (count, self.size), dict(seed=seed, where=where, step=step)
        if self.kind == "normal":
            return random.normal(shape, **address, dtype=dtype, xp=xp)
        return random.uniform(shape, self.low, self.high, **address, dtype=dtype, xp=xp)
