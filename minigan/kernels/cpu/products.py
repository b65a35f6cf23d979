"""Matrix products on all cores, each core a part of the results.

Of several products a core takes some.  Of one it takes a range of the result's rows, or of its
columns where it has few rows: a BLAS rearranges the whole of the right matrix for every range
of rows.

A BLAS rearranges both matrices, so that its inner loop reads memory in order.  Where one of the
three is small, the rearranging takes as long as the multiplying.  Products of up to 10^6
multiplications OpenBLAS takes straight from memory (with AVX-512), so a tall product with a small
matrix is cut into such pieces, a stack of which is one call of NumPy's.
"""

import math

import numpy as np

from ...threads import parallel

FEW_ROWS = 512
PER_ELEMENT = 32  # multiplications in the time that other work takes for an element
ALIGNED = 16  # columns: a cache line of float32
PARTS = 5040  # of all products, to share out: a multiple of most numbers of cores
SMALL = 2**13  # elements of the small matrix of a tall product, at most
PIECE = 2**19  # multiplications of each of the products that it is cut into


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
            multiply_rows(a[rows], b, out[rows])
        else:
            lines = part(-(-columns // ALIGNED))
            columns = slice(lines.start * ALIGNED, lines.stop * ALIGNED)
            np.matmul(a, b[:, columns], out=out[:, columns])

    parallel(work, PARTS, total // PER_ELEMENT)


def multiply_rows(a, b, out):
    """out = a @ b on this core."""
    piece = PIECE // max(1, b.size)  # rows
    whole = len(a) // piece * piece if b.size <= SMALL and a.flags.c_contiguous else 0
    if whole:
        b = np.ascontiguousarray(b)
        stack, results = _stacked(a[:whole], piece), _stacked(out[:whole], piece)
        np.matmul(stack, b, out=results)
    if whole < len(a):
        np.matmul(a[whole:], b, out=out[whole:])


def matmul_tall(a, b, out):
    """The matrix out (K, N) = a.T @ b, for a (n, K) and b (n, N), by all cores.

    Where out is small, n is cut into pieces, whose products are added up.
    """
    piece = PIECE // max(1, out.size)  # rows
    if out.size > SMALL or len(a) < 2 * piece:
        matmul(a.T, b, out=out)
        return
    pieces = len(a) // piece

    def work(start, stop):
        rows = slice(start * piece, stop * piece)
        stack = _stacked(a[rows], piece).swapaxes(1, 2)
        return np.matmul(stack, _stacked(b[rows], piece)).sum(axis=0)

    sums = parallel(work, pieces, len(a) * out.size // PER_ELEMENT)
    rest = a[pieces * piece :].T @ b[pieces * piece :]
    np.add(sum(sums), rest, out=out)


def _stacked(matrix, rows):
    """matrix (k * rows, columns) -> (k, rows, columns), a view."""
    return matrix.reshape(-1, rows, matrix.shape[1])
