"""Dense, each core a part of the products; and what a bias adds and gets."""

import numpy as np

from ...threads import FEW
from .. import plain
from ..plain import rows
from . import features
from .products import matmul, matmuls


def dense(x, w, b=None):
    y = matmul(x, w)
    if b is not None:
        y += b
    return y


def dense_dx(dy, w):
    return matmul(dy, w.T)


def dense_dw(x, dy, out=None):
    return matmul(rows(x).T, rows(dy), out=out)


def dense_dx_dw(x, dy, w, out=None):
    dx = np.empty(x.shape, x.dtype)
    dw = np.empty_like(w) if out is None else out
    # Together: each core takes one.
    matmuls([(rows(x).T, rows(dy), dw), (rows(dy), w.T, rows(dx))])
    return dx, dw


def add_bias(y, b):
    features.add(y, b)
    return y


def sum_rows(dy):
    return features.total(dy) if dy.size > FEW else plain.sum_rows(dy)
