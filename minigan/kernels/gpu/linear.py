"""Dense: cuBLAS products; and what a bias adds and gets."""

from .. import plain
from . import pointwise
from .cublas import matmul

FEW_ROWS = 512  # up to so many, one launch of CuPy's own adds them up


def dense(x, w, b=None):
    y = shaped_as(x, matmul(rows(x), w))
    return y if b is None else add_bias(y, b)


def dense_dx(dy, w):
    return shaped_as(dy, matmul(rows(dy), w.T))


def dense_dw(x, dy, out=None):
    return matmul(rows(x).T, rows(dy), out)


def dense_dx_dw(x, dy, w, out=None):
    return dense_dx(dy, w), dense_dw(x, dy, out)


def add_bias(y, b):
    y += b
    return y


def sum_rows(dy):
    dy = rows(dy)
    return dy.sum(axis=0) if len(dy) <= FEW_ROWS else pointwise.column_sum(dy)


# A view takes the host as long as a product does: none is made of what is in rows already.


def rows(x):  # (..., C) -> (n, C)
    return x if x.ndim == 2 else plain.rows(x)


def shaped_as(x, y):  # x (..., C), y (n, K) -> (..., K)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[1])
