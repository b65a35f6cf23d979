"""Flatten and Reshape: the same elements under another shape."""

import math

from .base import Layer


class Flatten(Layer):
    """(N, ...) -> (N, F): every sample becomes one row."""

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, x, train=True):
        return x.reshape(len(x), *self.output_shape(x.shape[1:])), x.shape

    def backward(self, dy, cache, params=True, inputs=True):
        return dy.reshape(cache) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        return dx_bar.reshape(dy.shape), None


class Reshape(Flatten):
    """(N, ...) -> (N, *shape).

    Raises ValueError in forward if a sample does not have as many elements.
    """

    def __init__(self, shape):
        super().__init__()
        self.shape = tuple(shape)

    def output_shape(self, input_shape):
        if math.prod(input_shape) != math.prod(self.shape):
            raise ValueError(f"{self!r} ({self.where}) got samples of shape {tuple(input_shape)}")
        return self.shape
