"""Minimal filtering in one axis: several outputs of a short filter in fewer products.

Two neighbouring outputs of a two-tap filter, y0 = d0 g0 + d1 g1 and
y1 = d1 g0 + d2 g1, take three products instead of four (Winograd 1980):

    m0 = (d0 - d1) g0      m1 = d1 (g0 + g1)      m2 = (d2 - d1) g1
    y0 = m0 + m1           y1 = m1 + m2

that is  y = A [(G g) * (B d)]  with three small matrices, here of 0, 1 and -1.  The map
is bilinear in d and g, so its adjoints take the same products between the
transposed matrices:  d' = B^T [(G g) * (A^T y')],  g' = G^T [(B d) * (A^T y')].

A filter with a stride is a sum of stride-1 filters, one a "phase": the pixels at
one remainder modulo the stride, with the taps that meet them.  Phases share A
and add up before it.  Phases with equally many taps share B and G too and are
written as one, whose cells are several neighbouring pixels: 4 taps with stride 2
are a two-tap filter over cells of two pixels.  A phase with fewer taps than
another sits out some of the products.

A `Filtering` is the matrices of one (kernel, stride) and six methods: B, G, A and
their adjoints.  Each works along the leading axes of its arrays, whatever follows.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby

import numpy as np


@dataclass(frozen=True)
class Phase:
    """The pixels and taps at some remainders modulo the stride, and their products.

    first, width: cell i has the `width` pixels (or taps) from first + i * stride on
    products:     the products it takes part in, out of the axis's P
    data:         B: a row for each of those products, a column for each cell of a tile
    filter:       G: a row for each of those products, a column for each cell of taps
    scale:        the factor of each row of G; with it apart, the matrices hold integers
    """

    first: int
    width: int
    products: tuple
    data: tuple
    filter: tuple
    scale: tuple

    @property
    def pixels(self):
        """Its part of a block of `stride` pixels."""
        return slice(self.first, self.first + self.width)


@dataclass(frozen=True)
class Filtering:
    """The products of one axis: tiles of `outputs` outputs from `taps` taps at a stride.

    output: A: a row for each output of a tile, a column for each product
    phases: disjoint, together all the taps

    Names in the methods: T tiles, one every outputs * stride pixels; `depths[a]` = Da, the
    widths of the phases in product a together.  d holds R blocks of `stride` pixels: tile t reads
    blocks from t * outputs on, and T tiles the first `cells(T)`.
    """

    taps: int
    stride: int
    output: tuple
    phases: tuple

    @property
    def outputs(self):
        return len(self.output)

    @property
    def products(self):
        return len(self.output[0])

    @cached_property
    def depths(self):
        """Da for each product a."""
        return [
            sum(phase.width for phase in self.phases if a in phase.products)
            for a in range(self.products)
        ]

    @cached_property
    def stacks(self):
        """The products in lists of those that follow one another and have one depth."""
        return [list(same) for _, same in groupby(range(self.products), self.depths.__getitem__)]

    def cells(self, tiles):
        """How many blocks of `stride` pixels so many tiles read."""
        return (tiles - 1) * self.outputs + max(len(phase.data[0]) for phase in self.phases)

    def transform_data(self, a, d, v):
        """v = row a of B d:  d (R, stride, ...) pixels -> v (T, Da, ...)."""
        reach = (len(v) - 1) * self.outputs + 1
        for phase, row, part in self._parts[a]:
            factors = phase.data[row]
            cells = [
                d[i : i + reach : self.outputs, phase.pixels] if factor else None
                for i, factor in enumerate(factors)
            ]
            combine(v[:, part], factors, cells)

    def transform_data_adjoint(self, v, d):
        """d = B^T v:  the P arrays v[a] (T, Da, ...) -> d (R, stride, ...)."""
        tiles = len(v[0])
        for phase, *parts in self._phase_parts:
            terms = [v[a][:, part] for a, part in parts]
            columns = list(zip(*phase.data, strict=True))
            for i in range(self.outputs):
                # Cell i of tile t is also cell i + outputs of tile t - 1, and so on.
                cells, readings = d[i :: self.outputs, phase.pixels], columns[i :: self.outputs]
                for start, stop, lags in _readers(tiles, len(readings)):
                    combine(
                        cells[start:stop],
                        sum((readings[lag] for lag in lags), ()),
                        [term[start - lag : stop - lag] for lag in lags for term in terms],
                    )
                cells[stop:] = 0

    def transform_filter(self, a, g, u):
        """u = row a of G g:  g (taps, ...) -> u (Da, ...)."""
        for phase, row, part in self._parts[a]:
            combine(u[part], phase.filter[row], self._tap_cells(phase, g))
            multiply(u[part], phase.scale[row])

    def transform_filter_adjoint(self, u, g):
        """g = G^T u:  the P arrays u[a] (Da, ...) -> g (taps, ...).  Scales u in place."""
        for phase, *parts in self._phase_parts:
            terms = [u[a][part] for a, part in parts]
            for term, scale in zip(terms, phase.scale, strict=True):
                multiply(term, scale)
            for i, cell in enumerate(self._tap_cells(phase, g)):
                combine(cell, tuple(row[i] for row in phase.filter), terms)

    def transform_output(self, m, y):
        """y = A m:  the P arrays m[a] (T, ...) -> y (T * outputs, ...)."""
        for i, row in enumerate(self.output):
            combine(y[i :: self.outputs], row, m)

    def transform_output_adjoint(self, m):
        """m = A^T y, in place:  the P arrays m[a] (T, ...), of which `output_products` hold y.

        The product of each output i, output_products[i], holds y[i::outputs].
        """
        outputs = [m[a] for a in self.output_products]
        for a, column in enumerate(zip(*self.output, strict=True)):
            if a not in self.output_products:
                combine(m[a], column, outputs)

    @cached_property
    def output_products(self):
        """For each output the product whose row of A^T is that output alone."""
        columns = list(zip(*self.output, strict=True))
        units = [tuple(int(i == j) for j in range(self.outputs)) for i in range(self.outputs)]
        return [columns.index(unit) for unit in units]

    @cached_property
    def _parts(self):
        """For each product its phases: (phase, its row of B and G, its share of the depth)."""
        parts = []
        for a in range(self.products):
            parts.append([])
            start = 0
            for phase in self.phases:
                if a in phase.products:
                    share = slice(start, start + phase.width)
                    parts[-1].append((phase, phase.products.index(a), share))
                    start += phase.width
        return parts

    @cached_property
    def _phase_parts(self):
        """For each phase, itself and then its products: (product, its share of the depth)."""
        return [
            (phase, *((a, part) for a, shares in enumerate(self._parts)
                      for other, _, part in shares if other is phase))
            for phase in self.phases
        ]  # fmt: skip

    def _tap_cells(self, phase, g):
        """For each cell of taps: (width, ...)."""
        starts = [phase.first + i * self.stride for i in range(len(phase.filter[0]))]
        return [g[start : start + phase.width] for start in starts]


@cache
def _readers(tiles, readings):
    """Ranges of cells that tiles t, t - 1, ... read, so many in all: (start, stop, lags)."""
    cells = range(tiles + readings - 1)
    lags = [tuple(lag for lag in range(readings) if 0 <= t - lag < tiles) for t in cells]
    ranges = [list(same) for _, same in groupby(cells, lags.__getitem__)]
    return [(same[0], same[-1] + 1, lags[same[0]]) for same in ranges]


def combine(out, factors, terms):
    """out = the sum of factor * term, for integers, not all of them 0."""
    (first, *operands), *more = _operations(factors)
    first(*[terms[i] for i in operands], out)
    for operation, i in more:
        operation(out, out if i is None else terms[i], out)


@cache
def _operations(factors):
    """The operations of `combine`: (function, numbers of terms), the first one of one or two.

    By Horner's rule on the factors' binary digits, highest first: between two digits comes
    (np.add, None), which doubles the sum so far.
    """
    digits = [
        ([i for i, f in enumerate(factors) if f > 0 and f >> digit & 1],
         [i for i, f in enumerate(factors) if f < 0 and -f >> digit & 1])
        for digit in reversed(range(max(map(abs, factors)).bit_length()))
    ]  # fmt: skip
    plus, minus = digits[0]
    if len(plus) > 1:
        operations = [(np.add, plus.pop(0), plus.pop(0))]
    elif plus and minus:
        operations = [(np.subtract, plus.pop(0), minus.pop(0))]
    elif plus:
        operations = [(lambda term, out: np.copyto(out, term), plus.pop(0))]
    else:
        operations = [(np.negative, minus.pop(0))]
    for plus, minus in digits:  # of the first one, what is left
        operations += [(np.add, i) for i in plus] + [(np.subtract, i) for i in minus]
        operations.append((np.add, None))
    return operations[:-1]


def multiply(out, scale):
    """out *= scale, where that does anything."""
    if scale != 1:
        np.multiply(out, scale, out=out)


# Toom-Cook at the points 0, 1, infinity (3 products), 0, 1, -1, infinity (4) and
# 0, 1, -1, 2, infinity (5), for two outputs a tile.  B's rows are signed so that the scales are
# positive.
OUTPUT_3 = ((1, 1, 0), (0, 1, 1))
OUTPUT_4 = ((1, 1, 1, 0), (0, 1, -1, 1))
OUTPUT_5 = ((1, 1, 1, 1, 0), (0, 1, -1, 2, 1))
TWO_TAPS = {
    "data": ((1, -1, 0), (0, 1, 0), (0, -1, 1)),
    "filter": ((1, 0), (1, 1), (0, 1)),
    "scale": (1, 1, 1),
}
THREE_TAPS = {
    "data": ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
    "filter": ((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)),
    "scale": (1, 0.5, 0.5, 1),
}
FOUR_TAPS = {
    "data": (
        (2, -1, -2, 1, 0), (0, 2, 1, -1, 0), (0, -2, 3, -1, 0), (0, -1, 0, 1, 0), (0, 2, -1, -2, 1)
    ),
    "filter": ((1, 0, 0, 0), (1, 1, 1, 1), (1, -1, 1, -1), (1, 2, 4, 8), (0, 0, 0, 1)),
    "scale": (1 / 2, 1 / 2, 1 / 6, 1 / 6, 1),
}

# By (taps, stride): those that were measured to pay.
FILTERINGS = {
    (filtering.taps, filtering.stride): filtering
    for filtering in (
        Filtering(4, 2, OUTPUT_3, (Phase(0, 2, (0, 1, 2), **TWO_TAPS),)),
        Filtering(3, 1, OUTPUT_4, (Phase(0, 1, (0, 1, 2, 3), **THREE_TAPS),)),
        Filtering(4, 1, OUTPUT_5, (Phase(0, 1, (0, 1, 2, 3, 4), **FOUR_TAPS),)),
        Filtering(
            5,
            2,
            OUTPUT_4,
            (Phase(0, 1, (0, 1, 2, 3), **THREE_TAPS), Phase(1, 1, (0, 1, 3), **TWO_TAPS)),
        ),
    )
}
