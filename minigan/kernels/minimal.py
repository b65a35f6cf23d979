"""The conv triple by minimal filtering: fewer multiplications for the usual kernels.

The matrices of filtering.py act on the rows of an image, then on its columns, so
that a tile takes the products (a, b) of a row product a and a column product b:
for 4x4 stride 2, 9 where the taps take 16.  Data and filters hold channels, so
each product is a GEMM over all tiles of the batch (Lavin & Gray 2016,
arXiv:1509.09308):

    conv:     V = B x,  U = G w,      M = V @ U    (each product),   y  = A M
    conv_dx:  M = A^T dy,  U = G w,   V = M @ U.T,                   dx = B^T V
    conv_dw:  V = B x,  M = A^T dy,   U = V.T @ M,                   dw = G^T U

A backward pass wants dx and dw, and both take A^T dy; that of a transposed convolution wants
the convolution and dw, and both take B x.  So there are the pairs besides.

V, U and M are lists of matrices, one a product, for a chunk of the batch; they are
workspaces.  The sums go through groups of images, a few MB each, and the cores share out
groups, channels, or rows and columns of the products.

Within a group the images lie innermost, pixel by pixel: (rows, columns, n, ...), with the
pixels of a stride's size in one cell.  Sums are then over long contiguous rows (for 5x5, whose
phases are narrower than a cell, over shorter ones), which NumPy adds three times as fast as the
short ones of a single image.
"""

import math

import numpy as np

from ..threads import core_count, parallel
from . import workspace
from .blocks import unbuffered
from .filtering import FILTERINGS
from .products import matmuls


def applies(geometry):
    """Is there a filtering for this kernel and stride, in both axes?"""
    return all(pair in FILTERINGS for pair in zip(geometry.kernel, geometry.stride, strict=True))


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    plan = _Plan(geometry, w.shape[2], w.shape[3], x.dtype)
    y, u = plan.empty_outputs(len(x)), plan.transform_filter(w)
    for i, j in plan.chunks(len(x)):
        plan.conv(plan.transform_data(x[i:j]), u, y[i:j])
    return y


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    plan = _Plan(geometry, w.shape[2], w.shape[3], dy.dtype)
    dx, u = plan.empty_images(len(dy)), plan.transform_filter(w)
    for i, j in plan.chunks(len(dy)):
        plan.conv_dx(plan.transform_output_adjoint(dy[i:j]), u, dx[i:j])
    return dx


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    plan = _Plan(geometry, x.shape[3], dy.shape[3], x.dtype)
    total = None
    for i, j in plan.chunks(len(x)):
        v, m = plan.transform_data(x[i:j]), plan.transform_output_adjoint(dy[i:j])
        total = plan.add_conv_dw(v, m, total)
    return plan.filters_of(total)


def conv_y_dw(x, dy, w, geometry):
    """(conv, conv_dw), with B x taken once."""
    plan = _Plan(geometry, x.shape[3], dy.shape[3], x.dtype)
    y, u, total = plan.empty_outputs(len(x)), plan.transform_filter(w), None
    for i, j in plan.chunks(len(x)):
        v = plan.transform_data(x[i:j])
        plan.conv(v, u, y[i:j])
        total = plan.add_conv_dw(v, plan.transform_output_adjoint(dy[i:j]), total)
    return y, plan.filters_of(total)


def conv_dx_dw(x, dy, w, geometry):
    """(conv_dx, conv_dw), with A^T dy taken once."""
    plan = _Plan(geometry, x.shape[3], dy.shape[3], x.dtype)
    dx, u, total = plan.empty_images(len(x)), plan.transform_filter(w), None
    for i, j in plan.chunks(len(x)):
        m = plan.transform_output_adjoint(dy[i:j])
        plan.conv_dx(m, u, dx[i:j])
        total = plan.add_conv_dw(plan.transform_data(x[i:j]), m, total)
    return dx, plan.filters_of(total)


class _Plan:
    """The sizes of one call, its workspaces, the three transforms and their adjoints.

    T x S tiles an image; Da rows and Db columns of a cell's pixels take part in the
    product (a, b), so V_ab is (T * S * n, Da * Db * C) for a group of n images, U_ab
    (Da * Db * C, K) and M_ab (T * S * n, K).  A Filtering works along the leading axes of its
    arrays, so the transforms hand it views with the rows' or the columns' axes in front.
    """

    def __init__(self, geometry, channels, filters, dtype):
        self.geometry, self.channels, self.filters, self.dtype = geometry, channels, filters, dtype
        self.rows, self.columns = (
            FILTERINGS[pair] for pair in zip(geometry.kernel, geometry.stride, strict=True)
        )
        self.tiles = tuple(
            -(-n // axis.outputs)
            for n, axis in zip(geometry.output, (self.rows, self.columns), strict=True)
        )
        self.cells = [
            max(axis.cells(tiles), -(-(before + size) // axis.stride))
            for axis, tiles, (before, _), size in zip(
                (self.rows, self.columns), self.tiles, geometry.padding, geometry.size, strict=True
            )
        ]
        self.cores = core_count()  # once: V and M must be cut into the same groups
        self.depths = [(da, db) for da in self.rows.depths for db in self.columns.depths]

    # The maps, between the transforms

    def conv(self, v, u, y):
        """y (n, oh, ow, K) = A (V @ U)."""
        m = self.matrices_m(len(y))
        matmuls(v, u, m)
        self.transform_output(m, y)

    def conv_dx(self, m, u, dx):
        """dx (n, H, W, C) = B^T (M @ U.T)."""
        v = self.matrices_v(len(dx))
        matmuls(m, [u_ab.T for u_ab in u], v)
        self.transform_data_adjoint(v, dx)

    def add_conv_dw(self, v, m, total):
        """total + V.T @ M, like U; total is changed, None stands for zeros."""
        part = self.matrices_u("sum of u" if total is None else "part of u")
        matmuls([v_ab.T for v_ab in v], m, part)
        if total is None:
            return part
        self.add_filters(part, total)
        return total

    def filters_of(self, total):
        """dw (kh, kw, C, K) = G^T total; overwrites total, None stands for zeros."""
        dw = np.empty((*self.geometry.kernel, self.channels, self.filters), self.dtype)
        if total is None:
            dw.fill(0)
        else:
            self.transform_filter_adjoint(total, dw)
        return dw

    # Arrays and workspaces

    def empty_images(self, n):
        return np.empty((n, *self.geometry.size, self.channels), self.dtype)

    def empty_outputs(self, n):
        return np.empty((n, *self.geometry.output, self.filters), self.dtype)

    def take(self, use, shape):
        return workspace.take("minimal " + use, shape, self.dtype)

    def matrices_v(self, n):
        tiles = n * self.tiles[0] * self.tiles[1]
        return self._matrices("v", [(tiles, da * db * self.channels) for da, db in self.depths])

    def matrices_u(self, use="u"):
        return self._matrices(
            use, [(da * db * self.channels, self.filters) for da, db in self.depths]
        )

    def matrices_m(self, n):
        tiles = n * self.tiles[0] * self.tiles[1]
        return self._matrices("m", [(tiles, self.filters) for _ in self.depths])

    def _matrices(self, use, shapes):
        flat, stop, matrices = self.take(use, (sum(m * n for m, n in shapes),)), 0, []
        for m, n in shapes:
            start, stop = stop, stop + m * n
            matrices.append(flat[start:stop].reshape(m, n))
        return matrices

    def chunks(self, n):
        """Ranges of the n images whose V and M fit in a workspace."""
        depth = sum(da * db for da, db in self.depths)
        columns = depth * self.channels + len(self.depths) * self.filters
        bytes_each = self.tiles[0] * self.tiles[1] * columns * self.dtype.itemsize
        bytes_u = depth * self.channels * self.filters * self.dtype.itemsize
        return workspace.chunks(n, bytes_each, bytes_u)

    def _over_images(self, transform, matrices, images):
        """transform(matrices, images) for groups of images (n, H, W, C), by all cores.

        matrices: a list of (n * T * S, columns), of which each group takes its rows.
        """
        tiles = self.tiles[0] * self.tiles[1]

        def work(i, j):
            with unbuffered():
                transform([each[i * tiles : j * tiles] for each in matrices], images[i:j])

        workspace.over_images(work, len(images), self._image_bytes(), self.cores)

    def _image_bytes(self):
        """The larger of an image's cells and outputs: V and M must be cut into the same groups."""
        cells = math.prod(self._cells_shape(1)), math.prod(self._outputs_shape(1))
        return max(cells) * self.dtype.itemsize

    # Data: B and its adjoint

    def transform_data(self, x):
        """x (n, H, W, C) -> V."""
        v = self.matrices_v(len(x))
        self._over_images(self._transform_data, v, x)
        return v

    def _transform_data(self, v, x):
        cells = self.take("cells", self._cells_shape(len(x)))
        self._zero_margins(cells)
        for part, pixels in self._remainders(cells, x):
            np.copyto(part, pixels)
        rows = _rows_first(cells)
        for a, v_a in enumerate(self._by_product(v, self._v_tiles)):
            between = self._between(len(x), a, "between")
            self.rows.transform_data(a, rows, _rows_first(between))
            columns = _columns_first(between)
            for b, v_ab in enumerate(v_a):
                self.columns.transform_data(b, columns, v_ab)

    def transform_data_adjoint(self, v, dx):
        """V -> dx (n, H, W, C)."""
        self._over_images(self._transform_data_adjoint, v, dx)

    def _transform_data_adjoint(self, v, dx):
        betweens = []
        for a, v_a in enumerate(self._by_product(v, self._v_tiles)):
            between = self._between(len(dx), a, f"between {a}")
            self.columns.transform_data_adjoint(v_a, _columns_first(between))
            betweens.append(_rows_first(between))
        cells = self.take("cells", self._cells_shape(len(dx)))
        self.rows.transform_data_adjoint(betweens, _rows_first(cells))
        for part, pixels in self._remainders(cells, dx):
            np.copyto(pixels, part)

    def _cells_shape(self, n):
        """(R, Q, n, row stride, column stride, C): tiles and image, in cells of a stride each."""
        return (*self.cells, n, *self.geometry.stride, self.channels)

    def _remainders(self, cells, x):
        """For each place in a cell: (the part of cells, the part of x (n, H, W, C)) there."""
        (top, _), (left, _) = self.geometry.padding
        for r, rows, image_rows in _places(top, x.shape[1], self.geometry.stride[0]):
            for c, columns, image_columns in _places(left, x.shape[2], self.geometry.stride[1]):
                pixels = x[:, image_rows, image_columns].transpose(1, 2, 0, 3)
                yield cells[rows, columns, :, r, c], pixels

    def _zero_margins(self, cells):
        """Zero the rows and columns of cells that are not all image."""
        for axis, ((before, _), size, stride) in enumerate(
            zip(self.geometry.padding, self.geometry.size, self.geometry.stride, strict=True)
        ):
            lines = cells.swapaxes(0, axis)
            lines[: -(-before // stride)] = 0
            lines[(before + size) // stride :] = 0

    def _between(self, n, a, use):
        """Scratch (T, Q, n, Da, column stride, C): cells with B applied along the rows."""
        stride = self.geometry.stride[1]
        shape = self.tiles[0], self.cells[1], n, self.rows.depths[a], stride, self.channels
        return self.take(use, shape)

    def _v_tiles(self, v_ab, a, b):
        """(T * S * n, Da * Db * C) -> (S, Db, T, n, Da, C)."""
        depths = self.rows.depths[a], self.columns.depths[b]
        tiles = v_ab.reshape(*self.tiles, -1, *depths, self.channels)
        return tiles.transpose(1, 4, 0, 2, 3, 5)

    # Filters: G and its adjoint

    def transform_filter(self, w):
        """w (kh, kw, C, K) -> U."""
        u = self.matrices_u()
        u_taps = self._by_product(u, self._u_taps)

        def work(start, stop):  # a range of the channels
            for a, u_a in enumerate(u_taps):
                between = self._filter_between(stop - start, a, "between")
                self.rows.transform_filter(a, w[:, :, start:stop], between)
                for b, u_ab in enumerate(u_a):
                    taps = between.swapaxes(0, 1)
                    self.columns.transform_filter(b, taps, u_ab[:, :, start:stop])

        parallel(work, self.channels, w.size)
        return u

    def transform_filter_adjoint(self, u, dw):
        """U -> dw (kh, kw, C, K); overwrites U."""
        u_taps = self._by_product(u, self._u_taps)

        def work(start, stop):  # a range of the channels
            betweens = []
            for a, u_a in enumerate(u_taps):
                between = self._filter_between(stop - start, a, f"between {a}")
                self.columns.transform_filter_adjoint(
                    [u_ab[:, :, start:stop] for u_ab in u_a], between.swapaxes(0, 1)
                )
                betweens.append(between)
            self.rows.transform_filter_adjoint(betweens, dw[:, :, start:stop])

        parallel(work, self.channels, dw.size)

    def add_filters(self, u, total):
        """total += u, both like U."""
        u, total = (
            [taps for u_a in self._by_product(each, self._u_taps) for taps in u_a]
            for each in (u, total)
        )

        def work(start, stop):  # a range of the channels
            for u_ab, total_ab in zip(u, total, strict=True):
                total_ab[:, :, start:stop] += u_ab[:, :, start:stop]

        parallel(work, self.channels, self.channels * self.filters * len(self.depths))

    def _filter_between(self, channels, a, use):
        """Scratch (Da, kw, channels, K): taps with G applied along the rows."""
        shape = (self.rows.depths[a], self.geometry.kernel[1], channels, self.filters)
        return self.take(use, shape)

    def _u_taps(self, u_ab, a, b):
        """(Da * Db * C, K) -> (Db, Da, C, K)."""
        depths = self.rows.depths[a], self.columns.depths[b]
        return u_ab.reshape(*depths, self.channels, self.filters).swapaxes(0, 1)

    # Outputs: A and its adjoint

    def transform_output(self, m, y):
        """M -> y (n, oh, ow, K)."""
        self._over_images(self._transform_output, m, y)

    def _transform_output(self, m, y):
        betweens = []
        for a, m_a in enumerate(self._by_product(m, self._m_tiles)):
            between = self._output_between(len(y), f"between {a}")
            self.columns.transform_output(m_a, between.swapaxes(0, 1))
            betweens.append(between)
        outputs = self.take("outputs", self._outputs_shape(len(y)))
        self.rows.transform_output(betweens, outputs)
        np.copyto(y, outputs[: y.shape[1], : y.shape[2]].transpose(2, 0, 1, 3))

    def transform_output_adjoint(self, dy):
        """dy (n, oh, ow, K) -> M."""
        m = self.matrices_m(len(dy))
        self._over_images(self._transform_output_adjoint, m, dy)
        return m

    def _transform_output_adjoint(self, m, dy):
        _, height, width, _ = dy.shape
        outputs = self.take("outputs", self._outputs_shape(len(dy)))
        outputs[height:] = 0  # where the last tiles reach past the last outputs
        outputs[:, width:] = 0
        np.copyto(outputs[:height, :width], dy.transpose(1, 2, 0, 3))
        for a, m_a in enumerate(self._by_product(m, self._m_tiles)):
            between = self._output_between(len(dy), "between")
            self.rows.transform_output_adjoint(a, outputs, between)
            for b, m_ab in enumerate(m_a):
                self.columns.transform_output_adjoint(b, between.swapaxes(0, 1), m_ab)

    def _outputs_shape(self, n):
        """(T * row outputs, S * column outputs, n, K)."""
        return (
            self.tiles[0] * self.rows.outputs,
            self.tiles[1] * self.columns.outputs,
            n,
            self.filters,
        )

    def _output_between(self, n, use):
        """Scratch (T, S * column outputs, n, K): outputs with A still to apply along the rows."""
        return self.take(use, (self.tiles[0], *self._outputs_shape(n)[1:]))

    def _m_tiles(self, m_ab, a, b):
        """(T * S * n, K) -> (S, T, n, K)."""
        return m_ab.reshape(*self.tiles, -1, self.filters).swapaxes(0, 1)

    def _by_product(self, matrices, view):
        """The list of matrices as lists [a][b] of their views."""
        each = iter(matrices)
        return [
            [view(next(each), a, b) for b in range(self.columns.products)]
            for a in range(self.rows.products)
        ]


def _rows_first(cells):
    """(R, Q, n, sr, sc, C) -> (R, sr, Q, n, sc, C), or (T, Q, n, Da, ...) -> (T, Da, Q, n, ...)."""
    return cells.transpose(0, 3, 1, 2, 4, 5)


def _columns_first(between):
    """(T, Q, n, Da, sc, C) -> (Q, sc, T, n, Da, C)."""
    return between.transpose(1, 4, 0, 2, 3, 5)


def _places(before, size, stride):
    """For each place in a cell: (place, slice of cells, slice of the image's lines there)."""
    for place in range(stride):
        first = (place - before) % stride  # the first line of the image at this place
        cell, lines = (before + first) // stride, len(range(first, size, stride))
        yield place, slice(cell, cell + lines), slice(first, None, stride)
