"""Which kernel for which convolution, on the CPU.

Minimal filtering saves multiplications and pays for it in transforms of data and
outputs.  A product of C x K channels takes C * K multiplications where the transforms
touch C + K numbers, so it pays where both are large.  It also writes and reads transformed
weights, larger than the weights themselves, which pays where many windows share them.
The bounds below are measured (docs/performance.md).
"""

from . import im2col, minimal

# For minimal filtering to pay:
LEAST_CHANNELS = 8  # of input and of output
LEAST_WINDOWS = 512  # in the batch
LEAST_MULTIPLICATIONS = 1e8  # of the direct convolution


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    return _path(geometry, len(x), *w.shape[2:]).conv(x, w, geometry)


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    return _path(geometry, len(dy), *w.shape[2:]).conv_dx(dy, w, geometry)


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    return _path(geometry, len(x), x.shape[3], dy.shape[3]).conv_dw(x, dy, geometry)


def conv_y_dw(x, dy, w, geometry):
    """(conv, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K)."""
    return _path(geometry, len(x), *w.shape[2:]).conv_y_dw(x, dy, w, geometry)


def conv_dx_dw(x, dy, w, geometry):
    """(conv_dx, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K)."""
    return _path(geometry, len(x), *w.shape[2:]).conv_dx_dw(x, dy, w, geometry)


def _path(geometry, n, channels, filters):
    """The module that does this convolution fastest; im2col does any, some as one plain GEMM."""
    if geometry.is_dense or geometry.is_pointwise or not minimal.applies(geometry):
        return im2col
    (oh, ow), (kh, kw) = geometry.output, geometry.kernel
    windows = n * oh * ow
    pays = (
        min(channels, filters) >= LEAST_CHANNELS
        and windows >= LEAST_WINDOWS
        and windows * kh * kw * channels * filters >= LEAST_MULTIPLICATIONS
    )
    return minimal if pays else im2col
