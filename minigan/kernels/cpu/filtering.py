"""Minimal filtering in one axis: several outputs of a short filter in fewer products.

A tile of m outputs of a filter g with t taps reads P = m + t - 1 numbers d.  Directly that takes
m t products; by the method of Toom and Cook it takes P.  They multiply two polynomials, h with m
coefficients and g with t, by their values at P points, and go back to coefficients:

    s = W [(V_t g) * (V_m h)]      V_n: a row (1, p, p^2, ..., p^(n-1)) for each point p,
                                   W = V_P^-1

A filter is the adjoint of this map in h, as s[i + j] collects h[i] g[j] and y[i] collects
d[i + j] g[j].  Transposed, with d in the place of s and y in that of h, it is

    y = A [(G g) * (B d)]          A = V_m^T,   G = V_t,   B = W^T

(Winograd 1980; Lavin & Gray 2016, arXiv:1509.09308).  The map is bilinear in d and g, so its
adjoints take the same products between the transposed matrices:

    d' = B^T [(G g) * (A^T y')]    g' = G^T [(B d) * (A^T y')]

A row of B holds the coefficients of Lagrange's polynomial of a point p: the product of x - q over
all other points q, divided by its value at p.  Here that divisor stands in G, so that B's numbers
are exact.  The last point is "infinity": the value there is the highest coefficient, and its
polynomial the product over all other points.

A filter with a stride s is a sum of filters with stride 1, one a "phase": the pixels at one
remainder modulo s, with the taps that meet them.  All phases take the same matrices, on cells of
s pixels; a phase with a tap less than the others leaves out G's last column.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.polynomial import polynomial

from . import workspace
from .blocks import unbuffered

ALL = slice(None)


@dataclass(frozen=True)
class Filtering:
    """The three matrices of one axis, and six methods: B, G, A and their adjoints.

    taps, stride: of the filter
    points:       all but infinity, P - 1 of them, which say how large a tile is

    A cell is `stride` pixels, or the taps that meet them.
    """

    taps: int
    stride: int
    points: tuple

    @property
    def products(self):
        """P, of a tile, which reads as many cells."""
        return len(self.points) + 1

    @property
    def overlap(self):
        """t - 1: how many cells a tile shares with the next one."""
        return -(-self.taps // self.stride) - 1

    @property
    def outputs(self):
        """m, of a tile."""
        return self.products - self.overlap

    def tiles(self, outputs):
        """How many tiles so many outputs take."""
        return -(-outputs // self.outputs)

    def cells(self, tiles):
        """How many cells so many tiles read."""
        return tiles * self.outputs + self.overlap

    # Each works along the last axis but one, for T tiles and all L numbers of a place.

    def transform_data(self, d, v):
        """v = B d:  cells d (..., R, L) -> v (..., T, P, L); tile t reads cells from t m on."""
        multiply(self.data, self._in_tiles(d, v.shape[-3], self.products), v)

    def transform_data_adjoint(self, v, d):
        """d = B^T v:  v (..., T, P, L) -> cells d (..., R, L)."""
        m, (*others, tiles, _, numbers) = self.outputs, v.shape
        multiply(self.data.T[:m], v, self._in_tiles(d, tiles, m))
        d[..., tiles * m :, :] = 0
        # The cells behind a tile's first m are those of the next tiles, too.
        shape = *others, tiles, self.overlap, numbers
        shared = workspace.take("filtering shared", shape, v.dtype)
        multiply(self.data.T[m:], v, shared)
        with unbuffered():
            for i in range(self.overlap):
                d[..., m + i : m + i + tiles * m : m, :] += shared[..., i, :]

    def transform_filter(self, g, u, part=ALL):
        """u = G g:  the taps of a phase g (..., t, L) -> u (..., P, L), or part of its products."""
        multiply(self.filter[part, : g.shape[-2]], g, u)

    def transform_filter_adjoint(self, u, g, part=ALL):
        """g = G^T u:  u (..., P, L), or part of it -> the taps of a phase g (..., t, L)."""
        multiply(self.filter[part, : g.shape[-2]].T, u, g)

    def transform_output(self, m, y):
        """y = A m:  m (..., T, P, L) -> y (..., T m, L)."""
        multiply(self.output, m, self._in_tiles(y, m.shape[-3], self.outputs))

    def transform_output_adjoint(self, y, m):
        """m = A^T y:  y (..., T m, L) -> m (..., T, P, L)."""
        multiply(self.output.T, self._in_tiles(y, m.shape[-3], self.outputs), m)

    def _in_tiles(self, lines, tiles, length):
        """(..., lines, L) -> (..., tiles, length, L), a view; tile t begins at line t m."""
        *others, _, numbers = lines.shape
        *strides, line, number = lines.strides
        shape = *others, tiles, length, numbers
        return as_strided(lines, shape, (*strides, self.outputs * line, line, number))

    # The matrices, in float64

    @cached_property
    def data(self):
        """B (P, P): for each point the polynomial that is zero at all the others."""
        rows = np.zeros((self.products, self.products))
        for row, others in zip(rows, self._others, strict=True):
            row[: len(others) + 1] = polynomial.polyfromroots(others)
        return rows

    @cached_property
    def filter(self):
        """G (P, t): the values of a polynomial of t coefficients, over those of B's rows."""
        divisors = [
            polynomial.polyvalfromroots(point, others)
            for point, others in zip(self.points, self._others, strict=False)
        ]
        return self._values(self.overlap + 1) / np.array([*divisors, 1])[:, None]

    @cached_property
    def output(self):
        """A (m, P)."""
        return self._values(self.outputs).T

    def _values(self, n):
        """V_n (P, n): the values of a polynomial of n coefficients at all points."""
        return np.concatenate([polynomial.polyvander(self.points, n - 1), np.eye(n)[-1:]])

    @property
    def _others(self):
        """For each point, and last for infinity, all other points but infinity."""
        finite = [[q for q in self.points if q != p] for p in self.points]
        return [*finite, self.points]


def multiply(matrix, x, y):
    """y (..., p, L) = matrix (p, q) @ x (..., q, L), in a single call.

    Each place of the leading axes is a product of its own.  Those of up to 10^6 multiplications
    OpenBLAS takes straight from memory (with AVX-512), and all rows at once: it reads and writes
    each number one time, where sums row by row would fetch them again and again.
    """
    np.matmul(np.ascontiguousarray(matrix, y.dtype), x, out=y)


# By how many there are besides infinity.  Small powers of 2, so that B is exact in float32, too,
# and of the sets tried those of the least error (docs/performance.md).
TWO, THREE = (0, 1), (0, 1, -1)
FOUR, FIVE = (0, 1, -1 / 2, -2), (0, 1, -1, 1 / 2, -2)

# By (taps, stride), from small tiles to large ones: those that were measured to pay.
FILTERINGS = {
    (4, 2): (Filtering(4, 2, TWO), Filtering(4, 2, FOUR)),
    (3, 1): (Filtering(3, 1, THREE), Filtering(3, 1, FIVE)),
    (4, 1): (Filtering(4, 1, FOUR),),
    (5, 2): (Filtering(5, 2, FIVE),),
}
# Large tiles have larger transformed filters, which pays for so many windows of a batch.
WINDOWS_FOR_LARGE_TILES = 2048


def choose(taps, stride, outputs, windows):
    """The filtering of fewest products for so many outputs and so many windows of a batch.

    Raises KeyError for a kernel that has none.
    """
    known = FILTERINGS[taps, stride]
    if windows < WINDOWS_FOR_LARGE_TILES:
        known = known[:1]
    return min(known, key=lambda filtering: filtering.tiles(outputs) * filtering.products)
