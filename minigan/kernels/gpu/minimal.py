"""4x4 convolutions with stride 2 on a GPU by minimal filtering: 9 products in place of 16.

As in minimal.py: such a convolution is a 2x2 one with stride 1 over cells of 2x2 pixels, and
two neighbouring outputs of a two-tap filter, y0 = d0 g0 + d1 g1 and y1 = d1 g0 + d2 g1, take
three products,

    m0 = (d0 - d1) g0      m1 = d1 (g0 + g1)      m2 = (d2 - d1) g1
    y0 = m0 + m1           y1 = m1 + m2,

or y = A [(G g) * (B d)].  In both axes that is a tile of 2x2 outputs from 3x3 cells by nine
products (a, b), each a matrix product over all tiles and all 4 C pixels of a cell:

    V (9, tiles, 4 C) = B x      U (9, 4 C, K) = G w      M (9, tiles, K) = A^T dy
    conv:     y  = A (V U)       conv_dx:  dx = B^T (M U^T)       conv_dw:  dw = G^T (V^T M)

Each transform is one launch, in which a thread makes all nine numbers from one place of a tile,
or one number from all places that hold a part of it: nobody adds to another's result.
"""

from functools import cache

from ...arrays import get_array_module
from ..cpu.workspace import cut
from .cublas import matmul
from .cuda import Kernel, constants, in_chunks

CHUNK_BYTES = 256 * 2**20  # of V and M


def applies(geometry):
    """Is it a 4x4 kernel with stride 2?"""
    return geometry.kernel == (4, 4) and geometry.stride == (2, 2)


def conv(x, w, geometry):
    """x (N, H, W, C), w (4, 4, C, K) -> y (N, oh, ow, K)."""
    plan = _plan(get_array_module(x), geometry, *w.shape[2:], x.dtype)
    y, u = plan.empty_y(len(x)), plan.filters(w)
    for _, x_part, y_part in in_chunks(plan.chunks(len(x)), x, y):
        plan.outputs(matmul(plan.data(x_part), u), y_part)
    return y


def conv_dx(dy, w, geometry):
    """dy (N, oh, ow, K), w (4, 4, C, K) -> dx (N, H, W, C)."""
    plan = _plan(get_array_module(dy), geometry, *w.shape[2:], dy.dtype)
    dx, u = plan.empty_x(len(dy)), plan.filters(w).swapaxes(1, 2)
    for _, dy_part, dx_part in in_chunks(plan.chunks(len(dy)), dy, dx):
        plan.data_adjoint(matmul(plan.outputs_adjoint(dy_part), u), dx_part)
    return dx


def conv_dw(x, dy, geometry):
    """x (N, H, W, C), dy (N, oh, ow, K) -> dw (4, 4, C, K)."""
    plan = _plan(get_array_module(x), geometry, x.shape[3], dy.shape[3], x.dtype)
    u = plan.empty_u()
    for i, x_part, dy_part in in_chunks(plan.chunks(len(x)), x, dy):
        matmul(plan.data(x_part).swapaxes(1, 2), plan.outputs_adjoint(dy_part), u, add=i > 0)
    return plan.filters_adjoint(u)


def conv_y_dw(x, dy, w, geometry):
    """(conv, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (4, 4, C, K): V is made once."""
    plan = _plan(get_array_module(x), geometry, *w.shape[2:], x.dtype)
    y, u, du = plan.empty_y(len(x)), plan.filters(w), plan.empty_u()
    for i, x_part, dy_part, y_part in in_chunks(plan.chunks(len(x)), x, dy, y):
        v = plan.data(x_part)
        plan.outputs(matmul(v, u), y_part)
        matmul(v.swapaxes(1, 2), plan.outputs_adjoint(dy_part), du, add=i > 0)
    return y, plan.filters_adjoint(du)


def conv_dx_dw(x, dy, w, geometry):
    """(conv_dx, conv_dw) of x (N, H, W, C), dy (N, oh, ow, K), w (4, 4, C, K): M is made once."""
    plan = _plan(get_array_module(x), geometry, *w.shape[2:], x.dtype)
    dx, u, du = plan.empty_x(len(x)), plan.filters(w).swapaxes(1, 2), plan.empty_u()
    for i, x_part, dy_part, dx_part in in_chunks(plan.chunks(len(x)), x, dy, dx):
        m = plan.outputs_adjoint(dy_part)
        plan.data_adjoint(matmul(m, u), dx_part)
        matmul(plan.data(x_part).swapaxes(1, 2), m, du, add=i > 0)
    return dx, plan.filters_adjoint(du)


class _Plan:
    """The sizes of a convolution, its arrays and its transforms: T x S tiles an image."""

    def __init__(self, xp, geometry, channels, filters, dtype):
        self.xp, self.geometry, self.dtype = xp, geometry, dtype
        self.channels, self.filters_count = channels, filters
        self.tiles = tuple(-(-n // 2) for n in geometry.output)
        self.kernels = _kernels(geometry, channels, filters)

    def chunks(self, count):
        """Ranges of the images whose V and M fit in a chunk; of no images one, as in im2col.py."""
        numbers = 9 * self.tiles[0] * self.tiles[1] * (4 * self.channels + self.filters_count)
        return cut(max(1, count), CHUNK_BYTES, numbers * self.dtype.itemsize)

    def empty_x(self, count):
        return self.xp.empty((count, *self.geometry.size, self.channels), self.dtype)

    def empty_y(self, count):
        return self.xp.empty((count, *self.geometry.output, self.filters_count), self.dtype)

    def empty_u(self):
        return self.xp.empty((9, 4 * self.channels, self.filters_count), self.dtype)

    def data(self, x):
        """V of images x."""
        return self._run("data", x, self._nine(len(x), 4 * self.channels))

    def data_adjoint(self, v, dx):
        """Fills dx with B^T V."""
        self.kernels["data_adjoint"](v, v.size // 9, dx, size=dx.size)

    def filters(self, w):
        """U of weights w."""
        return self._run("filters", w, self.empty_u())

    def filters_adjoint(self, u):
        """dw = G^T U."""
        dw = self.xp.empty((4, 4, self.channels, self.filters_count), self.dtype)
        self.kernels["filters_adjoint"](u, dw, size=dw.size)
        return dw

    def outputs(self, m, y):
        """Fills y with A M."""
        self.kernels["outputs"](m, m.size // 9, y, size=m.size // 9)

    def outputs_adjoint(self, dy):
        """M of the outputs' gradients dy."""
        return self._run("outputs_adjoint", dy, self._nine(len(dy), self.filters_count))

    def _run(self, name, array, nine):
        array, each = self.xp.ascontiguousarray(array), nine.size // 9
        self.kernels[name](array, each, nine, size=each)
        return nine

    def _nine(self, count, depth):
        return self.xp.empty((9, count * self.tiles[0] * self.tiles[1], depth), self.dtype)


_plan = cache(_Plan)


@cache
def _kernels(geometry, channels, filters):
    """name -> Kernel; the sizes are constants of the C code, as in im2col.py."""
    (h, w), (oh, ow), ((top, _), (left, _)) = geometry.size, geometry.output, geometry.padding
    sizes = dict(
        H=h, W=w, OH=oh, OW=ow, TOP=top, LEFT=left, C=channels, K=filters,
        TH=-(-oh // 2), TW=-(-ow // 2),
    )  # fmt: skip
    return {
        name: Kernel(f"minimal_{name}", inputs, f"raw T {output}", constants(sizes) + body)
        for name, (inputs, output, body) in BODIES.items()
    }


# For each transform its inputs, its output and its body.  `each`: the numbers in one of the nine
# matrices; (a, b) is number a * 3 + b.
BODIES = {
    # i counts tiles (n, TH, TW) and the pixels (p, q) and channels of a cell.
    "data": (
        "raw T x, int32 each",
        "v",
        """
        int at = i;
        const int c = at % C;  at /= C;
        const int q = at % 2;  at /= 2;
        const int p = at % 2;  at /= 2;
        const int s = at % TW; at /= TW;
        const int t = at % TH, n = at / TH;
        T d[3][3], e[3][3];
        for (int r = 0; r < 3; ++r)
            for (int j = 0; j < 3; ++j) {
                const int h = 4 * t + 2 * r + p - TOP, w = 4 * s + 2 * j + q - LEFT;
                const bool inside = h >= 0 && h < H && w >= 0 && w < W;
                d[r][j] = inside ? x[((n * H + h) * W + w) * C + c] : T(0);
            }
        for (int j = 0; j < 3; ++j) {
            e[0][j] = d[0][j] - d[1][j];
            e[1][j] = d[1][j];
            e[2][j] = d[2][j] - d[1][j];
        }
        for (int a = 0; a < 3; ++a) {
            const ptrdiff_t first = (ptrdiff_t)(a * 3) * each + i;
            v[first] = e[a][0] - e[a][1];
            v[first + each] = e[a][1];
            v[first + 2 * (ptrdiff_t)each] = e[a][2] - e[a][1];
        }
    """,
    ),
    # i counts dx (n, H, W, C).  A cell is the first of its tile and the third of the one before,
    # or the second of its tile, where it is in all three products.
    "data_adjoint": (
        "raw T v, int32 each",
        "dx",
        """
        int at = i;
        const int c = at % C;        at /= C;
        const int w = at % W + LEFT; at /= W;
        const int h = at % H + TOP, n = at / H;
        const bool second = h / 2 % 2, next = w / 2 % 2;
        T sum = 0;
        for (int a = 0; a < 3; ++a) {
            const int t = h / 4 - (!second && a == 2);
            if ((!second && a == 1) || t < 0 || t >= TH) continue;
            for (int b = 0; b < 3; ++b) {
                const int s = w / 4 - (!next && b == 2);
                if ((!next && b == 1) || s < 0 || s >= TW) continue;
                const bool negative = (second && a != 1) != (next && b != 1);
                const int pixel = (((n * TH + t) * TW + s) * 4 + h % 2 * 2 + w % 2) * C + c;
                const T part = v[(ptrdiff_t)(a * 3 + b) * each + pixel];
                sum += negative ? -part : part;
            }
        }
        dx[i] = sum;
    """,
    ),
    # i counts the pixels (p, q) of a cell of taps, C and K.
    "filters": (
        "raw T w, int32 each",
        "u",
        """
        const int ck = i % (C * K), q = i / (C * K) % 2, p = i / (C * K) / 2;
        T g[2][2], e[3][2];
        for (int r = 0; r < 2; ++r)
            for (int j = 0; j < 2; ++j) g[r][j] = w[((2 * r + p) * 4 + 2 * j + q) * C * K + ck];
        for (int j = 0; j < 2; ++j) {
            e[0][j] = g[0][j];
            e[1][j] = g[0][j] + g[1][j];
            e[2][j] = g[1][j];
        }
        for (int a = 0; a < 3; ++a) {
            const ptrdiff_t first = (ptrdiff_t)(a * 3) * each + i;
            u[first] = e[a][0];
            u[first + each] = e[a][0] + e[a][1];
            u[first + 2 * (ptrdiff_t)each] = e[a][1];
        }
    """,
    ),
    # i counts dw (4, 4, C, K).
    "filters_adjoint": (
        "raw T u",
        "dw",
        """
        const int ck = i % (C * K), kj = i / (C * K) % 4, ki = i / (C * K) / 4;
        const int pixel = (ki % 2 * 2 + kj % 2) * C * K + ck;
        T sum = 0;
        for (int a = ki / 2; a < ki / 2 + 2; ++a)
            for (int b = kj / 2; b < kj / 2 + 2; ++b)
                sum += u[(ptrdiff_t)(a * 3 + b) * 4 * C * K + pixel];
        dw[i] = sum;
    """,
    ),
    # i counts tiles and K; a tile is 2x2 outputs, of which the last ones may not be wanted.
    "outputs": (
        "raw T m, int32 each",
        "y",
        """
        int at = i;
        const int k = at % K;  at /= K;
        const int s = at % TW; at /= TW;
        const int t = at % TH, n = at / TH;
        for (int r = 0; r < 2 && 2 * t + r < OH; ++r)
            for (int j = 0; j < 2 && 2 * s + j < OW; ++j) {
                T sum = 0;
                for (int a = r; a < r + 2; ++a)
                    for (int b = j; b < j + 2; ++b) sum += m[(ptrdiff_t)(a * 3 + b) * each + i];
                y[((n * OH + 2 * t + r) * OW + 2 * s + j) * K + k] = sum;
            }
    """,
    ),
    "outputs_adjoint": (
        "raw T dy, int32 each",
        "m",
        """
        int at = i;
        const int k = at % K;  at /= K;
        const int s = at % TW; at /= TW;
        const int t = at % TH, n = at / TH;
        T d[2][2], e[3][2];
        for (int r = 0; r < 2; ++r)
            for (int j = 0; j < 2; ++j) {
                const bool inside = 2 * t + r < OH && 2 * s + j < OW;
                d[r][j] = inside ? dy[((n * OH + 2 * t + r) * OW + 2 * s + j) * K + k] : T(0);
            }
        for (int j = 0; j < 2; ++j) {
            e[0][j] = d[0][j];
            e[1][j] = d[0][j] + d[1][j];
            e[2][j] = d[1][j];
        }
        for (int a = 0; a < 3; ++a) {
            const ptrdiff_t first = (ptrdiff_t)(a * 3) * each + i;
            m[first] = e[a][0];
            m[first + each] = e[a][0] + e[a][1];
            m[first + 2 * (ptrdiff_t)each] = e[a][1];
        }
    """,
    ),
}
