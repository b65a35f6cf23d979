"""Products on the GPU, which are cuBLAS's: every layout, stacks, TF32, and without the library."""

import numpy as np
import pytest
from test_conv_kernels import random_triple

from minigan.kernels import geometry
from minigan.kernels import gpu as kernels
from minigan.kernels.gpu import cublas

RNG = np.random.default_rng(3)
ROUGH = "every second number"  # of which cuBLAS wants a copy
LAYOUTS = {  # of the last two axes: host array -> the same on the device
    "rows": lambda gpu, x: gpu.asarray(x),
    "columns": lambda gpu, x: gpu.asarray(turned(x)).swapaxes(-1, -2),
    "rows of a wider matrix": lambda gpu, x: gpu.asarray(doubled(x))[..., : x.shape[-1]],
    "columns of a higher matrix": lambda gpu, x:
        gpu.asarray(doubled(turned(x))).swapaxes(-1, -2)[..., : x.shape[-2], :],
    ROUGH: lambda gpu, x: gpu.asarray(np.repeat(x, 2, axis=-1))[..., ::2],
}  # fmt: skip


def turned(x):
    return np.ascontiguousarray(x.swapaxes(-1, -2))


def doubled(x):
    return np.concatenate([x, x], axis=-1)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("count", [(), (9,)], ids=["one", "nine"])
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("left", LAYOUTS)
def test_operands_of_any_layout(gpu, left, right, count, dtype, tolerance):
    for m, k, n in ((5, 7, 6), (1, 4, 3), (3, 4, 1), (6, 1, 2), (1, 1, 1)):
        a, b = (RNG.standard_normal((*count, *shape)).astype(dtype) for shape in ((m, k), (k, n)))
        a_there, b_there = LAYOUTS[left](gpu, a), LAYOUTS[right](gpu, b)
        out = gpu.empty((*count, m, n), dtype)
        launches = getattr(gpu, "launches", [])
        launches.clear()
        assert cublas.matmul(a_there, b_there, out) is out
        assert ROUGH in (left, right) or launches in (["product"], [])  # [] on a real GPU
        np.testing.assert_allclose(out.get(), a @ b, rtol=tolerance, atol=8 * tolerance)


def test_a_sum_of_products(gpu):
    a, b, c = (RNG.standard_normal((4, 4)) for _ in range(3))
    out = gpu.asarray(c)
    cublas.matmul(gpu.asarray(a), gpu.asarray(b), out, add=True)
    np.testing.assert_allclose(out.get(), c + a @ b, rtol=1e-13)
    cublas.matmul(gpu.asarray(a[:0]).T, gpu.asarray(b[:0]), out, add=True)  # of no terms
    np.testing.assert_allclose(out.get(), c + a @ b, rtol=1e-13)
    assert not cublas.matmul(gpu.asarray(a[:0]).T, gpu.asarray(b[:0]), out).get().any()
    assert cublas.matmul(gpu.asarray(a[:0]), gpu.asarray(b)).shape == (0, 4)


def test_without_the_library_cupy_multiplies(gpu, monkeypatch):
    a, b, c = (RNG.standard_normal((3, 4, 4)) for _ in range(3))
    monkeypatch.setattr(cublas, "_library", lambda xp: None)
    cublas._multiplier.cache_clear()
    out = gpu.asarray(c)
    cublas.matmul(gpu.asarray(a).swapaxes(1, 2), gpu.asarray(b), out, add=True)
    np.testing.assert_allclose(out.get(), c + a.swapaxes(1, 2) @ b, rtol=1e-13)
    np.testing.assert_allclose(cublas.matmul(out, gpu.asarray(b)).get(), out.get() @ b, rtol=1e-13)
    assert "product" not in getattr(gpu, "launches", [])
    cublas._multiplier.cache_clear()


def products(dtype="float32"):
    """name -> (the function, its arguments, where in them the geometry is)."""
    wide, thin, whole = geometry(8, 4, 2, 1), geometry(7, 3, 1, 1), geometry(4, 4, 1, "valid")
    for name, g, channels in (
        ("minimal filtering", wide, 16), ("im2col", thin, 3), ("one product", whole, 3)
    ):  # fmt: skip
        x, w, dy = random_triple(3, g, dtype, n=4, channels=channels, filters=channels + 1)
        for function, operands in (("conv", (x, w)), ("conv_dx", (dy, w)), ("conv_dw", (x, dy))):
            yield f"{function}, {name}", function, operands, (g,)
    x, w, dy = (RNG.standard_normal(shape).astype(dtype) for shape in ((6, 5), (5, 7), (6, 7)))
    for function, operands in (("dense", (x, w)), ("dense_dx", (dy, w)), ("dense_dw", (x, dy))):
        yield function, function, operands, ()


PRODUCTS = {name: rest for name, *rest in products()}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("asked", [True, False], ids=["TF32", "float32"])
def test_tf32_is_used_everywhere_or_nowhere(gpu, monkeypatch, name, asked):
    """TF32 keeps 10 bits of each factor, float32 23."""
    function, operands, more = PRODUCTS[name]
    exact = getattr(kernels, function)(
        *(gpu.asarray(operand.astype("float64")) for operand in operands), *more
    ).get()
    monkeypatch.setenv("CUPY_TF32", str(int(asked)))
    cublas._multiplier.cache_clear()
    got = getattr(kernels, function)(*map(gpu.asarray, operands), *more).get()
    cublas._multiplier.cache_clear()
    error = np.abs(got - exact).max() / np.abs(exact).max()
    assert (2e-5 < error < 3e-3) if asked else error < 2e-6


def test_what_does_not_fit_is_an_error(gpu):
    single, double = (
        gpu.asarray(RNG.standard_normal((3, 3)).astype(f"float{n}")) for n in (32, 64)
    )
    for a, b, out in ((single, double, double), (double, double, single)):
        with pytest.raises(ValueError, match="float32"):
            cublas.matmul(a, b, out)
    with pytest.raises(ValueError, match="not in rows"):
        cublas.matmul(double, double, gpu.asarray(np.ones((3, 3))).T)


def test_a_failure_of_the_library_is_an_error(stand_in, monkeypatch):
    x = stand_in.asarray(np.ones((3, 3)))
    cublas.matmul(x, x)
    library = cublas._library(stand_in)
    library.stream, library.workspace = 0, 0  # as where another has taken the workspace away
    with pytest.raises(RuntimeError, match=r"status 7 for \(3, 3\) @ \(3, 3\)"):
        cublas.matmul(x, x)
    monkeypatch.setattr(library, "create", lambda handle: 1)
    library.functions["cublasSetStream_v2"] = lambda *arguments: 13
    cublas._multiplier.cache_clear()
    with pytest.raises(RuntimeError, match="cublasSetStream_v2 fails with status 13"):
        cublas.matmul(x, x)
