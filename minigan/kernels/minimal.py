"""The conv triple by minimal filtering: fewer multiplications for the usual kernels.

The matrices of filtering.py act on the rows of an image, then on its columns, so
that a tile takes the products (a, b) of a row product a and a column product b:
for 4x4 stride 2, 9 where the taps take 16.  Data and filters hold channels, so
each product is a GEMM over all tiles of the batch (Lavin & Gray 2016,
arXiv:1509.09308):

    conv:     V = B x,  U = G w,      M = V @ U    (each product),   y  = A M
    conv_dx:  M = A^T dy,  U = G w,   V = M @ U.T,                   dx = B^T V
    conv_dw:  V = B x,  M = A^T dy,   U = V.T @ M,                   dw = G^T U

V, U and M are lists of matrices, one a product, for a chunk of the batch; they are
workspaces.  The sums go through groups of images that stay in a core's cache, and the
cores share out images, channels, or rows and columns of the products.
"""

import numpy as np

from ..threads import parallel
from . import workspace
from .filtering import FILTERINGS
from .products import matmuls


def applies(geometry):
    """Is there a filtering for this kernel and stride, in both axes?"""
    return all(pair in FILTERINGS for pair in zip(geometry.kernel, geometry.stride, strict=True))


def conv(x, w, geometry):
    """x (N, H, W, C), w (kh, kw, C, K) -> y (N, oh, ow, K)."""
    plan = _Plan(geometry, w.shape[2], w.shape[3], x.dtype)
    y = np.empty((len(x), *geometry.output, w.shape[3]), x.dtype)
    u = plan.transform_filter(w)
    for i, j in plan.chunks(len(x)):
        v, m = plan.transform_data(x[i:j]), plan.matrices_m(j - i)
        matmuls(v, u, m)
        plan.transform_output(m, y[i:j])
    return y


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (kh, kw, C, K) -> dx (N, H, W, C)."""
    plan = _Plan(geometry, w.shape[2], w.shape[3], dy.dtype)
    dx = np.empty((len(dy), *geometry.size, w.shape[2]), dy.dtype)
    u = plan.transform_filter(w)
    for i, j in plan.chunks(len(dy)):
        m, v = plan.transform_output_adjoint(dy[i:j]), plan.matrices_v(j - i)
        matmuls(m, [u_ab.T for u_ab in u], v)
        plan.transform_data_adjoint(v, dx[i:j])
    return dx


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (kh, kw, C, K)."""
    plan = _Plan(geometry, x.shape[3], dy.shape[3], x.dtype)
    dw = np.empty((*geometry.kernel, x.shape[3], dy.shape[3]), x.dtype)
    if not len(x):
        dw.fill(0)
        return dw
    u = plan.matrices_u()
    for i, j in plan.chunks(len(x)):
        v, m = plan.transform_data(x[i:j]), plan.transform_output_adjoint(dy[i:j])
        part = u if i == 0 else plan.matrices_u("part of u")
        matmuls([v_ab.T for v_ab in v], m, part)
        if i > 0:
            plan.add_filters(part, u)
    plan.transform_filter_adjoint(u, dw)
    return dw


class _Plan:
    """The sizes of one call, its workspaces, the three transforms and their adjoints.

    T x S tiles an image; Da rows and Db columns of a tile's pixels take part in the
    product (a, b), so V_ab is (n * T * S, Da * Db * C), U_ab (Da * Db * C, K) and M_ab
    (n * T * S, K).  A Filtering works along the leading axes of its arrays, so the
    transforms hand it views with the rows' or the columns' axes in front.
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
        self.depths = [
            (self.rows.depth(a), self.columns.depth(b))
            for a in range(self.rows.products)
            for b in range(self.columns.products)
        ]

    # Workspaces

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
            transform([each[i * tiles : j * tiles] for each in matrices], images[i:j])

        workspace.over_images(work, images)

    # Data: B and its adjoint

    def transform_data(self, x):
        """x (n, H, W, C) -> V."""
        v = self.matrices_v(len(x))
        self._over_images(self._transform_data, v, x)
        return v

    def _transform_data(self, v, x):
        pixels, image = self._pixels(x)
        (top, _), (left, _) = self.geometry.padding
        _zero_around(pixels, image, top, left)
        image[...] = x
        pixels = self._row_tiles(pixels)
        for a, v_a in enumerate(self._by_product(v, self._v_image)):
            between = self._between(len(x), a, "between")
            self.rows.transform_data(a, pixels, _rows_first(between))
            between = self._column_tiles(between)
            for b, v_ab in enumerate(v_a):
                self.columns.transform_data(b, between, v_ab)

    def transform_data_adjoint(self, v, dx):
        """V -> dx (n, H, W, C)."""
        self._over_images(self._transform_data_adjoint, v, dx)

    def _transform_data_adjoint(self, v, dx):
        betweens = []
        for a, v_a in enumerate(self._by_product(v, self._v_image)):
            between = self._between(len(dx), a, f"between {a}")
            self.columns.transform_data_adjoint(v_a, self._column_tiles(between))
            betweens.append(_rows_first(between))
        pixels, image = self._pixels(dx)
        self.rows.transform_data_adjoint(betweens, self._row_tiles(pixels))
        dx[...] = image

    def _padded_size(self):
        """Rows and columns of pixels from the first tile's to the end of the step after the last.

        The image lies within: past its last window are less than `stride` pixels, and no
        filtering has more than step + 1 taps.
        """
        return (
            (self.tiles[0] + 1) * self.rows.step,
            (self.tiles[1] + 1) * self.columns.step,
        )

    def _pixels(self, x):
        """Scratch (n, padded height, padded width, C), and its view (n, H, W, C) of the image."""
        (top, _), (left, _) = self.geometry.padding
        padded = self.take("pixels", (len(x), *self._padded_size(), self.channels))
        return padded, padded[:, top : top + x.shape[1], left : left + x.shape[2]]

    def _between(self, n, a, use):
        """Scratch (n, T, Da, padded width, C): pixels with B applied along the rows."""
        _, width = self._padded_size()
        return self.take(use, (n, self.tiles[0], self.rows.depth(a), width, self.channels))

    def _row_tiles(self, pixels):
        """(n, padded height, padded width, C) -> (T + 1, row step, n, padded width, C)."""
        n, _, width, channels = pixels.shape
        return _rows_first(pixels.reshape(n, -1, self.rows.step, width, channels))

    def _column_tiles(self, between):
        """(n, T, Da, padded width, C) -> (S + 1, column step, n, T, Da, C)."""
        n, tiles, depth, _, channels = between.shape
        split = between.reshape(n, tiles, depth, -1, self.columns.step, channels)
        return split.transpose(3, 4, 0, 1, 2, 5)

    def _v_image(self, v_ab, a, b):
        """(n * T * S, Da * Db * C) -> (S, Db, n, T, Da, C)."""
        depths = self.rows.depth(a), self.columns.depth(b)
        return v_ab.reshape(-1, *self.tiles, *depths, self.channels).transpose(2, 4, 0, 1, 3, 5)

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
        shape = (self.rows.depth(a), self.geometry.kernel[1], channels, self.filters)
        return self.take(use, shape)

    def _u_taps(self, u_ab, a, b):
        """(Da * Db * C, K) -> (Db, Da, C, K)."""
        depths = self.rows.depth(a), self.columns.depth(b)
        return u_ab.reshape(*depths, self.channels, self.filters).swapaxes(0, 1)

    # Outputs: A and its adjoint

    def transform_output(self, m, y):
        """M -> y (n, oh, ow, K)."""
        self._over_images(self._transform_output, m, y)

    def _transform_output(self, m, y):
        n, _, width, filters = y.shape
        betweens = []
        for a, m_a in enumerate(self._by_product(m, self._m_image)):
            between = self.take(f"between {a}", (n, self.tiles[0], width, filters))
            self.columns.transform_output(m_a, _columns_first(between))
            betweens.append(_rows_first(between))
        self.rows.transform_output(betweens, _rows_first(y))

    def transform_output_adjoint(self, dy):
        """dy (n, oh, ow, K) -> M."""
        m = self.matrices_m(len(dy))
        self._over_images(self._transform_output_adjoint, m, dy)
        return m

    def _transform_output_adjoint(self, m, dy):
        dy = self._whole_tiles(dy)
        n, _, width, filters = dy.shape
        for a, m_a in enumerate(self._by_product(m, self._m_image)):
            between = self.take("between", (n, self.tiles[0], width, filters))
            self.rows.transform_output_adjoint(a, _rows_first(dy), _rows_first(between))
            for b, m_ab in enumerate(m_a):
                self.columns.transform_output_adjoint(b, _columns_first(between), m_ab)

    def _whole_tiles(self, dy):
        """dy, with zeros behind where the last tiles reach past the last outputs."""
        height, width = self.tiles[0] * self.rows.outputs, self.tiles[1] * self.columns.outputs
        if dy.shape[1:3] == (height, width):
            return dy
        whole = self.take("outputs", (len(dy), height, width, self.filters))
        part = whole[:, : dy.shape[1], : dy.shape[2]]
        _zero_around(whole, part)
        part[...] = dy
        return whole

    def _m_image(self, m_ab, a, b):
        """(n * T * S, K) -> (S, n, T, K)."""
        return _columns_first(m_ab.reshape(-1, *self.tiles, self.filters))

    def _by_product(self, matrices, view):
        """The list of matrices as lists [a][b] of their views."""
        each = iter(matrices)
        return [
            [view(next(each), a, b) for b in range(self.columns.products)]
            for a in range(self.rows.products)
        ]


def _rows_first(images):
    """(n, rows, columns, K), or (n, T, row pixels, columns, C): the rows' axes in front."""
    return images.swapaxes(0, 1) if images.ndim == 4 else images.transpose(1, 2, 0, 3, 4)


def _columns_first(images):
    """(n, rows, columns, K) -> (columns, n, rows, K)."""
    return images.transpose(2, 0, 1, 3)


def _zero_around(images, part, top=0, left=0):
    """Zero what of images (n, H, W, C) lies around part, the slice of it from (top, left) on."""
    bottom, right = top + part.shape[1], left + part.shape[2]
    images[:, :top] = 0
    images[:, bottom:] = 0
    images[:, top:bottom, :left] = 0
    images[:, top:bottom, right:] = 0
