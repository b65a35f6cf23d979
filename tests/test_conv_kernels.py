"""The conv triple: every path against the plain one, and against its own adjoints."""

import threading
import time

import numpy as np
import pytest
from helpers import FixedCores

import minigan as mg
from minigan import threads
from minigan.kernels import cpu, geometry, plain
from minigan.kernels.cpu import convolution, filtering, im2col, minimal, workspace

PADDINGS = ("same", "valid", 1, (1, 0), ((0, 2), (3, 1)))
KERNELS = [  # kernel, stride
    ((4, 4), (2, 2)),
    ((3, 3), (1, 1)),
    ((3, 3), (2, 2)),
    ((5, 5), (2, 2)),
    ((5, 5), (3, 3)),
    ((1, 1), (1, 1)),
    ((1, 1), (2, 2)),
    ((4, 4), (1, 1)),
    ((4, 3), (2, 1)),  # one filtering for the rows, another for the columns
    ((3, 4), (1, 2)),
    ((3, 4), (1, 1)),
    ((2, 3), (3, 1)),  # a stride larger than the kernel: pixels that no window reads
]
SIZES = ((8, 8), (7, 9), (5, 6), (12, 5), (4, 4))


def random_triple(seed, g, dtype=np.float64, n=None, channels=None, filters=None):
    """Random x, w and dy of geometry g; sizes not given are random too, 1 included."""
    rng = np.random.default_rng(seed)
    n, channels, filters = (given or int(rng.integers(1, 5)) for given in (n, channels, filters))
    return (
        rng.standard_normal((n, *g.size, channels)).astype(dtype),
        rng.standard_normal((*g.kernel, channels, filters)).astype(dtype),
        rng.standard_normal((n, *g.output, filters)).astype(dtype),
    )


def relative_error(value, wanted):
    return np.abs(value - wanted).max() / np.abs(wanted).max()


def geometries():
    for kernel, stride in KERNELS:
        for size in SIZES:
            for padding in PADDINGS:
                try:
                    yield geometry(size, kernel, stride, padding)
                except ValueError:  # the kernel does not fit
                    continue


@pytest.fixture(params=["small tiles", "large tiles"])
def tiles(request, monkeypatch):
    """Tiles of one kind for all filterings, whatever the size of the batch."""
    for key, known in filtering.FILTERINGS.items():
        kept = known[0] if request.param == "small tiles" else known[-1]
        monkeypatch.setitem(filtering.FILTERINGS, key, (kept,))


def paths(g):
    return [im2col, minimal] if minimal.applies(g) else [im2col]


def test_every_path_agrees_with_the_plain_one(tiles):
    tried = {im2col: 0, minimal: 0}
    for seed, g in enumerate(geometries()):
        x, w, dy = random_triple(seed, g)
        for path in paths(g):
            tried[path] += 1
            for name, arrays in (("conv", (x, w)), ("conv_dx", (dy, w)), ("conv_dw", (x, dy))):
                value = getattr(path, name)(*arrays, g)
                wanted = getattr(plain, name)(*arrays, g)
                assert value.shape == wanted.shape
                error = np.abs(value - wanted).max()
                assert error < 1e-12, f"{path.__name__}.{name} is {error} off for {g}"
    assert min(tried.values()) > 50


def test_pairs_are_the_two_one_by_one(tiles):
    for seed, g in enumerate(geometries()):
        x, w, dy = random_triple(seed, g)
        y, dx = plain.conv(x, w, g), plain.conv_dx(dy, w, g)
        dw = plain.conv_dw(x, dy, g)
        for path in (*paths(g), cpu):
            for name, wanted in (("conv_y_dw", (y, dw)), ("conv_dx_dw", (dx, dw))):
                for value, one in zip(getattr(path, name)(x, dy, w, g), wanted, strict=True):
                    assert value.shape == one.shape
                    error = np.abs(value - one).max()
                    assert error < 1e-12, f"{path.__name__}.{name} is {error} off for {g}"


@pytest.mark.parametrize("path", [plain, im2col, minimal])
def test_adjoint_identity(path, tiles):
    for seed, g in enumerate(geometries()):
        if path is minimal and not minimal.applies(g):
            continue
        x, w, dy = random_triple(seed, g)
        forward = np.vdot(path.conv(x, w, g), dy)
        in_x = np.vdot(x, path.conv_dx(dy, w, g))
        in_w = np.vdot(w, path.conv_dw(x, dy, g))
        bound = 1e-12 * np.linalg.norm(x) * np.linalg.norm(w) * np.linalg.norm(dy)
        assert abs(forward - in_x) < bound, f"<y, dy> {forward}, <x, dx> {in_x} for {g}"
        assert abs(forward - in_w) < bound, f"<y, dy> {forward}, <w, dw> {in_w} for {g}"


def test_the_plain_one_on_a_sum_done_by_hand():
    g = geometry((2, 3), (2, 2), 1, ((0, 1), (0, 0)))
    x = np.arange(1.0, 7.0).reshape(1, 2, 3, 1)  # 1 2 3 / 4 5 6, a row of zeros below
    w = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(2, 2, 1, 1)
    y = plain.conv(x, w, g)[0, :, :, 0]
    assert y.tolist() == [[5421.0, 6532.0], [54.0, 65.0]]
    dy = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1)
    dx = plain.conv_dx(dy, w, g)[0, :, :, 0]
    assert dx.tolist() == [[1.0, 12.0, 20.0], [103.0, 1234.0, 2040.0]]
    dw = plain.conv_dw(x, dy, g)[:, :, 0, 0]
    assert dw.tolist() == [[37.0, 47.0], [14.0, 17.0]]


# Of the largest output, at the shapes below; docs/fast.md says what others reach.
FLOAT32_ERROR = 2e-6
FLOAT32_ERROR_AT_2 = 6e-6  # where one of the points is 2 or -2


@pytest.mark.parametrize("one", [one for known in filtering.FILTERINGS.values() for one in known])
def test_float32_error(one, monkeypatch):
    """Against float64, at a DCGAN layer's channels: the transforms cost little accuracy."""
    monkeypatch.setitem(filtering.FILTERINGS, (one.taps, one.stride), (one,))
    g = geometry(8, one.taps, one.stride, "same")
    arrays = random_triple(0, g, np.float32, n=4, channels=64, filters=48)
    x, w, dy = arrays
    x64, w64, dy64 = (a.astype(np.float64) for a in arrays)
    powers_of_2 = 2 in np.abs(one.points)
    bounds = {im2col: FLOAT32_ERROR, minimal: FLOAT32_ERROR_AT_2 if powers_of_2 else FLOAT32_ERROR}
    for name, single, double in (
        ("conv", (x, w), (x64, w64)),
        ("conv_dx", (dy, w), (dy64, w64)),
        ("conv_dw", (x, dy), (x64, dy64)),
    ):
        wanted = getattr(plain, name)(*double, g)
        for path, bound in bounds.items():
            value = getattr(path, name)(*single, g)
            assert value.dtype == np.float32
            error = relative_error(value, wanted)
            assert error < bound, f"{path.__name__}.{name}: {error}"


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("one", [one for known in filtering.FILTERINGS.values() for one in known])
def test_nan_and_infinity_spread_in_their_windows_or_tiles(one, number, monkeypatch):
    """Plainly a pixel reaches the outputs whose window holds it, and an output those pixels; by
    minimal filtering at most all of the tiles whose cells hold it: tile t has the outputs from
    t m on, and the P cells from there."""
    monkeypatch.setitem(filtering.FILTERINGS, (one.taps, one.stride), (one,))
    g = geometry(24, one.taps, one.stride, "same")
    output, pixel = np.arange(g.output[0])[:, None], np.arange(24) + g.padding[0][0]
    tap = pixel - output * one.stride
    cell = pixel // one.stride - output // one.outputs * one.outputs
    windows, tiles = (0 <= tap) & (tap < one.taps), (0 <= cell) & (cell < one.products)
    x, w, dy = random_triple(7, g, n=2, channels=2, filters=2)
    reached = {plain: 0, minimal: 0}
    for place in range(0, 12, 5):
        for name, array, in_window, in_tile in (
            ("conv", x, windows[:, place], tiles[:, place]),
            ("conv_dx", dy, windows[place], tiles[place]),
        ):
            spoilt = array.copy()
            spoilt[1, place, place, 1] = number
            for path in reached:
                with np.errstate(invalid="ignore"):
                    lost = ~np.isfinite(getattr(path, name)(spoilt, w, g))
                least, most = (np.outer(lines, lines) for lines in (in_window, in_tile))
                assert not lost[0].any()  # the other image
                assert lost[1, least].all()
                assert not lost[1, ~(least if path is plain else most)].any()
                reached[path] += lost.sum()
    assert reached[minimal] > reached[plain]


@pytest.mark.parametrize(
    "points, taps",
    [
        (points, taps)
        for points in (filtering.TWO, filtering.THREE, filtering.FOUR, filtering.FIVE)
        for taps in range(2, len(points) + 2)
    ],
)
def test_one_axis_is_the_filter_and_its_adjoints(points, taps):
    """y is the sum over taps; B^T, G^T and A^T are the adjoints of B, G and A, tile by tile."""
    one, rng = filtering.Filtering(taps, 1, points), np.random.default_rng(taps)
    d, g = rng.standard_normal((one.cells(3), 7)), rng.standard_normal((taps, 7))
    v, u = np.empty((3, one.products, 7)), np.empty((one.products, 7))
    y = np.empty((3 * one.outputs, 7))
    one.transform_data(d, v)
    one.transform_filter(g, u)
    one.transform_output(u * v, y)
    wanted = sum(g[i] * d[i : i + len(y)] for i in range(taps))
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12)

    for forward, adjoint, source, made in (
        (one.transform_data, one.transform_data_adjoint, d, v),
        (one.transform_filter, one.transform_filter_adjoint, g, u),
        (one.transform_output, one.transform_output_adjoint, v, y),
    ):
        x, other = rng.standard_normal(source.shape), rng.standard_normal(made.shape)
        there, back = np.empty(made.shape), np.empty(source.shape)
        forward(x, there)
        adjoint(other, back)
        assert np.vdot(there, other) == pytest.approx(np.vdot(x, back), rel=0, abs=1e-10)


@pytest.mark.parametrize(
    "outputs, windows, tile",
    [(8, 2048, 4), (8, 2047, 2), (6, 2**20, 2), (7, 2**20, 4), (5, 2**20, 2), (4, 2**20, 4)],
)
def test_the_tiles_are_those_of_fewest_products(outputs, windows, tile):
    assert filtering.choose(4, 2, outputs, windows).outputs == tile


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel, stride, padding", [(4, 2, 1), (3, 1, "same"), (5, 3, 1)])
def test_public_functions_keep_dtype_and_inputs(dtype, kernel, stride, padding, monkeypatch):
    g = geometry(8, kernel, stride, padding)
    monkeypatch.setattr(convolution, "LEAST_WINDOWS", 0)
    monkeypatch.setattr(convolution, "LEAST_MULTIPLICATIONS", 0)
    for channels in (3, convolution.LEAST_CHANNELS):
        narrow = channels < convolution.LEAST_CHANNELS
        assert convolution._path(g, 2, channels, channels) is (im2col if narrow else paths(g)[-1])
        arrays = random_triple(1, g, dtype, n=2, channels=channels, filters=channels)
        copies = [a.copy() for a in arrays]
        x, w, dy = arrays
        for a in arrays:
            a.setflags(write=False)
        assert cpu.conv(x, w, g).dtype == dtype
        assert cpu.conv_dx(dy, w, g).dtype == dtype
        assert cpu.conv_dw(x, dy, g).dtype == dtype
        for pair in (cpu.conv_y_dw(x, dy, w, g), cpu.conv_dx_dw(x, dy, w, g)):
            assert all(made.dtype == dtype for made in pair)
        for a, copy in zip(arrays, copies, strict=True):
            assert np.array_equal(a, copy)


@pytest.mark.parametrize("kernel, padding", [(4, 1), (3, "same"), (8, "valid"), (1, 0)])
def test_results_do_not_depend_on_memory_layout(kernel, padding, tiles):
    stride = 2 if kernel == 4 else 1
    g = geometry(8, kernel, stride, padding)
    for path in paths(g):
        x, w, dy = random_triple(2, g, n=3, channels=5, filters=4)
        rough = [np.asfortranarray(a) for a in (x, w, dy)]
        rough[0] = np.repeat(x, 2, axis=2)[:, :, ::2]
        for name, a, b in (("conv", 0, 1), ("conv_dx", 2, 1), ("conv_dw", 0, 2)):
            smooth = getattr(path, name)(*((x, w, dy)[i] for i in (a, b)), g)
            result = getattr(path, name)(rough[a], rough[b], g)
            np.testing.assert_allclose(result, smooth, rtol=0, atol=1e-12)
        for name in ("conv_y_dw", "conv_dx_dw"):
            smooth = getattr(path, name)(x, dy, w, g)
            result = getattr(path, name)(rough[0], rough[2], rough[1], g)
            for a, b in zip(result, smooth, strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk_bytes", [30_000, 3_000])  # transformed filters whole, in parts
@pytest.mark.parametrize("path", [im2col, minimal])
def test_chunks_change_nothing_and_repeat_bit_for_bit(path, chunk_bytes, monkeypatch, tiles):
    g = geometry((9, 8), 4, 2, "same")
    x, w, dy = random_triple(3, g, np.float32, n=7, channels=5, filters=6)

    def calls():
        y, dx, dw = path.conv(x, w, g), path.conv_dx(dy, w, g), path.conv_dw(x, dy, g)
        return y, dx, dw, *path.conv_y_dw(x, dy, w, g), *path.conv_dx_dw(x, dy, w, g)

    whole = calls()
    monkeypatch.setattr(workspace, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(workspace, "GROUP_BYTES", 1_000)
    monkeypatch.setattr(threads, "FEW", 0)
    for cores in (1, 2, 3):
        monkeypatch.setattr(threads, "_blas", FixedCores(cores))
        for a, b, c in zip(calls(), calls(), whole, strict=True):
            assert np.array_equal(a, b)
            assert relative_error(a, c) < 1e-6


def test_results_are_not_workspaces():
    g = geometry(8, 4, 2, 1)
    for path in (im2col, minimal):
        x, w, dy = random_triple(4, g, n=2)
        first = path.conv(x, w, g), path.conv_dx(dy, w, g), path.conv_dw(x, dy, g)
        kept = [a.copy() for a in first]
        path.conv(-x, w, g), path.conv_dx(-dy, w, g), path.conv_dw(-x, dy, g)
        for a, b in zip(first, kept, strict=True):
            assert np.array_equal(a, b)


def test_workspaces_do_not_grow_with_the_batch(monkeypatch):
    monkeypatch.setattr(workspace, "CHUNK_BYTES", 2**19)
    monkeypatch.setattr(threads, "_blas", FixedCores(1))
    g = geometry(16, 4, 2, 1)
    for path in (im2col, minimal):
        held = []
        for n in (64, 512):
            workspace.release()
            x, w, dy = random_triple(5, g, np.float32, n=n, channels=16, filters=16)
            path.conv_y_dw(x, dy, w, g), path.conv_dx_dw(x, dy, w, g)
            held.append(workspace.held_bytes())
        assert held[1] <= 1.1 * held[0]
    workspace.release()
    assert workspace.held_bytes() == 0


def test_workspaces_of_threads_that_have_ended_are_freed():
    workspace.release()

    def use():
        workspace.take("test", (1000,), np.float32)

    for _ in range(12):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    ended = time.monotonic() + 20  # a thread may be joined a moment before it is gone
    while workspace.held_bytes() and time.monotonic() < ended:
        time.sleep(0.01)
    assert workspace.held_bytes() == 0
    use()
    assert workspace.held_bytes() == 4000


def test_the_transformed_filters_of_wide_layers_come_in_parts(monkeypatch):
    monkeypatch.setattr(threads, "_blas", FixedCores(1))
    g = geometry(8, 4, 2, 1)
    x, w, dy = random_triple(5, g, np.float32, n=1, channels=32, filters=32)
    held = []
    for chunk_bytes in (2**16, 2**26):
        monkeypatch.setattr(workspace, "CHUNK_BYTES", chunk_bytes)
        workspace.release()
        minimal.conv_dx_dw(x, dy, w, g)
        held.append(workspace.held_bytes())
    bytes_u = 9 * 4 * 32 * 32 * 4  # of nine products, three row products with three each
    assert held[1] - held[0] >= 2 * bytes_u * 2 // 3  # U and its gradient, a third of each


def test_an_error_in_any_thread_is_raised(monkeypatch):
    monkeypatch.setattr(threads, "_blas", FixedCores(3))
    done = []

    def work(start, stop):
        if stop == 9:
            raise ArithmeticError("the last range")
        done.append((start, stop))

    with pytest.raises(ArithmeticError, match="the last range"):
        threads.parallel(work, 9, threads.FEW + 1)
    assert sorted(done) == [(0, 3), (3, 6)]


def test_blas_threads_are_as_before_after_each_call():
    blas = threads._Blas()
    if blas._get is None:
        pytest.skip("NumPy's BLAS is not OpenBLAS")
    before = blas._get()
    blas._set(2)
    try:
        with blas.single_threaded() as cores:
            assert (cores, blas._get()) == (2, 1)
            with blas.single_threaded() as inner:
                assert (inner, blas._get()) == (2, 1)
            assert blas._get() == 1
        assert blas._get() == 2
    finally:
        blas._set(before)


def test_an_empty_batch():
    g = geometry(8, 4, 2, 1)
    x, w, dy = random_triple(6, g, n=1, channels=2, filters=3)
    for path in (im2col, minimal):
        assert path.conv(x[:0], w, g).shape == (0, 4, 4, 3)
        assert path.conv_dx(dy[:0], w, g).shape == (0, 8, 8, 2)
        assert not path.conv_dw(x[:0], dy[:0], g).any()
        y, dw = path.conv_y_dw(x[:0], dy[:0], w, g)
        assert y.shape == (0, 4, 4, 3) and not dw.any()
        dx, dw = path.conv_dx_dw(x[:0], dy[:0], w, g)
        assert dx.shape == (0, 8, 8, 2) and not dw.any()
    for g in (geometry(8, 8, 1, "valid"), geometry(8, 1)):  # one plain product
        x, w, dy = random_triple(6, g, n=1, channels=2, filters=3)
        assert im2col.conv(x[:0], w, g).shape == (0, *g.output, 3)
        assert im2col.conv_dx_dw(x[:0], dy[:0], w, g)[0].shape == (0, 8, 8, 2)
        assert not im2col.conv_y_dw(x[:0], dy[:0], w, g)[1].any()


@pytest.mark.parametrize("layer", [mg.Conv2d, mg.ConvTranspose2d])
def test_the_gradients_of_an_empty_batch_are_zero(layer):
    net = mg.Sequential([layer(2, 3, 4, stride=2)], dtype="float64")
    y, cache = net.forward(np.zeros((0, 8, 8, 2)))
    net.grads[...] = 1
    net.zero_grad()
    assert net.backward(y, cache).shape == (0, 8, 8, 2)
    assert not net.grads.any()
