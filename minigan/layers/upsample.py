"""UpSample2d: every pixel becomes a block of equal pixels."""

from ..arrays import get_array_module
from ..kernels import over_samples
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
        if not inputs:
            return None
        n, height, width, channels = dy.shape
        size = (n, height // self.factor, width // self.factor, channels)
        dx = get_array_module(dy).empty(size, dy.dtype)

        def work(start, stop):
            dx[start:stop] = self._blocks(dy[start:stop]).sum(axis=(2, 4))

        over_samples(work, dy)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        return self._repeated(dx_bar), None

    def _repeated(self, x):
        n, height, width, channels = x.shape
        size = (n, height * self.factor, width * self.factor, channels)
        y = get_array_module(x).empty(size, x.dtype)

        def work(start, stop):
            self._blocks(y[start:stop])[...] = x[start:stop, :, None, :, None]

        over_samples(work, y)
        return y

    def _blocks(self, y):
        """y as (N, H, factor, W, factor, C): one block of equal pixels on axes 2 and 4."""
        n, height, width, channels = y.shape
        f = self.factor
        return y.reshape(n, height // f, f, width // f, f, channels)
