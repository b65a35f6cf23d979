"""Dropout: a random share of the elements is set to zero in training."""

import numpy as np

from .. import random
from ..arrays import on_gpu
from ..errors import check_setting
from ..kernels import blockwise
from ..kernels.gpu import pointwise as gpu_pointwise
from .base import Layer


class Dropout(Layer):
    """Inverted dropout: kept elements are divided by the share kept (Srivastava 2014).

    rate: the probability to *drop* an element, in [0, 1), taken to 16 bits.
    always: keep dropping in evaluation mode too (samples drawn with dropout on).

    The mask of a pass is a function of (seed, the layer's place, training step,
    number of the pass within that step): `begin_step` sets the step and restarts
    the count, so every pass draws a new mask and a resumed run draws the same ones.
    """

    def __init__(self, rate, *, always=False):
        super().__init__()
        check_setting(self, "rate", rate, 0, 1 - 2**-16)
        self.rate, self.always = float(rate), always
        self.step = self.calls = 0

    def begin_step(self, step):
        self.step, self.calls = step, 0

    def forward(self, x, train=True):
        if on_gpu(x) and self.drops(train):
            key = random.generator(**self._next_address()).bit_generator.random_raw()
            return gpu_pointwise.dropout(x, key, random.kept_share(1 - self.rate))
        mask = self.next_mask(x.shape, train)
        return self._masked(x, mask), mask

    def drops(self, train):
        """Whether a pass drops anything."""
        return (train or self.always) and self.rate > 0

    def next_mask(self, shape, train):
        """The mask of the next pass on the CPU, of booleans; None where nothing is dropped."""
        if not self.drops(train):
            return None
        return random.keep_mask(shape, 1 - self.rate, **self._next_address())

    def backward(self, dy, cache, params=True, inputs=True):
        return self._masked(dy, cache) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        return self._masked(dx_bar, cache), None

    def _next_address(self):
        self.calls += 1
        return dict(seed=self.seed, where=self.where, step=self.step, call=self.calls - 1)

    def _masked(self, x, mask):
        if mask is None:
            return x
        share = random.kept_share(1 - self.rate)
        if on_gpu(x):
            return gpu_pointwise.masked(x, mask, share)

        def masked(y, x, mask):
            np.copyto(y, mask)  # as numbers first: a product with booleans is slower
            y *= 1 / share
            y *= x

        return blockwise(masked, x, mask)
