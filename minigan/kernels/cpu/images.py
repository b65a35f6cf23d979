"""Up-sampling, augmentation, and codes joined to images: copies, shared out by samples."""

import numpy as np

from ..plain import blank_squares, steps_aside
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


def augment(x, u, shift, hole):
    y = _moved(x, steps_aside(x.shape, u, shift))
    _blank(y, u, hole)
    return y


def augment_backward(dy, u, shift, hole):
    dy = dy.copy()
    _blank(dy, u, hole)
    return _moved(dy, -steps_aside(dy.shape, u, shift))


def _moved(x, steps):
    """Each image by its own slice: what `plain` reads pixel by pixel."""
    y, (height, width) = np.zeros_like(x), x.shape[1:3]
    for image, moved, (down, right) in zip(x, y, steps.tolist()):
        moved[max(down, 0) : height + down, max(right, 0) : width + right] = image[
            max(-down, 0) : height - down, max(-right, 0) : width - right
        ]
    return y


def _blank(y, u, hole):
    """Write zeros into the square of each image."""
    (rows, height), (columns, width) = blank_squares(y.shape, u, hole)
    for image, top, left in zip(y, rows.tolist(), columns.tolist()):
        image[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 0


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
