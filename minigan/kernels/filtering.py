"""Minimal filtering in one axis: several outputs of a short filter in fewer products.

Two neighbouring outputs of a two-tap filter, y0 = d0 g0 + d1 g1 and
y1 = d1 g0 + d2 g1, take three products instead of four (Winograd 1980):

    m0 = (d0 - d1) g0      m1 = d1 (g0 + g1)      m2 = (d2 - d1) g1
    y0 = m0 + m1           y1 = m1 + m2

that is  y = A [(G g) * (B d)]  with three small matrices of 0, 1 and -1.  The map
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

import numpy as np


@dataclass(frozen=True)
class Phase:
    """The pixels and taps at some remainders modulo the stride, and their products.

    first, width: cell i is the `width` pixels (or taps) from first + i * stride on
    products:     the products it takes part in, out of the axis's P
    data:         B: a row for each of those products, a column for each cell of a tile
    filter:       G: a row for each of those products, a column for each cell of taps
    scale:        the factor of each row of G; with it apart, the matrices hold 0, 1 and -1
    """

    first: int
    width: int
    products: tuple
    data: tuple
    filter: tuple
    scale: tuple


@dataclass(frozen=True)
class Filtering:
    """The products of one axis: tiles of `outputs` outputs from `taps` taps at a stride.

    output: A: a row for each output of a tile, a column for each product
    phases: disjoint, together all the taps

    Names in the methods: T tiles, one every `step` = outputs * stride pixels, none
    reaching further than the end of the next step; `depth(a)` = Da, the widths of the
    phases in product a together.
    """

    taps: int
    stride: int
    output: tuple
    phases: tuple

    @property
    def outputs(self):
        return len(self.output)

    @property
    def step(self):
        return self.outputs * self.stride

    @property
    def products(self):
        return len(self.output[0])

    def depth(self, a):
        return sum(phase.width for phase, _, _ in self._parts(a))

    def transform_data(self, a, d, v):
        """v = row a of B d:  d (T + 1, step, ...) pixels -> v (T, Da, ...)."""
        tiles = len(v)
        for phase, row, part in self._parts(a):
            cells = [
                d[reach : reach + tiles, pixel : pixel + phase.width]
                for reach, pixel in self._pixel_cells(phase)
            ]
            combine(v[:, part], phase.data[row], cells)

    def transform_data_adjoint(self, v, d):
        """d = B^T v:  the P arrays v[a] (T, Da, ...) -> d (T + 1, step, ...)."""
        for phase in self.phases:
            terms = [v[a][:, self._part(a, phase)] for a in phase.products]
            columns = dict(
                zip(self._pixel_cells(phase), zip(*phase.data, strict=True), strict=True)
            )
            for pixel in sorted({pixel for _, pixel in columns}):
                # Step t of the pixels takes from tile t, and from tile t - 1 where that
                # reaches past its own step.
                cell = d[:, pixel : pixel + phase.width]
                own, past = columns[0, pixel], columns.get((1, pixel))
                if past is None:
                    combine(cell[:-1], own, terms)
                    cell[-1] = 0
                    continue
                before, after = [term[:-1] for term in terms], [term[1:] for term in terms]
                combine(cell[0], own, [term[0] for term in terms])
                combine(cell[1:-1], own + past, after + before)
                combine(cell[-1], past, [term[-1] for term in terms])

    def transform_filter(self, a, g, u):
        """u = row a of G g:  g (taps, ...) -> u (Da, ...)."""
        for phase, row, part in self._parts(a):
            combine(u[part], phase.filter[row], self._tap_cells(phase, g))
            multiply(u[part], phase.scale[row])

    def transform_filter_adjoint(self, u, g):
        """g = G^T u:  the P arrays u[a] (Da, ...) -> g (taps, ...).  Scales u in place."""
        for phase in self.phases:
            terms = [u[a][self._part(a, phase)] for a in phase.products]
            for term, scale in zip(terms, phase.scale, strict=True):
                multiply(term, scale)
            for i, cell in enumerate(self._tap_cells(phase, g)):
                combine(cell, [row[i] for row in phase.filter], terms)

    def transform_output(self, m, y):
        """y = A m:  the P arrays m[a] (T, ...) -> y (T * outputs or fewer, ...)."""
        for i, row in enumerate(self.output):
            cell = y[i :: self.outputs]
            combine(cell, row, [m_a[: len(cell)] for m_a in m])

    def transform_output_adjoint(self, a, y, m):
        """m = row a of A^T y:  y (T * outputs, ...) -> m (T, ...)."""
        cells = [y[i :: self.outputs] for i in range(self.outputs)]
        combine(m, [row[a] for row in self.output], cells)

    def _parts(self, a):
        """The phases in product a: (phase, its row of B and G, its share of the depth)."""
        start = 0
        for phase in self.phases:
            if a in phase.products:
                yield phase, phase.products.index(a), slice(start, start + phase.width)
                start += phase.width

    def _part(self, a, phase):
        return next(part for other, _, part in self._parts(a) if other is phase)

    def _pixel_cells(self, phase):
        """For each cell of a tile: which step it is in (0 its own, 1 the next), and where."""
        starts = [phase.first + i * self.stride for i in range(len(phase.data[0]))]
        return [divmod(start, self.step) for start in starts]

    def _tap_cells(self, phase, g):
        """For each cell of taps: (width, ...)."""
        starts = [phase.first + i * self.stride for i in range(len(phase.filter[0]))]
        return [g[start : start + phase.width] for start in starts]


def combine(out, signs, terms):
    """out = the sum of sign * term, for signs 1, -1 and 0, some sign not 0."""
    plus = [term for sign, term in zip(signs, terms, strict=True) if sign > 0]
    minus = [term for sign, term in zip(signs, terms, strict=True) if sign < 0]
    if len(plus) > 1:
        np.add(plus.pop(), plus.pop(), out=out)
    elif plus and minus:
        np.subtract(plus.pop(), minus.pop(), out=out)
    elif plus:
        np.copyto(out, plus.pop())
    else:
        np.negative(minus.pop(), out=out)
    for term in plus:
        np.add(out, term, out=out)
    for term in minus:
        np.subtract(out, term, out=out)


def multiply(out, scale):
    """out *= scale, where that does anything."""
    if scale != 1:
        np.multiply(out, scale, out=out)


# Toom-Cook at the points 0, 1, infinity (3 products) and 0, 1, -1, infinity (4), for two
# outputs a tile.  B's rows are signed so that the scales are positive.
OUTPUT_3 = ((1, 1, 0), (0, 1, 1))
OUTPUT_4 = ((1, 1, 1, 0), (0, 1, -1, 1))
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

# By (taps, stride): those that were measured to pay.
FILTERINGS = {
    (filtering.taps, filtering.stride): filtering
    for filtering in (
        Filtering(4, 2, OUTPUT_3, (Phase(0, 2, (0, 1, 2), **TWO_TAPS),)),
        Filtering(3, 1, OUTPUT_4, (Phase(0, 1, (0, 1, 2, 3), **THREE_TAPS),)),
        Filtering(
            5,
            2,
            OUTPUT_4,
            (Phase(0, 1, (0, 1, 2, 3), **THREE_TAPS), Phase(1, 1, (0, 1, 3), **TWO_TAPS)),
        ),
    )
}
