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

V, U and M hold a matrix a product, for a chunk of the batch, and are workspaces.  Matrices of
one size lie together as a stack, and a sum is over a whole stack.  The sums go through groups of
images, a few MB each, and the cores share out groups, channels, or rows and columns of the
products.

Within a group the images lie innermost, pixel by pixel: (rows, columns, n, ...), with the
pixels of a stride's size in one cell.  Sums are then over long contiguous rows (for 5x5, whose
phases are narrower than a cell, over shorter ones), which NumPy adds three times as fast as the
short ones of a single image.
"""

import itertools
import math

import numpy as np

from ..threads import core_count, parallel
from . import workspace
from .blocks import unbuffered
from .filtering import FILTERINGS
from .products import matmuls

# Taps that are transformed together: larger blocks leave the cache, smaller ones wait more.
FILTER_BLOCK = 2**19


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
    (Da * Db * C, K) and M_ab (T * S * n, K).  V and U are lists of arrays (L, ...), one for
    each stack of L row products (see `Filtering.stacks`) and each b; M is one array.

    A Filtering works along the leading axes of its arrays, so the transforms hand it views with
    the rows' or the columns' axes in front.
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
        self.depths = [  # (L, Da * Db) of each array of V or U
            (len(stack), self._row_depth(stack) * db)
            for stack in self.rows.stacks
            for db in self.columns.depths
        ]

    # The maps, between the transforms

    def conv(self, v, u, y):
        """y (n, oh, ow, K) = A (V @ U)."""
        m = self.array_m(len(y))
        matmuls(zip(_matrices(v), _matrices(u), self._matrices_m(m), strict=True))
        self.transform_output(m, y)

    def conv_dx(self, m, u, dx):
        """dx (n, H, W, C) = B^T (M @ U.T)."""
        v = self.arrays_v(len(dx))
        u_turned = [u_ab.T for u_ab in _matrices(u)]
        matmuls(zip(self._matrices_m(m), u_turned, _matrices(v), strict=True))
        self.transform_data_adjoint(v, dx)

    def add_conv_dw(self, v, m, total):
        """total + V.T @ M, like U; total is changed, None stands for zeros."""
        part = self.arrays_u("sum of u" if total is None else "part of u")
        v_turned = [v_ab.T for v_ab in _matrices(v)]
        matmuls(zip(v_turned, self._matrices_m(m), _matrices(part), strict=True))
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

    def _take_between(self, stack, shape):
        """Scratch (L, *shape) between rows and columns; every stack has its own, for all uses."""
        return self.take(f"between {stack[0]}", (len(stack), *shape))

    def arrays_v(self, n):
        return self._arrays("v", lambda depth: (n * math.prod(self.tiles), depth * self.channels))

    def arrays_u(self, use="u"):
        return self._arrays(use, lambda depth: (depth * self.channels, self.filters))

    def array_m(self, n):
        """(row products, column products, T * S * n, K)."""
        shape = self.rows.products, self.columns.products, n * math.prod(self.tiles), self.filters
        return self.take("m", shape)

    def _arrays(self, use, matrix_shape):
        """For each stack and b an array (L, *matrix_shape(Da * Db)), all in one workspace."""
        shapes = [(length, *matrix_shape(depth)) for length, depth in self.depths]
        flat, stop, arrays = self.take(use, (sum(map(math.prod, shapes)),)), 0, []
        for shape in shapes:
            start, stop = stop, stop + math.prod(shape)
            arrays.append(flat[start:stop].reshape(shape))
        return arrays

    def _matrices_m(self, m):
        """The list of all matrices of M, in the order of V's and U's."""
        columns = range(self.columns.products)
        return [m[a, b] for stack in self.rows.stacks for b in columns for a in stack]

    def chunks(self, n):
        """Ranges of the n images whose V and M fit in a workspace."""
        depth = sum(length * depth for length, depth in self.depths)
        products = self.rows.products * self.columns.products
        columns = depth * self.channels + products * self.filters
        bytes_each = math.prod(self.tiles) * columns * self.dtype.itemsize
        bytes_u = depth * self.channels * self.filters * self.dtype.itemsize
        return workspace.chunks(n, bytes_each, bytes_u)

    def _over_images(self, transform, arrays, images):
        """transform(arrays, images) for groups of images (n, H, W, C), by all cores.

        arrays: a list of (..., n * T * S, columns), of which each group takes its rows.
        """
        tiles = math.prod(self.tiles)

        def work(i, j):
            with unbuffered():
                transform([each[..., i * tiles : j * tiles, :] for each in arrays], images[i:j])

        workspace.over_images(work, len(images), self._image_bytes(), self.cores)

    def _image_bytes(self):
        """The larger of an image's cells and outputs: V and M must be cut into the same groups."""
        cells = math.prod(self._cells_shape(1)), math.prod(self._outputs_shape(1))
        return max(cells) * self.dtype.itemsize

    # Data: B and its adjoint

    def transform_data(self, x):
        """x (n, H, W, C) -> V."""
        v = self.arrays_v(len(x))
        self._over_images(self._transform_data, v, x)
        return v

    def _transform_data(self, v, x):
        cells = self.take("cells", self._cells_shape(len(x)))
        self._zero_margins(cells)
        for part, pixels in self._pixels(cells, x):
            np.copyto(part, pixels)
        rows = _rows_first(cells)
        for stack, v_stack in self._by_stack(v, self._v_tiles):
            between = self._between(len(x), stack)
            for a, between_a in zip(stack, between, strict=True):
                self.rows.transform_data(a, rows, _rows_first(between_a))
            columns = _columns_first(between)
            for b, v_b in enumerate(v_stack):
                self.columns.transform_data(b, columns, v_b)

    def transform_data_adjoint(self, v, dx):
        """V -> dx (n, H, W, C)."""
        self._over_images(self._transform_data_adjoint, v, dx)

    def _transform_data_adjoint(self, v, dx):
        betweens = []
        for stack, v_stack in self._by_stack(v, self._v_tiles):
            between = self._between(len(dx), stack)
            self.columns.transform_data_adjoint(v_stack, _columns_first(between))
            betweens.extend(map(_rows_first, between))
        cells = self.take("cells", self._cells_shape(len(dx)))
        self.rows.transform_data_adjoint(betweens, _rows_first(cells))
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

    def _between(self, n, stack):
        """Scratch (L, T, Q, n, Da, column stride, C): cells with B applied along the rows."""
        size, stride = (self.tiles[0], self.cells[1], n), self.geometry.stride[1]
        return self._take_between(stack, (*size, self._row_depth(stack), stride, self.channels))

    def _v_tiles(self, v_b, stack, b):
        """(L, T * S * n, Da * Db * C) -> (S, Db, L, T, n, Da, C)."""
        depths = self._row_depth(stack), self.columns.depths[b]
        tiles = v_b.reshape(len(stack), *self.tiles, -1, *depths, self.channels)
        return tiles.transpose(2, 5, 0, 1, 3, 4, 6)

    def _row_depth(self, stack):
        return self.rows.depths[stack[0]]

    # Filters: G and its adjoint

    def transform_filter(self, w):
        """w (kh, kw, C, K) -> U."""
        u = self.arrays_u()
        taps = self._by_stack(u, self._u_taps)

        def work(start, stop):  # a range of the channels
            for stack, u_stack in taps:
                between = self._filter_between(stop - start, stack)
                for a, between_a in zip(stack, between, strict=True):
                    self.rows.transform_filter(a, w[:, :, start:stop], between_a)
                columns = _columns_in_front(between)
                for b, u_b in enumerate(u_stack):
                    self.columns.transform_filter(b, columns, u_b[..., start:stop, :])

        self._over_channels(work)
        return u

    def transform_filter_adjoint(self, u, dw):
        """U -> dw (kh, kw, C, K); overwrites U."""
        taps = self._by_stack(u, self._u_taps)

        def work(start, stop):  # a range of the channels
            betweens = []
            for stack, u_stack in taps:
                between = self._filter_between(stop - start, stack)
                self.columns.transform_filter_adjoint(
                    [u_b[..., start:stop, :] for u_b in u_stack], _columns_in_front(between)
                )
                betweens.extend(between)
            self.rows.transform_filter_adjoint(betweens, dw[:, :, start:stop])

        self._over_channels(work)

    def add_filters(self, u, total):
        """total += u, both like U."""
        u, total = (
            [u_b for _, u_stack in self._by_stack(each, self._u_taps) for u_b in u_stack]
            for each in (u, total)
        )

        def work(start, stop):  # a range of the channels
            for u_b, total_b in zip(u, total, strict=True):
                total_b[..., start:stop, :] += u_b[..., start:stop, :]

        self._over_channels(work)

    def _over_channels(self, work):
        """work(start, stop) for ranges of the channels, of some FILTER_BLOCK taps, by all cores."""
        taps = math.prod(self.geometry.kernel) * self.filters
        parallel(work, self.channels, taps * self.channels, most=max(1, FILTER_BLOCK // taps))

    def _filter_between(self, channels, stack):
        """Scratch (L, Da, kw, channels, K): taps with G applied along the rows."""
        width = self.geometry.kernel[1]
        shape = self._row_depth(stack), width, channels, self.filters
        return self._take_between(stack, shape)

    def _u_taps(self, u_b, stack, b):
        """(L, Da * Db * C, K) -> (Db, L, Da, C, K)."""
        depths = self._row_depth(stack), self.columns.depths[b]
        taps = u_b.reshape(len(stack), *depths, self.channels, self.filters)
        return _columns_in_front(taps)

    # Outputs: A and its adjoint

    def transform_output(self, m, y):
        """M -> y (n, oh, ow, K)."""
        self._over_images(self._transform_output, [m], y)

    def _transform_output(self, m, y):
        m, between = self._m_tiles(*m, len(y)), self._output_between(len(y))
        self.columns.transform_output(m.transpose(1, 3, 0, 2, 4, 5), _columns_in_front(between))
        outputs = self.take("outputs", self._outputs_shape(len(y)))
        self.rows.transform_output(between, outputs)
        np.copyto(y, outputs[: y.shape[1], : y.shape[2]].transpose(2, 0, 1, 3))

    def transform_output_adjoint(self, dy):
        """dy (n, oh, ow, K) -> M."""
        m = self.array_m(len(dy))
        self._over_images(self._transform_output_adjoint, [m], dy)
        return m

    def _transform_output_adjoint(self, m, dy):
        m = self._m_tiles(*m, len(dy))
        # Some products read one output alone: its pixels, of all tiles, are their M.
        for i, a in enumerate(self.rows.output_products):
            for j, b in enumerate(self.columns.output_products):
                part = dy[:, i :: self.rows.outputs, j :: self.columns.outputs]
                m[a, b, part.shape[1] :] = 0  # where the last tiles reach past the last outputs
                m[a, b, :, part.shape[2] :] = 0
                np.copyto(m[a, b, : part.shape[1], : part.shape[2]], part.transpose(1, 2, 0, 3))
        for a in self.rows.output_products:
            self.columns.transform_output_adjoint(m[a])
        self.rows.transform_output_adjoint(m)

    def _outputs_shape(self, n):
        """(T * row outputs, S * column outputs, n, K)."""
        return (
            self.tiles[0] * self.rows.outputs,
            self.tiles[1] * self.columns.outputs,
            n,
            self.filters,
        )

    def _output_between(self, n):
        """Scratch (row products, T, S * column outputs, n, K): outputs without A along the rows."""
        shape = self.tiles[0], *self._outputs_shape(n)[1:]
        return self._take_between(range(self.rows.products), shape)

    def _m_tiles(self, m, n):
        """(row products, column products, T * S * n, K) -> (.., .., T, S, n, K)."""
        return m.reshape(*m.shape[:2], *self.tiles, n, self.filters)

    def _by_stack(self, arrays, view):
        """For each stack (its row products, the views of its arrays)."""
        each = iter(arrays)
        return [
            (stack, [view(next(each), stack, b) for b in range(self.columns.products)])
            for stack in self.rows.stacks
        ]


def _matrices(arrays):
    """The list of all matrices of V or U."""
    return [matrix for stack in arrays for matrix in stack]


def _rows_first(cells):
    """(R, Q, n, sr, sc, C) -> (R, sr, Q, n, sc, C), or (T, Q, n, Da, ...) -> (T, Da, Q, n, ...)."""
    return cells.transpose(0, 3, 1, 2, 4, 5)


def _columns_first(between):
    """(L, T, Q, n, Da, sc, C) -> (Q, sc, L, T, n, Da, C)."""
    return between.transpose(2, 5, 0, 1, 3, 4, 6)


def _columns_in_front(array):
    """(L, rows, columns, ...) -> (columns, L, rows, ...): taps (L, Da, kw, C, K), or outputs."""
    return array.transpose(2, 0, 1, 3, 4)


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
