"""Matrix products on all cores, each core a part of the result.

A core takes a range of the result's rows, or of its columns where it has few rows: a
BLAS rearranges the whole of the right matrix for every range of rows.
"""

import numpy as np

from ..arrays import get_array_module
from ..threads import parallel

FEW_ROWS = 512
PER_ELEMENT = 32  # multiplications in the time that other work takes for an element
ALIGNED = 16  # columns: a cache line of float32
PARTS = 1024  # of a product, to share out


def matmul(a, b, out=None):
    """a (..., K) @ b (K, N) -> (..., N), into the matrix `out` where given.

    The arrays are NumPy's or CuPy's, and of one dtype.
    """
    if out is None:
        out = get_array_module(a).empty((*a.shape[:-1], b.shape[1]), a.dtype)
    matmuls([a.reshape(-1, len(b))], [b], [out.reshape(-1, b.shape[1])])
    return out


def matmuls(a, b, out):
    """out[i] = a[i] @ b[i] for lists of matrices: all products in one go over the cores."""
    xp = get_array_module(out[0])

    def work(start, stop):  # a range of the parts of each product
        for a_i, b_i, out_i in zip(a, b, out):
            rows, columns = out_i.shape
            if rows >= min(columns, FEW_ROWS):
                part = slice(start * rows // PARTS, stop * rows // PARTS)
                xp.matmul(a_i[part], b_i, out=out_i[part])
            else:
                lines = -(-columns // ALIGNED)
                part = slice(start * lines // PARTS * ALIGNED, stop * lines // PARTS * ALIGNED)
                xp.matmul(a_i, b_i[:, part], out=out_i[:, part])

    if xp is np:
        multiplications = sum(a_i.size * b_i.shape[1] for a_i, b_i in zip(a, b))
        parallel(work, PARTS, multiplications // PER_ELEMENT)
    else:
        work(0, PARTS)
