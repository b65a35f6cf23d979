"""Gate: a LeakyReLU and the Dropout behind it in one pass over memory.

Both multiply every element by a number, 1 or the slope, and 0 or 1 / share kept.  Their product,
the factor f, is all that the ways up and down need of either:

    y = f x        dx = f dy        dy_bar = f dx_bar

so it is the cache, and the two passes back are one multiplication.  `Sequential` puts a Gate in the
place of such a pair; layer by layer, activation.py and dropout.py say the same.  It holds its input
and two arrays more for a moment, which for ReLU, of fewer passes itself, is not worth the time.
"""

import itertools

import numpy as np

from .. import random
from ..kernels import blockwise, in_blocks
from .activation import LeakyReLU
from .base import Layer
from .dropout import Dropout


class Gate(Layer):
    """y = dropout(leaky(x)) on the CPU, with the mask that the dropout would draw."""

    def __init__(self, leaky, dropout):
        super().__init__()
        self.leaky, self.dropout = leaky, dropout

    def forward(self, x, train=True):
        mask = self.dropout.next_mask(x.shape, train)
        slope = self.leaky.slope
        share = 1.0 if mask is None else random.kept_share(1 - self.dropout.rate)

        def gate(y, f, x, mask=None):
            np.greater(x, 0, out=f)
            f *= (1 - slope) / share
            f += slope / share
            if mask is not None:
                np.copyto(y, mask)  # as numbers first: a product with booleans is slower
                f *= y
            np.multiply(f, x, out=y)

        y, f = np.empty_like(x), np.empty_like(x)
        in_blocks(gate, y, f, x, *([] if mask is None else [mask]))
        return y, f

    def backward(self, dy, cache, params=True, inputs=True):
        return self._times(cache, dy) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        return self._times(cache, dx_bar), None

    def _times(self, f, dy):
        return blockwise(lambda dx, f, dy: np.multiply(f, dy, out=dx), f, dy)


def with_gates(layers):
    """The list of layers with a Gate for each LeakyReLU and the Dropout behind it.

    In the Dropout's place stands one that drops nothing, so that places and caches are as before.
    """
    passes = list(layers)
    for i, (first, second) in enumerate(itertools.pairwise(layers)):
        if type(first) is LeakyReLU and type(second) is Dropout:
            passes[i : i + 2] = Gate(first, second), Dropout(0.0)
    return passes
