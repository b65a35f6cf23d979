"""The CPU's passes on all cores against plain NumPy: features, blocks and products."""

import numpy as np
import pytest
from helpers import FixedCores

import minigan as mg
from minigan import threads
from minigan.kernels.cpu import blocks, features, products

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
CHANNELS = [1, 3, 64, 1500]
rng = np.random.default_rng(11)


@pytest.fixture(params=[1, 3], autouse=True, ids=["one core", "three cores"])
def cores(request, monkeypatch):
    monkeypatch.setattr(threads, "_blas", FixedCores(request.param))
    monkeypatch.setattr(threads, "FEW", 0)
    return request.param


def frozen(a):
    a.setflags(write=False)  # whoever writes into it is told
    return a


def normal(*shape, dtype="float64", mean=0.0, deviation=1.0):
    return frozen((mean + deviation * rng.standard_normal(shape)).astype(dtype))


def as_laid_out(a, how):
    """a, as a slice or a transposed view of another array."""
    if how == "slice":
        wide = np.zeros((*a.shape[:-1], a.shape[-1] + 2), a.dtype)
        wide[..., 1:-1] = a
        return frozen(wide)[..., 1:-1]
    return frozen(np.asfortranarray(a)) if how == "transposed" else a


def assert_close(got, expected, dtype, scale=1.0):
    assert got.dtype == dtype and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("how", ["whole", "slice", "transposed"])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", TOLERANCE)
class TestFeatures:
    """Against the formulas in float64."""

    def test_forward(self, dtype, channels, how):
        x = as_laid_out(normal(3, 5, 7, channels, dtype=dtype, mean=0.5, deviation=2.0), how)
        exact = x.astype("float64")
        mean, variance = features.moments(x)
        assert_close(mean, exact.mean(axis=(0, 1, 2)), dtype)
        assert_close(variance, exact.var(axis=(0, 1, 2)), dtype, scale=10)
        factor, beta = normal(channels, dtype=dtype), normal(channels, dtype=dtype)
        y = features.normalize(x, mean, factor, beta)
        assert_close(y, (exact - mean) * factor + beta, dtype, scale=10)
        assert not np.shares_memory(y, x)

    def test_backward(self, dtype, channels, how):
        x = as_laid_out(normal(3, 5, 7, channels, dtype=dtype, mean=0.5, deviation=2.0), how)
        dy = as_laid_out(normal(3, 5, 7, channels, dtype=dtype), how)
        gamma = normal(channels, dtype=dtype)
        mean, variance = (v.astype(dtype) for v in (x.mean((0, 1, 2)), x.var((0, 1, 2))))
        scale = 1 / np.sqrt(variance)
        dbeta, dgamma = features.gradient_sums(dy, x, mean, scale)
        n, g = 3 * 5 * 7, dy.astype("float64")
        h = (x.astype("float64") - mean) * scale
        assert_close(dbeta, g.sum(axis=(0, 1, 2)), dtype, scale=n)
        assert_close(dgamma, (g * h).sum(axis=(0, 1, 2)), dtype, scale=n)
        dx = features.gradient(dy, x, mean, scale, gamma, dbeta, dgamma)
        expected = scale * gamma * (g - dbeta / n - h * dgamma / n)
        assert_close(dx, expected, dtype, scale=10)


@pytest.mark.parametrize("shape", [(3, 5, 7, 6), (4, 2, 2, 64), (1, 1), (7, 1500), (0, 4, 4, 3)])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("block", [100, features.BLOCK])
def test_biases(shape, dtype, block, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", block)
    x, bias = normal(*shape, dtype=dtype), normal(shape[-1], dtype=dtype)
    y = x.copy()
    features.add(y, bias)
    np.testing.assert_array_equal(y, x + bias)
    axes = tuple(range(x.ndim - 1))
    total = features.total(x)
    assert total.dtype == x.dtype
    assert_close(total, x.astype("float64").sum(axis=axes), dtype, scale=100)
    assert_close(features.total(as_laid_out(x, "slice")), total, dtype, scale=100)


def test_a_bias_is_not_added_to_a_copy():
    with pytest.raises(ValueError, match="not contiguous"):
        features.add(np.zeros((4, 6))[:, ::2], np.ones(3))


def test_samples_are_shared_out():
    """Up-sampling and joining, whose arrays are too small for it elsewhere in the tests."""
    x, code, dy = normal(7, 2, 3, 4), normal(7, 5), normal(7, 4, 6, 4)
    up = mg.UpSample2d()
    y, cache = up.forward(x)
    np.testing.assert_array_equal(y, x.repeat(2, axis=1).repeat(2, axis=2))
    sums = dy.reshape(7, 2, 2, 3, 2, 4).sum(axis=(2, 4))
    assert_close(up.backward(dy, cache), sums, "float64")
    joined = mg.condition.join(x, code)
    np.testing.assert_array_equal(joined[..., :4], x)
    planes = np.broadcast_to(code[:, None, None], (7, 2, 3, 5))
    np.testing.assert_array_equal(joined[..., 4:], planes)


def test_numpys_buffer_comes_back():
    before = np.getbufsize()
    with pytest.raises(ArithmeticError), blocks.unbuffered():
        assert np.getbufsize() < before
        raise ArithmeticError
    assert np.getbufsize() == before


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_large_mean_does_not_spoil_a_small_variance(dtype, channels):
    """mean(x^2) - mean(x)^2 would have no digit left in float32."""
    x = normal(3, 5, 7, channels, dtype=dtype, mean=1000.0, deviation=0.5)
    exact = x.astype("float64")
    mean, variance = features.moments(x)
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=10 * TOLERANCE[dtype])
    np.testing.assert_allclose(variance, exact.var((0, 1, 2)), rtol=10 * TOLERANCE[dtype])


def test_features_in_several_blocks(monkeypatch):
    x, dy = normal(3, 5, 7, 6), normal(3, 5, 7, 6)
    vectors = [normal(6) for _ in range(5)]

    def results():
        return [
            *features.moments(x), features.normalize(x, *vectors[:3]),
            *features.gradient_sums(dy, x, *vectors[:2]), features.gradient(dy, x, *vectors),
        ]  # fmt: skip

    whole = results()
    monkeypatch.setattr(features, "BLOCK", 50)
    monkeypatch.setattr(features, "WIDE", 20)
    for few, all_at_once in zip(results(), whole, strict=True):
        assert_close(few, all_at_once, "float64", scale=100)


@pytest.mark.parametrize("how", ["whole", "slice", "transposed"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (13, 11), (50, 41)])
def test_blockwise(shape, how, monkeypatch, cores):
    monkeypatch.setattr(blocks, "BLOCK", 100)
    a, b = as_laid_out(normal(*shape), how), normal(*shape)
    sizes = []

    def formula(y, a, b):
        sizes.append(a.size)
        np.multiply(a, b, out=y)
        y += 1

    y = blocks.blockwise(formula, a, b)
    np.testing.assert_array_equal(y, a * b + 1)
    assert y.dtype == a.dtype and sum(sizes) == a.size
    if a.flags.c_contiguous:
        assert max(sizes) <= 100 and len(sizes) >= min(cores, a.size)


def test_in_blocks_writes_in_place(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 100)
    p, g = normal(1001).copy(), normal(1001)
    expected = p - 2 * g

    def formula(p, g):
        p -= 2 * g

    blocks.in_blocks(formula, p, g)
    np.testing.assert_array_equal(p, expected)


# (rows, K, columns): shared out by rows, and by columns
PRODUCTS = [(1, 1, 1), (1, 5, 1), (7, 1, 3), (600, 3, 5), (5, 3, 600), (40, 17, 33), (513, 20, 700)]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rows, depth, columns", PRODUCTS)
@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
def test_matmul(rows, depth, columns, turned, dtype):
    a = normal(depth, rows, dtype=dtype).T if "a" in turned else normal(rows, depth, dtype=dtype)
    b = (normal(columns, depth, dtype=dtype).T if "b" in turned
         else normal(depth, columns, dtype=dtype))  # fmt: skip
    expected = a.astype("float64") @ b
    assert_close(products.matmul(a, b), expected, dtype, scale=depth)
    inside = np.full((rows + 2, columns + 2), 7, dtype)
    out = inside[1:-1, 1:-1]
    assert products.matmul(a, b, out=out) is out
    assert_close(out, expected, dtype, scale=depth)
    out[...] = 7
    assert (inside == 7).all()  # nothing was written around it


def test_matmul_of_more_axes():
    a, b = normal(3, 2, 5, 4), normal(4, 6)
    assert_close(products.matmul(a, b), a @ b, "float64")
    assert_close(products.matmul(a.swapaxes(0, 2), b), a.swapaxes(0, 2) @ b, "float64")
    assert products.matmul(a[:0], b).shape == (0, 2, 5, 6)


def test_matmuls_over_nothing_are_zero():
    out = np.full((5, 6), np.nan)
    products.matmuls([(normal(5, 0), normal(0, 6), out)])
    assert (out == 0).all()


def test_matmuls():
    sizes = PRODUCTS[::2]
    a, b = ([normal(*shape) for shape in pairs]
            for pairs in ([s[:2] for s in sizes], [s[1:] for s in sizes]))  # fmt: skip
    out = [np.full((rows, columns), np.nan) for rows, _, columns in sizes]
    products.matmuls(list(zip(a, b, out, strict=True)))
    for a_i, b_i, out_i in zip(a, b, out):
        assert_close(out_i, a_i @ b_i, "float64", scale=100)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("small", [1, 12, 50])
def test_tall_products_in_pieces(small, dtype, monkeypatch):
    """Of five rows for a small matrix of 12 elements; one of 50 is taken whole."""
    monkeypatch.setattr(products, "SMALL", 12)
    monkeypatch.setattr(products, "PIECE", 60)
    called, whole = [], products.matmul
    monkeypatch.setattr(products, "matmul", lambda *a, **k: called.append(1) or whole(*a, **k))
    depth, columns = {1: (1, 1), 12: (3, 4), 50: (10, 5)}[small]
    for rows in (600, 1003):
        a, b = normal(rows, depth, dtype=dtype), normal(rows, columns, dtype=dtype)
        w = normal(columns, depth, dtype=dtype).T
        exact, out = a.astype("float64"), np.full((rows, columns + 2), 7, dtype)
        whole(a, w, out=out[:, 1:-1])
        assert_close(out[:, 1:-1], exact @ w, dtype, scale=10)
        assert (out[:, [0, -1]] == 7).all()
        dw = np.full((depth, columns), np.nan, dtype)
        products.matmul_tall(a, b, out=dw)
        assert_close(dw, exact.T @ b, dtype, scale=1000)
        assert bool(called) == (small == 50)
