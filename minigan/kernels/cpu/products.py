"""Matrix products on all cores, each core a part of the results.

Of several products a core takes some.  Of one it takes a range of the result's rows, or of its
columns where it has few rows: a BLAS rearranges the whole of the right matrix for every range
of rows.
"""

import math

import numpy as np

from ...threads import parallel

FEW_ROWS = 512
PER_ELEMENT = 32  # multiplications in the time that other work takes for an element
ALIGNED = 16  # columns: a cache line of float32
PARTS = 5040  # of all products, to share out: a multiple of most numbers of cores


def matmul(a, b, out=None):
    """a (..., K) @ b (K, N) -> (..., N), into the matrix `out` where given; all of one dtype."""
    if out is None:
        out = np.empty((*a.shape[:-1], b.shape[1]), a.dtype)
    n = math.prod(a.shape[:-1])  # not -1, which nothing tells where there are no elements
    matmuls([(a.reshape(n, len(b)), b, out.reshape(n, b.shape[1]))])
    return out


def matmuls(products):
    """out = a @ b for each (a, b, out) of matrices: all products in one go over the cores."""
    products = list(products)
    costs = [out.size * max(1, len(b)) for _, b, out in products]  # multiplications
    total = sum(costs)

    def work(start, stop):  # a range of the parts of all products, one after the other
        start, stop = start * total // PARTS, stop * total // PARTS
        for product, cost in zip(products, costs, strict=True):
            first, last = max(start, 0), min(stop, cost)
            if first < last:
                multiply_part(*product, lambda n: slice(first * n // cost, last * n // cost))
            start, stop = start - cost, stop - cost

    def multiply_part(a, b, out, part):
        rows, columns = out.shape
        if rows >= min(columns, FEW_ROWS):
            rows = part(rows)
            np.matmul(a[rows], b, out=out[rows])
        else:
            lines = part(-(-columns // ALIGNED))
            columns = slice(lines.start * ALIGNED, lines.stop * ALIGNED)
            np.matmul(a, b[:, columns], out=out[:, columns])

    parallel(work, PARTS, total // PER_ELEMENT)
