"""Which kernel for which convolution, on a GPU: CuPy 14 has no cuDNN, so they are ours.

Both paths write rearranged images for cuBLAS.  Minimal filtering writes 2.25 times the input
where im2col writes 4 times, for 9 products in place of 16, and pays for it in one more pass
over the output; with few channels the products are too thin for that.
"""

from . import im2col, minimal

LEAST_CHANNELS = 16  # of input and of output, for minimal filtering


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    return _path(geometry, *w.shape[2:]).conv(x, w, geometry)


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    return _path(geometry, *w.shape[2:]).conv_dx(dy, w, geometry)


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    return _path(geometry, x.shape[3], dy.shape[3]).conv_dw(x, dy, geometry)


def conv_y_dw(x, dy, w, geometry):
    """(conv, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K)."""
    return _path(geometry, *w.shape[2:]).conv_y_dw(x, dy, w, geometry)


def conv_dx_dw(x, dy, w, geometry):
    """(conv_dx, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K)."""
    return _path(geometry, *w.shape[2:]).conv_dx_dw(x, dy, w, geometry)


def _path(geometry, channels, filters):
    wide = min(channels, filters) >= LEAST_CHANNELS
    return minimal if wide and minimal.applies(geometry) else im2col
