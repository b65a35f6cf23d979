"""Addressed randomness: every random array is a function of (seed, where, step).

A stream of random numbers has a position that must be saved, and one extra draw
anywhere shifts everything after it.  An address has neither: `where` names the
purpose ("z/discriminator", "generator/0.dense/weight"), `step` counts training
steps (or epochs), and the same address always gives the same numbers.  So a
resumed run is the uninterrupted one, bit for bit, with nothing stored.

Noise, initial weights and shuffles are drawn on the host by NumPy (SFC64 keyed
through SeedSequence) and moved to the device, which makes them equal on both.
They are drawn in float64 and rounded, which makes them equal in both precisions.
Dropout masks are too large for that trip: on the GPU they come from a
counter-based hash instead.
"""

import itertools

import numpy as np

from . import changing, kernels, processes
from .kernels.plain import random_bits

_KEEP_LEVELS = 1 << 16


def generator(seed, where, step=0, call=0):
    """The NumPy generator at an address.

    seed, step, call: integers >= 0; `call` tells apart several draws of one
    place within one step.  where: a string.
    """
    return np.random.Generator(random_bits(seed, where, step, call))


_unaddressed = itertools.count()


def numbered(step):
    """The step, or without one the next of a count: numbers that nothing has drawn before.

    For play.  A run gives its own, or it could not be gone on with.
    """
    return next(_unaddressed) if step is None else step


def normal(shape, *, seed, where, step=0, dtype=np.float32, xp=np):
    """Standard normal numbers, an array of `shape` and `dtype` of module `xp`."""
    return _drawn(xp, step, lambda step: generator(seed, where, step).standard_normal(shape), dtype)


def uniform(shape, low=0.0, high=1.0, *, seed, where, step=0, call=0, dtype=np.float32, xp=np):
    """Uniform numbers in [low, high), an array of `shape` and `dtype` of module `xp`."""
    return _drawn(
        xp, step, lambda step: generator(seed, where, step, call).uniform(low, high, shape), dtype
    )


def _drawn(xp, step, draw, dtype):
    return xp.asarray(changing.of_step(lambda step: draw(step).astype(dtype), step))


def of_batch(draw, shape, **options):
    """draw(shape, ...), `normal` or `uniform`, for the samples of a batch.

    shape: (n, ...), of what this process has of the batch; it gets its rows of the whole.
    """
    here = processes.here
    whole = shape[0] * here.size if here.share else shape[0]
    return here.rows(draw((whole, *shape[1:]), **options))


def permutation(n, *, seed, where, step=0):
    """A random order of range(n): int64 NumPy array (n,)."""
    return generator(seed, where, step).permutation(n)


def keep_mask(shape, keep, *, seed, where, step=0, call=0, share=None):
    """Boolean NumPy array, True with probability `keep`; each block has its own generator.

    share: of one process in a mask of all: see `kernels.plain.runs`.

    The probability is a multiple of 1/65536: 16 random bits an element are a
    quarter of the work of a float, and `kept_share` tells the exact value.
    """
    k = kernels.default[np.ndarray]
    return k.keep_mask(shape, keep, seed=seed, where=where, step=step, call=call, share=share)


def kept_share(keep):
    """The probability that `keep_mask` really uses: `keep` to 16 bits."""
    return round(keep * _KEEP_LEVELS) / _KEEP_LEVELS
