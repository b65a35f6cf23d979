"""Which kernel for which convolution, on the CPU.

Minimal filtering saves multiplications and pays for it in sums over data and
outputs.  A product of C x K channels takes C * K multiplications where the sums
take C + K, so it pays where both are large; the bounds below are measured
(docs/performance.md).
"""

from . import im2col, minimal

LEAST_CHANNELS = 16  # of input and of output, for minimal filtering to pay


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    return _path(geometry, *w.shape[2:]).conv(x, w, geometry)


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    return _path(geometry, *w.shape[2:]).conv_dx(dy, w, geometry)


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    return _path(geometry, x.shape[3], dy.shape[3]).conv_dw(x, dy, geometry)


def _path(geometry, channels, filters):
    """The module that does this convolution fastest; im2col does any, some as one plain GEMM."""
    if geometry.is_dense or geometry.is_pointwise or not minimal.applies(geometry):
        return im2col
    return minimal if min(channels, filters) >= LEAST_CHANNELS else im2col
