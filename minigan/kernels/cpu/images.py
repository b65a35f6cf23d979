"""Up-sampling, and codes joined to images: copies, shared out by samples."""

import numpy as np

from .blocks import over_samples

FEW_FEATURES = 16  # up to so many, NumPy copies them faster one by one


def upsample(x, factor):
    n, height, width, channels = x.shape
    y = np.empty((n, height * factor, width * factor, channels), x.dtype)

    def work(start, stop):
        _blocks(y[start:stop], factor)[...] = x[start:stop, :, None, :, None]

    over_samples(work, y)
    return y


def upsample_backward(dy, factor):
    n, height, width, channels = dy.shape
    dx = np.empty((n, height // factor, width // factor, channels), dy.dtype)

    def work(start, stop):
        dx[start:stop] = _blocks(dy[start:stop], factor).sum(axis=(2, 4))

    over_samples(work, dy)
    return dx


def _blocks(y, f):
    """y as (N, H, factor, W, factor, C): one block of equal pixels on axes 2 and 4."""
    n, height, width, channels = y.shape
    return y.reshape(n, height // f, f, width // f, f, channels)


def join(x, code):
    features = x.shape[-1]
    planes = code.reshape(len(x), *[1] * (x.ndim - 2), -1)
    y = np.empty((*x.shape[:-1], features + code.shape[1]), x.dtype)

    def work(start, stop):
        _put(x[start:stop], y[start:stop, ..., :features])
        _put(planes[start:stop], y[start:stop, ..., features:])

    over_samples(work, y)
    return y


def _put(values, y):
    """y (..., F) = values."""
    if y.shape[-1] > FEW_FEATURES:
        y[...] = values
    else:
        for feature in range(y.shape[-1]):
            y[..., feature] = values[..., feature]
