"""Activations: elementwise functions, their derivatives and second derivatives.

For y = f(x) applied to each element:

    backward          dx = f'(x) dy
    double_backward   dy_bar = f'(x) dx_bar,   x_bar = f''(x) dy dx_bar

f'' is zero almost everywhere for the piecewise-linear ReLU and LeakyReLU; for
the smooth Sigmoid and Tanh it is not, and a gradient penalty needs it.
"""

import numpy as np

from ..arrays import get_array_module, on_gpu
from ..errors import check_setting
from ..functions import sigmoid
from ..kernels import blockwise
from ..kernels.gpu import pointwise as gpu_pointwise
from .base import Layer


class LeakyReLU(Layer):
    """y = x where x > 0, slope x elsewhere (Maas et al. 2013).  0 <= slope < 1."""

    def __init__(self, slope=0.01):
        super().__init__()
        check_setting(self, "slope", slope, 0, 1)
        self.slope = float(slope)

    def forward(self, x, train=True):
        if on_gpu(x):
            return (gpu_pointwise.leaky_relu(x, self.slope),) * 2

        def leaky(y, x):
            np.multiply(x, self.slope, out=y)
            np.maximum(x, y, out=y)

        y = blockwise(leaky, x)
        return y, y

    def backward(self, dy, cache, params=True, inputs=True):
        return self._times_derivative(dy, cache) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        return self._times_derivative(dx_bar, cache), None

    def _times_derivative(self, dy, y):
        if on_gpu(dy):
            return gpu_pointwise.leaky_relu_backward(dy, y, self.slope)

        def derivative(dx, dy, y):
            # 1 or slope by arithmetic on 1 or 0: a branch an element costs ten times more.
            np.greater(y, 0, out=dx)
            dx *= 1 - self.slope
            dx += self.slope
            dx *= dy

        return blockwise(derivative, dy, y)


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x, train=True):
        xp = get_array_module(x)
        y = blockwise(lambda y, x: xp.maximum(x, 0, out=y), x)
        return y, y

    def backward(self, dy, cache, params=True, inputs=True):
        return self._masked(dy, cache) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        return self._masked(dx_bar, cache), None

    def _masked(self, dy, y):
        if on_gpu(dy):
            return gpu_pointwise.leaky_relu_backward(dy, y, 0.0)

        def derivative(dx, dy, y):
            np.greater(y, 0, out=dx)
            dx *= dy

        return blockwise(derivative, dy, y)


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x));  f' = y (1 - y),  f'' = f' (1 - 2 y)."""

    def forward(self, x, train=True):
        y = sigmoid(x)
        return y, y

    def backward(self, dy, cache, params=True, inputs=True):
        if inputs and on_gpu(dy):
            return gpu_pointwise.sigmoid_backward(dy, cache)
        y = cache
        return dy * y * (1 - y) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        y = cache
        slope = y * (1 - y)
        return dx_bar * slope, dx_bar * dy * slope * (1 - 2 * y)


class Tanh(Layer):
    """y = tanh(x);  f' = 1 - y^2,  f'' = -2 y f'."""

    def forward(self, x, train=True):
        y = get_array_module(x).tanh(x)
        return y, y

    def backward(self, dy, cache, params=True, inputs=True):
        if inputs and on_gpu(dy):
            return gpu_pointwise.tanh_backward(dy, cache)
        y = cache
        return dy * (1 - y * y) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        y = cache
        slope = 1 - y * y
        return dx_bar * slope, dx_bar * dy * slope * (-2 * y)
