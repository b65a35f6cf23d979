"""Values that no gradient check can see: a wrong forward with the matching backward."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan import losses
from minigan.gradcheck import Check, check_layer
from minigan.kernels.plain import sigmoid, softplus

RNG = np.random.default_rng(9)
X = RNG.standard_normal((4, 3, 5))


def output(layer, x=X, **mode):
    return layer.build(dtype="float64").forward(x, **mode)[0]


FUNCTIONS = [
    (mg.ReLU(), lambda x: np.where(x > 0, x, 0)),
    (mg.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    (mg.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    (mg.Tanh(), lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
    (mg.Flatten(), lambda x: np.stack([sample.ravel() for sample in x])),
]


@pytest.mark.parametrize(("layer", "f"), FUNCTIONS, ids=[repr(layer) for layer, _ in FUNCTIONS])
def test_functions_without_parameters(layer, f):
    np.testing.assert_allclose(output(layer), f(X), rtol=1e-12)


def test_layernorm_normalises_each_sample():
    y = output(mg.LayerNorm(5, eps=0.5), 3 * X + 1)
    for got, sample in zip(y.reshape(-1, 5), (3 * X + 1).reshape(-1, 5)):
        np.testing.assert_allclose(got, (sample - sample.mean()) / np.sqrt(sample.var() + 0.5))


@pytest.mark.parametrize("train", [True, False])
def test_batchnorm_normalises_each_feature(train):
    layer = mg.BatchNorm(5, eps=0.5, momentum=0.0)
    y = output(layer)  # momentum 0: the moving statistics are those of this batch
    if not train:
        y, _ = layer.forward(X, train=False)
    np.testing.assert_allclose(y, (X - X.mean(axis=(0, 1))) / np.sqrt(X.var(axis=(0, 1)) + 0.5))


def test_the_tails_keep_all_their_digits():
    """Relative to the value itself: beside pytest.approx's own 1e-12 they would all be 0."""
    x = np.array([[-80.0], [-40.0], [40.0], [80.0]], "float32")
    tail = np.exp(-np.abs(x.astype("float64")))  # = sigmoid(-|x|) = softplus(-|x|) there
    for got in (sigmoid(-np.abs(x)), softplus(-np.abs(x))):
        np.testing.assert_allclose(got, tail, rtol=1e-5)
    for target in (0.0, 1.0):
        _, dlogits = losses.bce_with_logits(x, target)
        expected = np.where((x > 0) == (target == 1), tail, 1) * (1 - 2 * target) / x.size
        np.testing.assert_allclose(dlogits, expected, rtol=1e-5)


class TestTheNumericCheckIsNotBlind:
    """Faults that it must refuse."""

    def test_a_batchnorm_without_gradient(self):
        """The sum of a BatchNorm's output is constant: only a random projection sees this."""

        class NoGradient(mg.BatchNorm):
            def backward(self, dy, cache, params=True, need_dx=True):
                return 0 * super().backward(dy, cache, params, need_dx)

        layer = NoGradient(5).build()
        layer.beta[:] = 1.0
        assert check_layer(layer, X, second_order=False).errors["input"] > 0.5

    def test_an_error_that_is_not_a_number(self):
        nan, fine = {"input": math.nan}, {"input": 0.0}
        assert Check("", "", fine, fine, fine).ok
        for errors in ((nan, fine, fine), (fine, nan, fine), (fine, fine, nan)):
            assert not Check("", "", *errors).ok

    def test_an_error_of_one_in_a_million(self):
        class Slightly(mg.Tanh):
            def backward(self, dy, cache, params=True, need_dx=True):
                return 1.000001 * super().backward(dy, cache, params, need_dx)

        check = check_layer(Slightly(), X, second_order=False)
        assert not Check("", "", check.errors).ok
