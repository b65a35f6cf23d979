"""Dense: cuBLAS products; and what a bias adds and gets."""

from ..plain import rows
from . import pointwise
from .cublas import matmul

FEW_ROWS = 512  # up to so many, one launch of CuPy's own adds them up


def dense(x, w, b=None):
    y = matmul(rows(x), w).reshape(*x.shape[:-1], w.shape[1])
    return y if b is None else add_bias(y, b)


def dense_dx(dy, w):
    return matmul(rows(dy), w.T).reshape(*dy.shape[:-1], len(w))


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
