"""Up-sampling, and codes joined to images: copies on the device."""

from ...arrays import get_array_module


def upsample(x, factor):
    n, height, width, channels = x.shape
    y = get_array_module(x).empty((n, height, factor, width, factor, channels), x.dtype)
    y[...] = x[:, :, None, :, None]
    return y.reshape(n, height * factor, width * factor, channels)


def join(x, code):
    features = x.shape[-1]
    y = get_array_module(x).empty((*x.shape[:-1], features + code.shape[1]), x.dtype)
    y[..., :features] = x
    y[..., features:] = code.reshape(len(x), *[1] * (x.ndim - 2), -1)
    return y
