"""The conv triple by minimal filtering: fewer multiplications for the usual kernels.

The matrices of filtering.py act on the rows of an image, then on its columns, so that a tile
takes the products (a, b) of a row product a and a column product b: for 4x4 stride 2, 25 for 4x4
outputs, where each of these takes the four products of 2x2 cells.  Data and filters hold channels,
so each product is a GEMM over all tiles of the batch (Lavin & Gray 2016, arXiv:1509.09308):

    conv:     V = B x,  U = G w,      M = V @ U    (each product),   y  = A M
    conv_dx:  M = A^T dy,  U = G w,   V = M @ U.T,                   dx = B^T V
    conv_dw:  V = B x,  M = A^T dy,   U = V.T @ M,                   dw = G^T U

A backward pass wants dx and dw, and both take A^T dy; that of a transposed convolution wants
the convolution and dw, and both take B x.  So there are the pairs besides.

V, U and M hold a matrix a product and are workspaces: V and M for a chunk of the batch, U, which
is large for wide layers, for some row products at a time.  The transforms go through groups of
images, a few MB each, and the cores share out groups, channels, or rows and columns of the
products.

Within a group the images lie innermost, cell by cell: (rows, columns, n, ...), with the pixels of
a stride's size in one cell.  So a transform along an axis is one small matrix times long rows, the
same for all other places (see `filtering.multiply`).
"""

import itertools
import math

import numpy as np

from ...threads import core_count, parallel
from . import workspace
from .filtering import FILTERINGS, choose
from .products import matmuls

# Taps that are transformed together: larger blocks leave the cache, smaller ones wait more.
FILTER_BLOCK = 2**19


def applies(geometry):
    """Is there a filtering for this kernel and stride, in both axes?"""
    return all(pair in FILTERINGS for pair in zip(geometry.kernel, geometry.stride, strict=True))


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    plan = _Plan(geometry, len(x), *w.shape[2:], x.dtype)
    y, u = plan.empty_outputs(len(x)), plan.transformed(w)
    for i, j in plan.chunks(len(x)):
        plan.conv(plan.transform_data(x[i:j]), u, y[i:j])
    return y


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    plan = _Plan(geometry, len(dy), *w.shape[2:], dy.dtype)
    dx, u = plan.empty_images(len(dy)), plan.transformed(w)
    for i, j in plan.chunks(len(dy)):
        plan.conv_dx(plan.transform_output_adjoint(dy[i:j]), u, dx[i:j])
    return dx


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    plan = _Plan(geometry, len(x), x.shape[3], dy.shape[3], x.dtype)
    dw = plan.zero_filters()
    for i, j in plan.chunks(len(x)):
        plan.add_conv_dw(plan.transform_data(x[i:j]), plan.transform_output_adjoint(dy[i:j]), dw)
    return dw


def conv_y_dw(x, dy, w, geometry):
    """(conv, conv_dw), with B x taken once."""
    plan = _Plan(geometry, len(x), *w.shape[2:], x.dtype)
    y, u, dw = plan.empty_outputs(len(x)), plan.transformed(w), plan.zero_filters()
    for i, j in plan.chunks(len(x)):
        v = plan.transform_data(x[i:j])
        plan.conv(v, u, y[i:j])
        plan.add_conv_dw(v, plan.transform_output_adjoint(dy[i:j]), dw)
    return y, dw


def conv_dx_dw(x, dy, w, geometry):
    """(conv_dx, conv_dw), with A^T dy taken once."""
    plan = _Plan(geometry, len(x), *w.shape[2:], x.dtype)
    dx, u, dw = plan.empty_images(len(x)), plan.transformed(w), plan.zero_filters()
    for i, j in plan.chunks(len(x)):
        m = plan.transform_output_adjoint(dy[i:j])
        plan.conv_dx(m, u, dx[i:j])
        plan.add_conv_dw(plan.transform_data(x[i:j]), m, dw)
    return dx, dw


class _Plan:
    """The sizes of one call, its workspaces, the three transforms and their adjoints.

    With T x S tiles an image and P x P' products (of the rows and of the columns) a tile, strides
    s and s' and n images, V is (P, P', T * S * n, s s' C), U (P, P', s s' C, K) and
    M (P, P', T * S * n, K).
    """

    def __init__(self, geometry, n, channels, filters, dtype):
        self.geometry, self.channels, self.filters, self.dtype = geometry, channels, filters, dtype
        windows = n * math.prod(geometry.output)
        self.rows, self.columns = axes = [
            choose(*axis, windows)
            for axis in zip(geometry.kernel, geometry.stride, geometry.output, strict=True)
        ]
        self.products = tuple(axis.products for axis in axes)
        self.depth = math.prod(geometry.stride) * channels
        self.tiles = [axis.tiles(n) for axis, n in zip(axes, geometry.output, strict=True)]
        self.outputs = [tiles * axis.outputs for axis, tiles in zip(axes, self.tiles, strict=True)]
        self.cells = [
            max(axis.cells(tiles), -(-(before + size) // axis.stride))
            for axis, tiles, (before, _), size in zip(
                axes, self.tiles, geometry.padding, geometry.size, strict=True
            )
        ]
        self.cores = core_count()  # once: V and M must be cut into the same groups
        # U is made for as many row products at a time as fit in a workspace, too.
        bytes_u = self.products[1] * self.depth * filters * self.dtype.itemsize  # of one
        ranges = workspace.cut(self.products[0], workspace.CHUNK_BYTES, bytes_u)
        self.parts = [slice(*part) for part in ranges]

    # The maps, between the transforms

    def conv(self, v, u, y):
        """y (n, oh, ow, K) = A (V @ U), for u = transformed(w)."""
        m = self.array_m(len(y))
        for part in self.parts:
            matmuls(zip(_each(v[part]), _each(u(part)), _each(m[part]), strict=True))
        self.transform_output(m, y)

    def conv_dx(self, m, u, dx):
        """dx (n, H, W, C) = B^T (M @ U.T), for u = transformed(w)."""
        v = self.array_v(len(dx))
        for part in self.parts:
            u_turned = _each(u(part)).swapaxes(1, 2)
            matmuls(zip(_each(m[part]), u_turned, _each(v[part]), strict=True))
        self.transform_data_adjoint(v, dx)

    def add_conv_dw(self, v, m, dw):
        """dw (kh, kw, C, K) += G^T (V.T @ M)."""
        for part in self.parts:
            u, v_turned = self.array_u(part, "part of dw"), _each(v[part]).swapaxes(1, 2)
            matmuls(zip(v_turned, _each(m[part]), _each(u), strict=True))
            self.add_filter_adjoint(u, dw, part)

    def transformed(self, w):
        """The function part -> U for its row products; one part, of all, is made only once."""
        w = np.ascontiguousarray(w)  # here, or each range of channels would copy it
        if len(self.parts) > 1:
            return lambda part: self.transform_filter(w, part)
        u = self.transform_filter(w, self.parts[0])
        return lambda part: u

    # Arrays and workspaces

    def empty_images(self, n):
        return np.empty((n, *self.geometry.size, self.channels), self.dtype)

    def empty_outputs(self, n):
        return np.empty((n, *self.geometry.output, self.filters), self.dtype)

    def zero_filters(self):
        return np.zeros((*self.geometry.kernel, self.channels, self.filters), self.dtype)

    def take(self, use, *shape):
        return workspace.take("minimal " + use, shape, self.dtype)

    def array_v(self, n):
        return self.take("v", *self.products, n * math.prod(self.tiles), self.depth)

    def array_u(self, part, use="u"):
        products = part.stop - part.start, self.products[1]
        return self.take(use, *products, self.depth, self.filters)

    def array_m(self, n):
        return self.take("m", *self.products, n * math.prod(self.tiles), self.filters)

    def chunks(self, n):
        """Ranges of the n images whose V and M fit in a workspace."""
        matrices = math.prod(self.products) * self.dtype.itemsize
        bytes_each = matrices * math.prod(self.tiles) * (self.depth + self.filters)
        bytes_u = matrices * self.depth * self.filters // len(self.parts)
        return workspace.chunks(n, bytes_each, bytes_u)

    def _over_images(self, transform, array, images):
        """transform(array, images) for groups of n images (n, H, W, C), by all cores.

        array: V or M, of which a group takes its rows as (P, P', T, S, n * columns).
        """
        tiles = math.prod(self.tiles)

        def work(i, j):
            part = array[:, :, i * tiles : j * tiles]
            transform(part.reshape(*self.products, *self.tiles, -1), images[i:j])

        workspace.over_images(work, len(images), self._image_bytes(), self.cores)

    def _between(self, places):
        """Scratch (T, P, Q, L) between rows and columns, for cells or outputs (R, Q, n, ...)."""
        _, columns, *numbers = places.shape
        return self.take("between", self.tiles[0], self.products[0], columns, math.prod(numbers))

    def _image_bytes(self):
        """The larger of an image's cells and outputs: V and M must be cut into the same groups."""
        cells = math.prod(self._cells_shape(1)), math.prod(self._outputs_shape(1))
        return max(cells) * self.dtype.itemsize

    # Data: B and its adjoint

    def transform_data(self, x):
        """x (n, H, W, C) -> V."""
        v = self.array_v(len(x))
        self._over_images(self._transform_data, v, x)
        return v

    def _transform_data(self, v, x):
        cells = self.take("cells", *self._cells_shape(len(x)))
        self._zero_margins(cells)
        for part, pixels in self._pixels(cells, x):
            np.copyto(part, pixels)
        between = self._between(cells)
        self.rows.transform_data(_rows_last(cells), _tile_rows_last(between))
        self.columns.transform_data(between, _tile_columns_last(v))

    def transform_data_adjoint(self, v, dx):
        """V -> dx (n, H, W, C)."""
        self._over_images(self._transform_data_adjoint, v, dx)

    def _transform_data_adjoint(self, v, dx):
        cells = self.take("cells", *self._cells_shape(len(dx)))
        between = self._between(cells)
        self.columns.transform_data_adjoint(_tile_columns_last(v), between)
        self.rows.transform_data_adjoint(_tile_rows_last(between), _rows_last(cells))
        for part, pixels in self._pixels(cells, dx):
            np.copyto(pixels, part)

    def _cells_shape(self, n):
        """(R, Q, n, row stride, column stride, C): tiles and image, in cells of a stride each."""
        return (*self.cells, n, *self.geometry.stride, self.channels)

    def _pixels(self, cells, x):
        """All parts of cells that hold pixels of x (n, H, W, C), each with those pixels."""
        (top, _), (left, _) = self.geometry.padding
        (_, height, width, channels), (sr, sc) = x.shape, self.geometry.stride
        for row, cell_rows, image_rows in _places(top, height, sr):
            for cell_columns, places, image_columns in _runs(left, width, sc):
                part = cells[cell_rows, cell_columns, :, row, places]  # (R', Q', n, places, C)
                shape = len(x), len(part), part.shape[1], part.shape[3], channels
                pixels = x[:, image_rows, image_columns].reshape(shape)
                yield part, pixels.transpose(1, 2, 0, 3, 4)

    def _zero_margins(self, cells):
        """Zero the rows and columns of cells that are not all image."""
        for axis, ((before, _), size, stride) in enumerate(
            zip(self.geometry.padding, self.geometry.size, self.geometry.stride, strict=True)
        ):
            lines = cells.swapaxes(0, axis)
            lines[: -(-before // stride)] = 0
            lines[(before + size) // stride :] = 0

    # Filters: G and its adjoint

    def transform_filter(self, w, part):
        """w (kh, kw, C, K) -> U of a range of row products."""
        u = self.array_u(part)

        def work(start, stop):  # a range of the channels
            for taps, between, ends in self._filter_parts(w, u, start, stop):
                self.rows.transform_filter(taps, between, part)
                for between_part, u_part in ends:
                    self.columns.transform_filter(between_part, u_part)

        self._over_channels(work)
        return u

    def add_filter_adjoint(self, u, dw, part):
        """dw (kh, kw, C, K) += G^T U, for U of a range of row products."""

        def work(start, stop):  # a range of the channels
            for taps, between, ends in self._filter_parts(dw, u, start, stop):
                for between_part, u_part in ends:
                    self.columns.transform_filter_adjoint(u_part, between_part)
                own = self.take("own taps", *taps.shape)
                self.rows.transform_filter_adjoint(between, own, part)
                taps += own

        self._over_channels(work)

    def _filter_parts(self, w, u, start, stop):
        """For each phase of the rows its taps (kw, t, L), scratch (kw, P, L) and, for each phase
        of the columns, their part of the scratch (P, t', L) and U (P, P', L).

        L = (stop - start) K, for a range of the channels; P row products are those of U.
        """
        (sr, sc), (kh, kw) = self.geometry.stride, self.geometry.kernel
        u = u.reshape(*u.shape[:2], sr, sc, -1)
        w = w.reshape(kh, kw, -1)
        taps = slice(start * self.filters, stop * self.filters)
        for i in range(sr):
            between = self.take("taps", len(u), kw, taps.stop - taps.start)
            ends = [(between[:, j::sc], u[:, :, i, j, taps]) for j in range(sc)]
            yield w[i::sr, :, taps].swapaxes(0, 1), between.swapaxes(0, 1), ends

    def _over_channels(self, work):
        """work(start, stop) for ranges of the channels, of some FILTER_BLOCK taps, by all cores."""
        taps = math.prod(self.geometry.kernel) * self.filters
        parallel(work, self.channels, taps * self.channels, most=max(1, FILTER_BLOCK // taps))

    # Outputs: A and its adjoint

    def transform_output(self, m, y):
        """M -> y (n, oh, ow, K)."""
        self._over_images(self._transform_output, m, y)

    def _transform_output(self, m, y):
        outputs = self.take("outputs", *self._outputs_shape(len(y)))
        between = self._between(outputs)
        self.columns.transform_output(_tile_columns_last(m), between)
        self.rows.transform_output(_tile_rows_last(between), _rows_last(outputs))
        np.copyto(y, outputs[: y.shape[1], : y.shape[2]].transpose(2, 0, 1, 3))

    def transform_output_adjoint(self, dy):
        """dy (n, oh, ow, K) -> M."""
        m = self.array_m(len(dy))
        self._over_images(self._transform_output_adjoint, m, dy)
        return m

    def _transform_output_adjoint(self, m, dy):
        outputs = self.take("outputs", *self._outputs_shape(len(dy)))
        between = self._between(outputs)
        _, oh, ow, _ = dy.shape
        outputs[oh:] = 0  # where the last tiles reach past the last outputs
        outputs[:, ow:] = 0
        np.copyto(outputs[:oh, :ow], dy.transpose(1, 2, 0, 3))
        self.rows.transform_output_adjoint(_rows_last(outputs), _tile_rows_last(between))
        self.columns.transform_output_adjoint(between, _tile_columns_last(m))

    def _outputs_shape(self, n):
        """(T * row outputs, S * column outputs, n, K)."""
        return (*self.outputs, n, self.filters)


def _each(array):
    """The matrices of V, U or M, one for each product (a, b)."""
    return array.reshape(-1, *array.shape[2:])


def _rows_last(cells):
    """(R, Q, n, ...) -> (Q, R, L): the rows' axis where a Filtering works."""
    return cells.reshape(*cells.shape[:2], -1).swapaxes(0, 1)


def _tile_rows_last(between):
    """(T, P, Q, L) -> (Q, T, P, L)."""
    return between.transpose(2, 0, 1, 3)


def _tile_columns_last(v):
    """(P, P', T, S, L) -> (T, P, S, P', L)."""
    return v.transpose(2, 0, 3, 1, 4)


def _places(before, size, stride):
    """For each place in a cell: (place, slice of cells, slice of the image's lines there)."""
    for place in range(stride):
        first = (place - before) % stride  # the first line of the image at this place
        cell, lines = (before + first) // stride, len(range(first, size, stride))
        yield place, slice(cell, cell + lines), slice(first, None, stride)


def _runs(before, size, stride):
    """The image's lines by neighbours in a cell: (slice of cells, of places there, of lines).

    The lines of whole cells in one run, and those of a first and last cell that are not.
    """
    start, stop = before, before + size  # counted from the first cell's first place
    first = min(stop, -(-start // stride) * stride)
    last = max(first, stop // stride * stride)
    for i, j in itertools.pairwise((start, first, last, stop)):
        if i < j:
            place = i % stride
            places = slice(place, place + min(stride, j - i))
            yield slice(i // stride, -(-j // stride)), places, slice(i - before, j - before)
