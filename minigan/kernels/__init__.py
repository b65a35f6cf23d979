"""The conv triple: a convolution and its two adjoints.

Everything convolutional is one sum over images, windows, taps and channels,

    y[n, o, p, k] = sum over i, j, c of  x[n, o*sh - top + i, p*sw - left + j, c] * w[i, j, c, k]

linear in x and in w.  `conv` computes y; `conv_dx` and `conv_dw` are its adjoints
in x and in w, so that for every dy

    <conv(x, w), dy> = <x, conv_dx(dy, w)> = <w, conv_dw(x, dy)>.

A transposed convolution is `conv_dx`; the derivative of any of the three is made
of the other two.  `conv_y_dw` and `conv_dx_dw` are two of them at once.  Arrays are
channels last, float32 or float64, NumPy or CuPy; `Geometry` holds the sizes.
`reference` is the same sum in plain loops.
"""

import numpy as np

from ..arrays import on_gpu
from . import cpu, gpu
from .cpu.blocks import blockwise, in_blocks, over_samples
from .geometry import Geometry, geometry, transposed_geometry
from .cpu.products import matmul, matmuls

__all__ = [
    "Geometry", "blockwise", "conv", "conv_dw", "conv_dx", "conv_dx_dw", "conv_y_dw", "geometry",
    "in_blocks", "matmul", "matmuls", "over_samples", "transposed_geometry",
]


def conv(x, w, geometry):
    """The convolution y of images x with weights w.

    x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K), a new array of x's dtype.
    Raises ValueError where the shapes, dtypes or the Geometry disagree.
    """
    _check_images("x", x, geometry.size)
    _check_weights(w, geometry, "C", x.shape[3], axis=2)
    _check_same_kind(x, w)
    return _kernels(x).conv(x, w, geometry)


def conv_dx(dy, w, geometry):
    """The adjoint of `conv` in x: a transposed convolution of dy with w.

    dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C), a new array of dy's dtype.
    Raises ValueError where the shapes, dtypes or the Geometry disagree.
    """
    _check_images("dy", dy, geometry.output)
    _check_weights(w, geometry, "K", dy.shape[3], axis=3)
    _check_same_kind(dy, w)
    return _kernels(dy).conv_dx(dy, w, geometry)


def conv_dw(x, dy, geometry):
    """The adjoint of `conv` in w: the weights' gradient from images x and dy.

    x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K), a new array of x's dtype.
    Raises ValueError where the shapes, dtypes or the Geometry disagree.
    """
    _check_both(x, dy, geometry)
    return _kernels(x).conv_dw(x, dy, geometry)


def conv_y_dw(x, dy, w, geometry):
    """`conv` of x with w and `conv_dw` of x with dy; what both need is made once where it can be.

    x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K) -> y (N, oh, ow, K), dw (kh, kw, C, K).
    Raises ValueError where the shapes, dtypes or the Geometry disagree.
    """
    _check_three(x, dy, w, geometry)
    return _kernels(x).conv_y_dw(x, dy, w, geometry)


def conv_dx_dw(x, dy, w, geometry):
    """`conv_dx` of dy with w and `conv_dw` of x with dy; what both need is made once, as above.

    x (N, H, W, C), dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C), dw (kh, kw, C, K).
    Raises ValueError where the shapes, dtypes or the Geometry disagree.
    """
    _check_three(x, dy, w, geometry)
    return _kernels(x).conv_dx_dw(x, dy, w, geometry)


def _kernels(x):
    return gpu if on_gpu(x) else cpu


def _check_images(name, images, size):
    if images.ndim != 4 or images.shape[1:3] != size:
        raise ValueError(
            f"{name} has shape {images.shape}, the geometry wants (N, {size[0]}, {size[1]}, C)"
        )


def _check_both(x, dy, geometry):
    _check_images("x", x, geometry.size)
    _check_images("dy", dy, geometry.output)
    if len(x) != len(dy):
        raise ValueError(f"x has {len(x)} images and dy {len(dy)}")
    _check_same_kind(x, dy)


def _check_three(x, dy, w, geometry):
    _check_both(x, dy, geometry)
    _check_weights(w, geometry, "C", x.shape[3], axis=2)
    _check_weights(w, geometry, "K", dy.shape[3], axis=3)
    _check_same_kind(x, w)


def _check_weights(w, geometry, letter, channels, axis):
    kh, kw = geometry.kernel
    if w.ndim != 4 or w.shape[:2] != (kh, kw) or w.shape[axis] != channels:
        raise ValueError(
            f"w has shape {w.shape}, wanted is ({kh}, {kw}, C, K) with {letter} = {channels}"
        )


def _check_same_kind(a, b):
    if a.dtype != b.dtype or a.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"dtypes {a.dtype} and {b.dtype}: wanted is float32 or float64, the same for both"
        )
