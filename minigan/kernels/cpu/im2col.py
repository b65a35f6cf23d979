"""The conv triple as matrix products, for any kernel and stride.

Write every window of the input as one row of a matrix ("im2col", image to
columns) and the convolution is a GEMM with the weights, (kh * kw * C, K):

    conv:     y    = rows(x) @ w
    conv_dx:  dx   = rows_adjoint(dy @ w.T)     each window added back where it came from
    conv_dw:  dw   = rows(x).T @ dy

A window is kh pieces of memory, each kw pixels: `_rows` copies them, and `_add_rows`
adds them, as many pixels at a time as no two windows share.  The matrix is
kh * kw / stride**2 times the input; it is made for a chunk of the batch at a time, in a
workspace.  Where the windows are the input itself, unrepeated (1x1 kernels, or a kernel
that covers the whole input), there is nothing to copy.  Source: Chellapilla, Puri & Simard 2006.
"""

import itertools

import numpy as np

from ...threads import core_count
from . import workspace
from .blocks import unbuffered
from .products import matmul, matmul_tall

LONG = 256  # numbers, of pieces of memory that are added where they lie


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    y = np.empty((len(x), *geometry.output, w.shape[3]), x.dtype)
    for part, rows in _row_chunks(x, w.nbytes, geometry):
        _conv(rows, w, y[part])
    return y


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    channels, filters = w.shape[2:]
    w = w.reshape(-1, filters)
    dx = np.empty((len(dy), *geometry.size, channels), dy.dtype)
    if geometry.is_dense or geometry.is_pointwise:
        matmul(dy.reshape(-1, filters), w.T, out=dx.reshape(-1, len(w)))
        return dx
    for i, j in _chunks(dx, w.nbytes, geometry):
        rows = _rows_workspace(dx[i:j], geometry)
        matmul(dy[i:j].reshape(-1, filters), w.T, out=rows.reshape(-1, len(w)))
        _add_rows(rows, dx[i:j], geometry)
    return dx


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    dw = np.zeros((*geometry.kernel, x.shape[3], dy.shape[3]), x.dtype)
    for part, rows in _row_chunks(x, dw.nbytes, geometry):
        _add_conv_dw(rows, dy[part], dw, part.start)
    return dw


def conv_y_dw(x, dy, w, geometry):
    """(conv, conv_dw), with the windows of x taken once."""
    y, dw = np.empty(dy.shape, x.dtype), np.zeros(w.shape, x.dtype)
    for part, rows in _row_chunks(x, w.nbytes, geometry):
        _conv(rows, w, y[part])
        _add_conv_dw(rows, dy[part], dw, part.start)
    return y, dw


def conv_dx_dw(x, dy, w, geometry):
    """(conv_dx, conv_dw), which have nothing in common here."""
    return conv_dx(dy, w, geometry), conv_dw(x, dy, geometry)


def _conv(rows, w, y):
    """y (n, oh, ow, K) = rows (n * oh * ow, kh * kw * C) @ w (kh, kw, C, K)."""
    matmul(rows, w.reshape(rows.shape[1], -1), out=y.reshape(-1, y.shape[-1]))


def _add_conv_dw(rows, dy, dw, before):
    """dw (kh, kw, C, K) += rows.T @ dy (n, oh, ow, K), or = where no images came before."""
    matrix = dw.reshape(rows.shape[1], -1)
    part = workspace.take("im2col sum", matrix.shape, dw.dtype) if before else matrix
    matmul_tall(rows, dy.reshape(-1, dy.shape[-1]), out=part)
    if before:
        matrix += part


def _row_chunks(x, weight_bytes, geometry):
    """Chunks of the images x: (their slice, their windows as rows (n * oh * ow, kh * kw * C))."""
    if geometry.is_dense or geometry.is_pointwise:
        kh, kw = geometry.kernel
        if len(x):
            yield slice(0, len(x)), x.reshape(-1, kh * kw * x.shape[3])
        return
    for i, j in _chunks(x, weight_bytes, geometry):
        yield slice(i, j), _rows(x[i:j], geometry)


def _chunks(x, weight_bytes, geometry):
    """Ranges of the images x whose rows fit in a workspace."""
    (oh, ow), (kh, kw) = geometry.output, geometry.kernel
    return workspace.chunks(len(x), oh * ow * kh * kw * x.shape[3] * x.itemsize, weight_bytes)


def _rows_workspace(x, geometry):
    """(n, oh, ow, kh, kw * C): every window of the n images of x."""
    kh, kw = geometry.kernel
    shape = (len(x), *geometry.output, kh, kw * x.shape[3])
    return workspace.take("im2col rows", shape, x.dtype)


def _rows(x, geometry):
    """The windows of x as a matrix (n * oh * ow, kh * kw * C)."""
    rows = _rows_workspace(x, geometry)

    def work(i, j):
        padded, inside = _padded_workspace(x[i:j], geometry)
        inside[...] = x[i:j]
        rows[i:j] = _windows(padded, geometry)

    workspace.over_images(work, len(x), x[0].nbytes, core_count())
    return rows.reshape(-1, rows[0, 0, 0].size)


def _add_rows(rows, dx, geometry):
    """dx = the sum of every window of rows (n, oh, ow, kh, kw * C), where it came from."""
    (kh, kw), (down, across), channels = geometry.kernel, geometry.stride, dx.shape[3]
    long = across * channels >= LONG

    def work(i, j):
        padded, inside = _padded_workspace(dx[i:j], geometry)
        windows = _windows(padded, geometry)
        for row, column in itertools.product(range(kh), range(0, kw, across)):
            # So many taps that windows do not overlap.
            taps = slice(column * channels, (column + across) * channels)
            pixels, part = windows[:, :, :, row, taps], rows[i:j, :, :, row, taps]
            if row < down and column == 0:  # the first at all these pixels
                np.copyto(pixels, part)
            elif long:
                with unbuffered():
                    pixels += part
            else:  # copied together first: NumPy moves short pieces faster than it adds them
                together = workspace.take("im2col taps", part.shape, part.dtype)
                np.copyto(together, part)
                pixels += together
        dx[i:j] = inside

    workspace.over_images(work, len(dx), dx[0].nbytes, core_count())


def _windows(padded, geometry):
    """Every window of padded (n, height, width, C), a view (n, oh, ow, kh, kw * C).

    The pixels of a row lie one behind the other, so a window's row is one piece of memory.
    """
    n, row, column, channel = padded.strides
    (oh, ow), (kh, kw), (sh, sw) = geometry.output, geometry.kernel, geometry.stride
    shape = (len(padded), oh, ow, kh, kw * padded.shape[3])
    return np.lib.stride_tricks.as_strided(padded, shape, (n, sh * row, sw * column, row, channel))


def _padded_workspace(x, geometry):
    """Zeros (n, top + H + bottom, left + W + right, C), and the view (n, H, W, C) inside."""
    (height, width), ((top, bottom), (left, right)) = geometry.size, geometry.padding
    shape = (len(x), top + height + bottom, left + width + right, x.shape[3])
    padded = workspace.take("im2col padded", shape, x.dtype)
    padded.fill(0)
    return padded, padded[:, top : top + height, left : left + width]
