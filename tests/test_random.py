"""Addressed randomness and initialisers."""

import numpy as np
import pytest
from helpers import hash32

import minigan as mg
from minigan import init, random


def test_an_address_gives_the_same_numbers_always():
    def draw(**change):
        return random.normal((50,), **(dict(seed=1, where="z", step=2) | change))

    np.testing.assert_array_equal(draw(), draw())
    for change in (dict(seed=2), dict(where="y"), dict(step=3)):
        assert (draw(**change) != draw()).all(), change


def test_both_precisions_draw_the_same_numbers():
    address = dict(seed=0, where="z")
    double = random.normal((100,), dtype="float64", **address)
    np.testing.assert_array_equal(random.normal((100,), **address), double.astype("float32"))
    double = random.uniform((100,), -1, 1, dtype="float64", **address)
    np.testing.assert_array_equal(random.uniform((100,), -1, 1, **address), double.astype("f4"))


def test_neighbouring_addresses_are_not_correlated():
    rows = np.stack([random.normal((4000,), seed=0, where="z", step=step) for step in range(8)])
    off_diagonal = np.corrcoef(rows) - np.eye(8)
    assert np.abs(off_diagonal).max() < 0.07  # 4.4 standard deviations of 1 / sqrt(4000)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.99])
def test_the_share_of_a_mask(keep):
    mask = random.keep_mask((1000, 1000), keep, seed=0, where="m")
    assert mask.dtype == bool and mask.shape == (1000, 1000)
    assert abs(mask.mean() - keep) < 5 * np.sqrt(keep * (1 - keep) / mask.size)
    assert abs(random.kept_share(keep) - keep) <= 2**-17


def test_the_hash_of_the_gpu_masks_is_uniform():
    bits = hash32(np.arange(1 << 18, dtype=np.uint32), np.uint32(12345)) >> 16
    counts = np.bincount(bits >> 8, minlength=256)
    chi_squared = ((counts - 1024.0) ** 2 / 1024).sum()
    assert 150 < chi_squared < 380  # 255 degrees of freedom: mean 255, deviation 23


def test_permutations():
    first, second = (random.permutation(100, seed=0, where="s", step=step) for step in (0, 1))
    assert sorted(first) == sorted(second) == list(range(100))
    assert (first != second).any()


SHAPES = [(400, 300), (3, 3, 40, 50)]


INITIALIZERS = [
    (init.Constant(2.0), lambda i, o: 0.0, lambda i, o: 2.0),
    (init.Normal(0.1), lambda i, o: 0.01, lambda i, o: np.inf),
    (init.TruncatedNormal(0.02), lambda i, o: (0.02 * 0.8796) ** 2, lambda i, o: 0.04),
    (init.GlorotUniform(), lambda i, o: 2 / (i + o), lambda i, o: np.sqrt(6 / (i + o))),
    (init.GlorotNormal(), lambda i, o: 2 / (i + o), lambda i, o: np.inf),
    (init.HeNormal(), lambda i, o: 2 / i, lambda i, o: np.inf),
    (init.HeUniform(), lambda i, o: 2 / i, lambda i, o: np.sqrt(6 / i)),
    (init.UniformFanIn(), lambda i, o: 1 / (3 * i), lambda i, o: 1 / np.sqrt(i)),
    (init.UniformFanIn(fan_in=9), lambda i, o: 1 / 27, lambda i, o: 1 / 3),
]  # each with its variance and its bound


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "initializer, variance, bound", INITIALIZERS, ids=[repr(case[0]) for case in INITIALIZERS]
)
def test_initialisers(initializer, variance, bound, shape):
    values = initializer(shape, random.generator(0, "w"))
    fan_in, fan_out = np.prod(shape[:-1]), np.prod(shape[:-2]) * shape[-1]
    assert values.shape == shape and values.dtype == np.float64
    assert values.var() == pytest.approx(variance(fan_in, fan_out), rel=0.03)
    assert np.abs(values).max() <= bound(fan_in, fan_out)


def test_a_bias_has_no_fans():
    with pytest.raises(ValueError, match="no fans"):
        mg.Dense(3, 2, bias_init=init.HeNormal()).build()
