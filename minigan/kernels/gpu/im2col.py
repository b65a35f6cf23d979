"""The conv triple on a GPU, any kernel and stride: im2col, and its adjoint as a gather.

The maps are those of im2col.py, one launch each: `windows` writes every window as a row of a
matrix for cuBLAS; `pixels` lets every pixel of dx collect the windows' elements that are its
own, so that no two threads add to the same number and results repeat bit for bit.  The batch
goes through in chunks that bound the matrix.

The sizes are constants of the C code, because divisions by numbers known to the compiler are
multiplications: each Geometry and number of channels is compiled once, and CuPy keeps the
result in its cache on disk.
"""

from functools import cache

from ...arrays import get_array_module
from ..cpu.workspace import cut
from ..plain import rows
from .cublas import matmul
from .cuda import Kernel, constants, in_chunks

CHUNK_BYTES = 256 * 2**20  # of the matrix of windows


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    xp = get_array_module(x)
    x, w = xp.ascontiguousarray(x), w.reshape(-1, w.shape[3])
    y = xp.empty((len(x), *geometry.output, w.shape[1]), x.dtype)
    if geometry.is_dense or geometry.is_pointwise:
        matmul(x.reshape(-1, len(w)), w, out=rows(y))
        return y
    for _, x_part, y_part in in_chunks(_chunks(x, geometry), x, y):
        matmul(_windows(xp, x_part, geometry), w, out=rows(y_part))
    return y


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    xp = get_array_module(dy)
    channels, w = w.shape[2], rows(w)
    dx = xp.empty((len(dy), *geometry.size, channels), dy.dtype)
    if geometry.is_dense or geometry.is_pointwise:
        matmul(rows(dy), w.T, out=dx.reshape(-1, len(w)))
        return dx
    for _, dy_part, dx_part in in_chunks(_chunks(dx, geometry), dy, dx):
        windows = matmul(rows(dy_part), w.T)
        _pixels_kernel(geometry, channels)(windows, dx_part, size=dx_part.size)
    return dx


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    xp = get_array_module(x)
    x = xp.ascontiguousarray(x)
    dw = xp.empty((*geometry.kernel, x.shape[3], dy.shape[3]), x.dtype)
    if geometry.is_dense or geometry.is_pointwise:
        matmul(x.reshape(-1, len(rows(dw))).T, rows(dy), out=rows(dw))
        return dw
    for i, x_part, dy_part in in_chunks(_chunks(x, geometry), x, dy):
        matmul(_windows(xp, x_part, geometry).T, rows(dy_part), out=rows(dw), add=i > 0)
    return dw


def conv_y_dw(x, dy, w, geometry):
    """(conv, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K).

    The windows are made once.
    """
    if geometry.is_dense or geometry.is_pointwise:
        return conv(x, w, geometry), conv_dw(x, dy, geometry)
    xp = get_array_module(x)
    x = xp.ascontiguousarray(x)
    y, dw = xp.empty((len(x), *geometry.output, w.shape[3]), x.dtype), xp.empty(w.shape, x.dtype)
    for i, x_part, dy_part, y_part in in_chunks(_chunks(x, geometry), x, dy, y):
        windows = _windows(xp, x_part, geometry)
        matmul(windows, rows(w), out=rows(y_part))
        matmul(windows.T, rows(dy_part), out=rows(dw), add=i > 0)
    return y, dw


def conv_dx_dw(x, dy, w, geometry):
    """(conv_dx, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K)."""
    return conv_dx(dy, w, geometry), conv_dw(x, dy, geometry)


def _chunks(x, geometry):
    """Ranges of the images x (N, H, W, C) whose windows, or pixels, fit in a chunk.

    Of no images there is one, which is empty: dw is then written, with zeros.
    """
    (oh, ow), (kh, kw) = geometry.output, geometry.kernel
    elements = max(oh * ow * kh * kw, geometry.size[0] * geometry.size[1]) * x.shape[3]
    return cut(max(1, len(x)), CHUNK_BYTES, elements * x.dtype.itemsize)


def _windows(xp, x, geometry):
    """The windows of x (n, H, W, C), contiguous, as a matrix (n * oh * ow, kh * kw * C)."""
    (oh, ow), (kh, kw), channels = geometry.output, geometry.kernel, x.shape[3]
    windows = xp.empty((len(x) * oh * ow, kh * kw * channels), x.dtype)
    _windows_kernel(geometry, channels)(x, windows, size=windows.size)
    return windows


def _constants(geometry, channels):
    """The sizes of a convolution as C constants; the names are those of conv's formula."""
    names = "H", "W", "OH", "OW", "KH", "KW", "SH", "SW"
    values = *geometry.size, *geometry.output, *geometry.kernel, *geometry.stride
    sizes = dict(zip(names, values, strict=True))
    (top, _), (left, _) = geometry.padding
    sizes |= dict(C=channels, TOP=top, LEFT=left)
    return constants(sizes)


@cache
def _windows_kernel(geometry, channels):
    # i counts rows (n, OH, OW, KH, KW, C): the pixel that tap (ki, kj) of window (o, p) meets.
    return Kernel(
        "windows",
        "raw T x",
        "raw T rows",
        _constants(geometry, channels)
        + """
        int at = i;
        const int c = at % C;   at /= C;
        const int kj = at % KW; at /= KW;
        const int ki = at % KH; at /= KH;
        const int p = at % OW;  at /= OW;
        const int o = at % OH, n = at / OH;
        const int h = o * SH - TOP + ki, w = p * SW - LEFT + kj;
        const bool inside = h >= 0 && h < H && w >= 0 && w < W;
        rows[i] = inside ? x[((n * H + h) * W + w) * C + c] : T(0);
        """,
    )


@cache
def _pixels_kernel(geometry, channels):
    # i counts dx (n, H, W, C): the taps (ki, kj) that meet pixel (h, w), each in one window.
    return Kernel(
        "pixels",
        "raw T rows",
        "raw T dx",
        _constants(geometry, channels)
        + """
        int at = i;
        const int c = at % C; at /= C;
        const int w = at % W + LEFT; at /= W;
        const int h = at % H + TOP, n = at / H;
        T sum = 0;
        for (int ki = h % SH; ki < KH && ki <= h; ki += SH) {
            const int o = (h - ki) / SH;
            if (o >= OH) continue;
            for (int kj = w % SW; kj < KW && kj <= w; kj += SW) {
                const int p = (w - kj) / SW;
                if (p >= OW) continue;
                sum += rows[((((n * OH + o) * OW + p) * KH + ki) * KW + kj) * C + c];
            }
        }
        dx[i] = sum;
        """,
    )
