"""The conv triple as matrix products, for any kernel and stride.

Write every window of the input as one row of a matrix ("im2col", image to
columns) and the convolution is a GEMM with the weights, (kh * kw * C, K):

    conv:     y    = rows(x) @ w
    conv_dx:  dx   = rows_adjoint(dy @ w.T)     each window added back where it came from
    conv_dw:  dw   = rows(x).T @ dy

A window is kh * kw strided slices, so `rows` copies and `rows_adjoint` adds that
many slices.  The matrix is kh * kw / stride**2 times the input; it is made for a
chunk of the batch at a time, in a workspace.  Where the windows are the input
itself, unrepeated (1x1 kernels, or a kernel that covers the whole input), there
is nothing to copy.  Source: Chellapilla, Puri & Simard 2006.

The functions work on NumPy and on CuPy arrays.
"""

import numpy as np

from ..arrays import get_array_module
from ..threads import parallel
from . import workspace


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    xp = get_array_module(x)
    taps, filters = w.size // w.shape[3], w.shape[3]
    w = w.reshape(taps, filters)
    if geometry.is_dense or geometry.is_pointwise:
        return (x.reshape(-1, taps) @ w).reshape(len(x), *geometry.output, filters)
    y = xp.empty((len(x), *geometry.output, filters), x.dtype)

    def work(start, stop):
        for i, j in _chunks(start, stop, x, geometry):
            rows = _rows(xp, x[i:j], geometry)
            xp.matmul(rows, w, out=y[i:j].reshape(-1, filters))

    _over_images(xp, work, len(x))
    return y


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    xp = get_array_module(dy)
    channels, filters = w.shape[2:]
    w = w.reshape(-1, filters)
    if geometry.is_dense or geometry.is_pointwise:
        dx = dy.reshape(-1, filters) @ w.T
        return dx.reshape(len(dy), *geometry.size, channels)
    dx = xp.empty((len(dy), *geometry.size, channels), dy.dtype)

    def work(start, stop):
        for i, j in _chunks(start, stop, dx, geometry):
            rows = _rows_workspace(xp, dx[i:j], geometry)
            xp.matmul(dy[i:j].reshape(-1, filters), w.T, out=rows.reshape(-1, len(w)))
            _add_rows(xp, rows, dx[i:j], geometry)

    _over_images(xp, work, len(dy))
    return dx


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    xp = get_array_module(x)
    channels, filters = x.shape[3], dy.shape[3]
    shape = (*geometry.kernel, channels, filters)
    if geometry.is_dense or geometry.is_pointwise:
        taps = geometry.kernel[0] * geometry.kernel[1] * channels
        return (x.reshape(-1, taps).T @ dy.reshape(-1, filters)).reshape(shape)

    def work(start, stop):
        dw = xp.zeros(shape, x.dtype)
        for i, j in _chunks(start, stop, x, geometry):
            rows = _rows(xp, x[i:j], geometry)
            dw += (rows.T @ dy[i:j].reshape(-1, filters)).reshape(shape)
        return dw

    return sum(_over_images(xp, work, len(x)), start=xp.zeros(shape, x.dtype))


def _chunks(start, stop, x, geometry):
    (oh, ow), (kh, kw) = geometry.output, geometry.kernel
    return workspace.chunks(start, stop, oh * ow * kh * kw * x.shape[3] * x.itemsize)


def _rows_workspace(xp, x, geometry):
    """(n, oh, ow, kh, kw, C): every window of the n images of x."""
    shape = (len(x), *geometry.output, *geometry.kernel, x.shape[3])
    return workspace.take("im2col rows", shape, x.dtype, xp)


def _rows(xp, x, geometry):
    """The windows of x as a matrix (n * oh * ow, kh * kw * C)."""
    rows = _rows_workspace(xp, x, geometry)
    padded, inside = _padded_workspace(xp, x, geometry)
    inside[...] = x
    for i, j, touched in geometry.taps():
        rows[:, :, :, i, j] = padded[touched]
    return rows.reshape(-1, rows[0, 0, 0].size)


def _add_rows(xp, rows, dx, geometry):
    """dx = the sum of every window of rows (n, oh, ow, kh, kw, C), where it came from."""
    padded, inside = _padded_workspace(xp, dx, geometry)
    for i, j, touched in geometry.taps():
        padded[touched] += rows[:, :, :, i, j]
    dx[...] = inside


def _padded_workspace(xp, x, geometry):
    """Zeros (n, top + H + bottom, left + W + right, C), and the view (n, H, W, C) inside."""
    (height, width), ((top, bottom), (left, right)) = geometry.size, geometry.padding
    shape = (len(x), top + height + bottom, left + width + right, x.shape[3])
    padded = workspace.take("im2col padded", shape, x.dtype, xp)
    padded.fill(0)
    return padded, padded[:, top : top + height, left : left + width]


def _over_images(xp, work, count):
    """The list of work(start, stop) over range(count): a range a core, or all on the GPU."""
    return parallel(work, count) if xp is np else [work(0, count)]
