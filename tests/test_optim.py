"""Optimizers against their formulas, written out for one number at a time."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan.kernels.cpu import blocks

SIZES = [(3, 2), (500, 600)]  # within one block; more than two blocks


def sgd(p, gradients, lr, momentum=0.0):
    v = 0.0
    for g in gradients:
        v = momentum * v + g
        p -= lr * v
    return p


def rmsprop(p, gradients, lr, rho=0.99, eps=1e-8):
    s = 0.0
    for g in gradients:
        s = rho * s + (1 - rho) * g * g
        p -= lr * g / (math.sqrt(s) + eps)
    return p


def adam(p, gradients, lr, b1=0.9, b2=0.999, eps=1e-8, bound=math.inf):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        ratio = (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        p -= lr * min(max(ratio, -bound), bound)
    return p


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    "make, slow, settings",
    [
        (mg.SGD, sgd, {}),
        (mg.SGD, sgd, dict(momentum=0.9)),
        (mg.RMSProp, rmsprop, {}),
        (mg.RMSProp, rmsprop, dict(rho=0.9, eps=1e-3)),
        (mg.Adam, adam, {}),
        (mg.Adam, adam, dict(b1=0.5, b2=0.9, eps=1e-2)),
        (mg.Adam, adam, dict(b1=0.5, b2=0.9, bound=0.75)),
    ],
)
def test_against_the_formula(make, slow, settings, sizes):
    layer = mg.Dense(*sizes).build(dtype="float64")
    rng = np.random.default_rng(0)
    start, gradients = layer.params.copy(), rng.standard_normal((5, layer.params.size))
    optimizer = make(layer, 0.01, **settings)
    for g in gradients:
        layer.grads[:] = g
        optimizer.step()
        np.testing.assert_array_equal(layer.grads, g, "step() changed the gradients")
    for index in (0, 1, blocks.BLOCK - 1, blocks.BLOCK, layer.params.size - 1):
        if index < layer.params.size:
            expected = slow(start[index], gradients[:, index], 0.01, **settings)
            assert layer.params[index] == pytest.approx(expected, rel=1e-13)


def test_float32_stays_float32_and_in_place():
    layer = mg.Dense(30, 20).build()
    params, weight = layer.params, layer.weight
    layer.grads[:] = 1
    optimizer = mg.Adam(layer, 0.1)
    optimizer.step()
    assert layer.params is params and layer.weight.base is params.base or weight.base is params
    assert {vector.dtype for vector in optimizer.state.values()} == {np.dtype("float32")}
    assert layer.params.dtype == np.float32


def test_the_learning_rate_may_change_between_steps():
    layer = mg.Dense(2, 2).build(dtype="float64")
    before = layer.params.copy()
    layer.grads[:] = 1
    optimizer = mg.SGD(layer, 0.5)
    optimizer.lr = 0.25
    optimizer.step()
    np.testing.assert_allclose(layer.params, before - 0.25)


@pytest.mark.parametrize(
    "make, settings",
    [
        (mg.Adam, dict(lr=0)),
        (mg.Adam, dict(lr=-1e-3)),
        (mg.Adam, dict(lr=math.nan)),
        (mg.Adam, dict(lr=1e-3, b1=1.0)),
        (mg.Adam, dict(lr=1e-3, b2=-0.1)),
        (mg.Adam, dict(lr=1e-3, bound=0)),
        (mg.Adam, dict(lr=1e-3, bound=math.nan)),
        (mg.RMSProp, dict(lr=1e-3, rho=1.5)),
        (mg.SGD, dict(lr=1e-3, momentum=1.0)),
    ],
)
def test_settings_out_of_range(make, settings):
    with pytest.raises(ValueError, match="outside"):
        make(mg.Dense(2, 2).build(), **settings)
