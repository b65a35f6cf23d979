"""Up-sampling, shifts, and codes joined to images: copies, most shared out by samples."""

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


def move(x, steps):
    """Each image by its own slice: what `plain` reads pixel by pixel."""
    y, sides = np.zeros_like(x), x.shape[1:3]
    for image, moved, by in zip(x, y, steps.tolist()):
        moved[_after(by, sides)] = image[_after([-step for step in by], sides)]
    return y


def _after(by, sides):
    """Where an image is that was moved by so much."""
    return tuple(slice(max(step, 0), max(side + step, 0)) for step, side in zip(by, sides))


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
