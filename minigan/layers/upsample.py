"""UpSample2d: every pixel becomes a block of equal pixels."""

from ..arrays import get_array_module
from .base import Layer


class UpSample2d(Layer):
    """Nearest-neighbour up-sampling: (N, H, W, C) -> (N, factor H, factor W, C).

    A pixel is read by all of its block, so its gradient is the block's sum.
    """

    def __init__(self, factor=2):
        super().__init__()
        self.factor = self._check_shape("block", (factor,))[0]

    def output_shape(self, input_shape):
        height, width, channels = input_shape
        return height * self.factor, width * self.factor, channels

    def forward(self, x, train=True):
        return self._repeated(x), None

    def backward(self, dy, cache, params=True, inputs=True):
        return self._blocks(dy).sum(axis=(2, 4)) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        return self._repeated(dx_bar), None

    def _repeated(self, x):
        n, height, width, channels = x.shape
        size = (n, height * self.factor, width * self.factor, channels)
        y = get_array_module(x).empty(size, x.dtype)
        self._blocks(y)[...] = x[:, :, None, :, None]
        return y

    def _blocks(self, y):
        """y as (N, H, factor, W, factor, C): one block of equal pixels on axes 2 and 4."""
        n, height, width, channels = y.shape
        f = self.factor
        return y.reshape(n, height // f, f, width // f, f, channels)
