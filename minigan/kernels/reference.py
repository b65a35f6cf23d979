"""The conv triple as its formula reads: slow, obvious, the judge of every fast path.

    y[n, o, p, k] = sum over i, j, c of  x[n, o*sh - top + i, p*sw - left + j, c] * w[i, j, c, k]

with x zero outside the image.  The three maps are that one sum, solved for y,
dx or dw; each is a loop over the kernel's taps (i, j), the pixels a tap touches
being one strided slice of the padded input.
"""

import numpy as np


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    oh, ow = geometry.output
    y = np.zeros((len(x), oh, ow, w.shape[3]), x.dtype)
    padded = _pad(x, geometry)
    for i, j, touched in geometry.taps():
        y += padded[touched] @ w[i, j]
    return y


def conv_dx(dy, w, geometry):
    """The adjoint in x: dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    (height, width), ((top, bottom), (left, right)) = geometry.size, geometry.padding
    padded = np.zeros(
        (len(dy), top + height + bottom, left + width + right, w.shape[2]), dy.dtype
    )
    for i, j, touched in geometry.taps():
        padded[touched] += dy @ w[i, j].T
    return padded[:, top : top + height, left : left + width].copy()


def conv_dw(x, dy, geometry):
    """The adjoint in w: x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    dw = np.zeros((*geometry.kernel, x.shape[3], dy.shape[3]), x.dtype)
    padded = _pad(x, geometry)
    for i, j, touched in geometry.taps():
        dw[i, j] = np.einsum("nopc,nopk->ck", padded[touched], dy)
    return dw


def _pad(x, geometry):
    return np.pad(x, ((0, 0), *geometry.padding, (0, 0)))
