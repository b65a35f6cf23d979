"""Conditions: telling a network which kind of picture is meant (Mirza and Osindero 2014).

A label becomes a one-hot code, and the code stands beside the network's input on the
feature axis: more numbers behind z, or, repeated at every pixel, planes behind the colours
of an image.

    code = one_hot(labels, 10)                        (N, 10)
    fake, _ = G.forward(join(z, code))                (N, 100) -> (N, 110)
    scores, cache = D.forward(join(fake, code))       (N, H, W, 3) -> (N, H, W, 13)
    dfake, _ = join_backward(D.backward(dscores, cache, params=False), 3)
"""

import numpy as np

from . import kernels
from .arrays import get_array_module


def one_hot(labels, classes, *, dtype="float32"):
    """Codes (N, classes) of `dtype`: 1 in the column of the label, 0 elsewhere.

    labels: integers (N,) in [0, classes), NumPy or CuPy.
    Raises ValueError unless they are integers on one axis, and in range.  To know the range of
    labels on a GPU is to wait for it: there a number out of range gives a row of NaN, which
    every loss shows.
    """
    xp = get_array_module(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers (N,), got {labels.dtype} {labels.shape}")
    code = (labels[:, None] == xp.arange(classes)).astype(dtype)
    outside = code.sum(axis=1) == 0
    if xp is not np:
        return xp.where(outside[:, None], np.nan, code)
    if outside.any():
        first = labels[outside][0]
        raise ValueError(f"class {first} is not one of {classes}: they count from 0")
    return code


def join(x, code):
    """x (N, ..., C) with its code (N, K) behind the features: (N, ..., C + K).

    The code is repeated along the axes between, so that a pixel knows as much as its image.
    Both have one dtype and one module.  The map is linear; its second derivative is none.
    Raises ValueError unless there is one code for each sample, TypeError for two dtypes.
    """
    if code.ndim != 2 or len(code) != len(x):
        raise ValueError(f"codes {code.shape} do not fit an input {x.shape}: give one a sample")
    if code.dtype != x.dtype:
        raise TypeError(f"codes of {code.dtype} do not fit an input of {x.dtype}")
    return kernels.default[type(x)].join(x, code)


def join_backward(dy, features):
    """The gradients (dx, dcode) at the inputs of `join`, given dy (N, ..., C + K).

    features: C, the size of x's last axis.  dx (N, ..., C) is a view of dy; dcode (N, K) is a
    sum, because every pixel reads the same code.
    """
    return kernels.default[type(dy)].join_backward(dy, features)
