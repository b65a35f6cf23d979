"""Elementwise functions that need care: no overflow, no log of zero, no cancellation.

All work on arrays of any shape and module and keep the dtype; on a GPU each is one launch.
"""

import numpy as np

from .arrays import get_array_module, on_gpu
from .kernels.gpu import pointwise as gpu_pointwise


def sigmoid(x):
    """1 / (1 + exp(-x)), with full relative accuracy down to the underflow of exp(x)."""
    if on_gpu(x):
        return gpu_pointwise.sigmoid(x)
    # exp(x) / (1 + exp(x)) for x < 0 and 1 / (1 + exp(-x)) above: never a positive exponent.
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def softplus(x):
    """log(1 + exp(x)), which tends to x above and to exp(x) below."""
    if on_gpu(x):
        return gpu_pointwise.softplus(x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_softmax(x):
    """x - log(sum(exp(x))) over the last axis."""
    xp = get_array_module(x)
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))
