"""Every kernel of the GPU, compiled for the CPU and compared with the formula it stands for."""

import numpy as np
import pytest
from helpers import hash32
from test_conv_kernels import random_triple

import minigan as mg
from minigan import losses
from minigan.kernels import geometry, plain
from minigan.kernels.gpu import convolution
from minigan.kernels.gpu import im2col as gpu_im2col
from minigan.kernels.gpu import minimal as gpu_minimal
from minigan.kernels.gpu import pointwise as gpu_pointwise
from minigan.kernels.gpu.cuda import Kernel

RNG = np.random.default_rng(11)
X, Y = RNG.standard_normal((7, 5)), RNG.standard_normal((7, 5))


def close(on_device, on_host, tolerance=1e-13):
    np.testing.assert_allclose(on_device.get(), on_host, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("compiler")
class TestTheCompiledLoop:
    """It refuses what CuPy refuses, and what CuPy would not notice."""

    def test_elements_outputs_and_numbers(self, stand_in):
        x = stand_in.asarray(np.arange(6.0, dtype="float32").reshape(2, 3))
        kernel = Kernel("k", "T x, T factor", "T y, int64 at", "y = x * factor; at = i;")
        twice, index = kernel(x, 2)
        assert twice.dtype == "float32" and index.dtype == "int64"
        np.testing.assert_array_equal(twice.get(), [[0, 2, 4], [6, 8, 10]])
        np.testing.assert_array_equal(index.get(), [[0, 1, 2], [3, 4, 5]])

    def test_arrays_broadcast(self, stand_in):
        x, row = stand_in.asarray(X), stand_in.asarray(X[0])
        close(Kernel("k", "T x, T row", "T y", "y = x - row;")(x, row), X - X[0])

    def test_outputs_given_are_written(self, stand_in):
        x = stand_in.asarray(X)
        view = x[1:3]
        Kernel("k", "T y", "T x", "x += y;")(stand_in.asarray(Y[1:3]), view)
        close(x, np.concatenate([X[:1], X[1:3] + Y[1:3], X[3:]]))

    def test_an_index_outside_is_an_error(self, stand_in):
        x = stand_in.asarray(X)
        with pytest.raises(IndexError):
            Kernel("k", "raw T x", "raw T y", "y[i] = x[i + 1];")(x, stand_in.asarray(Y), size=35)

    def test_other_dtypes_are_an_error(self, stand_in):
        x, single = stand_in.asarray(X), stand_in.asarray(X.astype("float32"))
        kernel = Kernel("k", "T x, T y", "T z", "z = x + y;")
        with pytest.raises(TypeError):
            kernel(x, single)
        with pytest.raises(TypeError):
            kernel(x, x, single)

    def test_a_size_is_for_raw_arrays(self, stand_in):
        x = stand_in.asarray(X)
        with pytest.raises(ValueError):
            Kernel("k", "raw T x", "raw T y", "y[i] = x[i];")(x, x)
        with pytest.raises(ValueError):
            Kernel("k", "T x", "T y", "y = x;")(x, size=3)


CONVOLUTIONS = [
    # size, kernel, stride, padding
    ((8, 8), 4, 2, 1),
    ((7, 9), 4, 2, "same"),
    ((5, 6), 3, 1, "same"),
    ((9, 8), 3, 2, "same"),
    ((7, 5), 5, 2, ((0, 2), (3, 1))),
    ((12, 5), 5, 3, 1),
    ((5, 4), (2, 3), (3, 1), "valid"),  # a stride above the kernel: pixels that no window reads
    ((6, 7), 1, 2, 0),
    ((5, 6), 1, 1, 0),  # one product
    ((4, 4), 4, 1, "valid"),  # one product
]
PATHS = [(gpu_im2col, *sizes) for sizes in CONVOLUTIONS] + [
    (gpu_minimal, size, 4, 2, padding)
    for size, padding in (
        ((8, 8), 1),
        ((7, 9), "same"),
        ((10, 6), "valid"),
        ((5, 4), ((0, 2), (3, 1))),
    )
]


@pytest.mark.parametrize("path, size, kernel, stride, padding", PATHS)
def test_conv_triple_agrees_with_the_plain_one(
    gpu, monkeypatch, path, size, kernel, stride, padding
):
    """In one go, and in chunks."""
    g = geometry(size, kernel, stride, padding)
    x, w, dy = random_triple(3, g, n=5)
    y, dx, dw = plain.conv(x, w, g), plain.conv_dx(dy, w, g), plain.conv_dw(x, dy, g)
    x, w, dy = map(gpu.asarray, (x, w, dy))
    for chunk in (path.CHUNK_BYTES, 4000):
        monkeypatch.setattr(path, "CHUNK_BYTES", chunk)
        close(path.conv(x, w, g), y, 1e-12)
        close(path.conv_dx(dy, w, g), dx, 1e-12)
        close(path.conv_dw(x, dy, g), dw, 1e-12)
        for both, wanted in ((path.conv_y_dw, (y, dw)), (path.conv_dx_dw, (dx, dw))):
            for got, expected in zip(both(x, dy, w, g), wanted, strict=True):
                close(got, expected, 1e-12)


@pytest.mark.parametrize("path", [gpu_im2col, gpu_minimal])
@pytest.mark.parametrize("size", [8, 4])
def test_an_empty_batch_has_no_gradient(gpu, path, size):
    g = geometry(size, 4, 2 if size == 8 else 1, 1 if size == 8 else "valid")
    if path is gpu_minimal and not path.applies(g):
        pytest.skip("minimal filtering is for stride 2")
    x, w, dy = random_triple(3, g, n=2)
    x, w, dy = gpu.asarray(x)[:0], gpu.asarray(w), gpu.asarray(dy)[:0]
    assert path.conv(x, w, g).shape == dy.shape and path.conv_dx(dy, w, g).shape == x.shape
    for dw in (
        path.conv_dw(x, dy, g),
        path.conv_y_dw(x, dy, w, g)[1],
        path.conv_dx_dw(x, dy, w, g)[1],
    ):
        assert dw.shape == w.shape and not dw.get().any()


def test_wide_layers_take_minimal_filtering(gpu):
    """In float32 to the accuracy that the CPU's path has, from public functions."""
    g = geometry((8, 8), 4, 2, 1)
    assert convolution._path(g, 3, 64) is gpu_im2col and convolution._path(g, 16, 64) is gpu_minimal
    x, w, dy = random_triple(3, g, np.float32, n=2, channels=16, filters=20)
    there = [gpu.asarray(array) for array in (x, w, dy)]
    close(convolution.conv(there[0], there[1], g), plain.conv(x, w, g), 1e-4)


@pytest.mark.parametrize("path", [gpu_im2col, gpu_minimal])
def test_convolutions_take_any_layout(gpu, path):
    g = geometry((8, 8), 4, 2, 1)
    x, w, dy = random_triple(2, g, n=3)
    rough = gpu.asarray(np.repeat(x, 2, axis=2))[:, :, ::2]
    rough_dy = gpu.asarray(np.repeat(dy, 2, axis=2))[:, :, ::2]
    close(path.conv(rough, gpu.asarray(w), g), plain.conv(x, w, g), 1e-12)
    close(path.conv_dx(rough_dy, gpu.asarray(w), g), plain.conv_dx(dy, w, g), 1e-12)
    close(path.conv_dw(rough, rough_dy, g), plain.conv_dw(x, dy, g), 1e-12)


class TestDropout:
    def test_the_mask_is_that_of_the_formula(self, gpu):
        address, x = (
            dict(seed=1, where="here", step=2, call=3),
            gpu.asarray(RNG.standard_normal((40, 50))),
        )
        y, mask = gpu_pointwise.dropout(x, 0.75, address)
        key = int(plain.random_bits(**address).random_raw()) % 2**32
        hashes = hash32(np.arange(2000, dtype=np.uint32), np.uint32(key))
        expected = (hashes >> 16 < 0.75 * 65536).reshape(40, 50)
        np.testing.assert_array_equal(mask.get(), expected)
        close(y, x.get() * expected / 0.75)
        close(gpu_pointwise.dropout_backward(x, mask, 0.75), y.get())


class TestGate:
    @pytest.mark.parametrize("drops", [True, False])
    def test_it_is_a_leaky_relu_and_a_dropout(self, drops, gpu):
        """The same mask, all of it where nothing is dropped; f is the product of both factors."""
        x, address = RNG.standard_normal((40, 50)), dict(seed=1, where="here", step=2, call=3)
        y, f = gpu_pointwise.gate(gpu.asarray(x), 0.2, 0.75, address if drops else None)
        mask = gpu_pointwise.dropout(gpu.asarray(x), 0.75, address)[1].get() / 0.75
        factor = np.where(x > 0, 1, 0.2) * (mask if drops else 1)
        close(f, factor)
        close(y, factor * x)
        close(gpu_pointwise.gate_backward(y, f), factor * y.get())


class TestBatchNorm:
    def statistics(self, gpu, x, eps):
        """(mean, variance, scale): the moving ones take all of the latest at momentum 0."""
        moving = [gpu.asarray(np.zeros(x.shape[1], x.dtype)) for _ in range(2)]
        mean, scale = gpu_pointwise.batch_statistics(gpu.asarray(x), eps, 0.0, *moving)
        np.testing.assert_array_equal(moving[0].get(), mean.get())
        return mean, moving[1].get(), scale

    @pytest.mark.parametrize("rows", [1, 2, 700])
    def test_statistics(self, gpu, rows):
        x = RNG.standard_normal((rows, 3)) * [1, 1e-3, 4] + [0, 1e4, -5]
        mean, variance, scale = self.statistics(gpu, x, 1e-3)
        close(mean, x.mean(axis=0))
        np.testing.assert_allclose(variance, x.var(axis=0), rtol=1e-8, atol=1e-12)
        close(scale, 1 / np.sqrt(x.var(axis=0) + 1e-3), 1e-8)

    def test_a_constant_feature_has_no_variance(self, gpu):
        mean, variance, _ = self.statistics(gpu, np.full((50, 2), 0.1, "float32"), 1.0)
        assert variance.tolist() == [0, 0] and mean.get()[0] == np.float32(0.1)

    def test_float32_far_from_zero(self, gpu):
        """The digits of the variance survive a mean a thousand deviations off."""
        x = (1000 + RNG.standard_normal((5000, 2))).astype("float32")
        _, variance, _ = self.statistics(gpu, x, 1e-5)
        np.testing.assert_allclose(variance, x.astype("float64").var(axis=0), rtol=1e-6)

    def test_sums_do_not_depend_on_the_number_of_runs(self, gpu, monkeypatch):
        x = RNG.standard_normal((1000, 3))
        for runs, rows in ((1, 1), (7, 1), (999, 1), (999, 20), (999, 1001)):
            monkeypatch.setattr(gpu_pointwise, "MOST_RUNS", runs)
            monkeypatch.setattr(gpu_pointwise, "LEAST_ROWS", rows)
            close(gpu_pointwise.column_sum(gpu.asarray(x)), x.sum(axis=0), 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestLosses:
    LOGITS = np.array([[-1000.0], [-20], [-1], [0], [2], [30], [1000]])

    def test_bce_at_the_tails(self, gpu, dtype):
        logits = self.LOGITS.astype(dtype)
        for target in (0.0, 1.0, 0.9):
            got = losses.bce_with_logits(gpu.asarray(logits), target)
            for value, expected in zip(got, losses.bce_with_logits(logits, target), strict=False):
                assert value.dtype == dtype
                close(value, expected, 1e-6 if dtype == "float32" else 1e-14)

    def test_softmax_at_the_tails(self, gpu, dtype):
        logits = np.array([[1000.0, 0, -1000], [3, 3, 3], [-1, 2, 0.5]], dtype)
        target = np.array([[0.0, 1, 0], [0.2, 0.3, 0.5], [0, 0, 2]], dtype)
        got = losses.softmax_cross_entropy(gpu.asarray(logits), gpu.asarray(target))
        for value, expected in zip(got, losses.softmax_cross_entropy(logits, target), strict=False):
            assert value.dtype == dtype
            close(value, expected, 1e-6 if dtype == "float32" else 1e-14)


def test_adam_is_one_launch(compiler, stand_in):
    layer = mg.Dense(3, 4).build().to("gpu")
    optimizer = mg.Adam(layer, 0.01)
    stand_in.launches.clear()
    optimizer.step()
    assert stand_in.launches == ["adam"]


def test_no_bound_hides_a_nan(compiler, stand_in):
    layer = mg.Dense(3, 4).build().to("gpu")
    layer.grads[...] = np.nan
    mg.Adam(layer, 0.01, bound=1).step()
    assert np.isnan(layer.to("cpu").params).all()


def test_pixels_become_images(gpu):
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    for dtype in ("float32", "float64"):
        images = gpu_pointwise.from_pixels(gpu.asarray(pixels), -1.0, 1.0, dtype)
        assert images.dtype == dtype
        close(images, pixels.astype(dtype) * (2 / 255) - 1, 1e-6)
