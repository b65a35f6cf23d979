"""Conditions: codes, planes, and the way back."""

import sys

import numpy as np
import pytest
import strict_array_module as strict

import minigan as mg
from minigan.condition import join, join_backward, one_hot
from minigan.gradcheck import numeric_errors

RNG = np.random.default_rng(3)
SHAPES = [(4, 3), (4, 5, 3), (4, 5, 2, 3)]


def test_one_hot():
    code = one_hot(np.array([2, 0, 1, 2]), 3)
    assert code.dtype == np.float32
    np.testing.assert_array_equal(code, [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert one_hot(np.array([0], np.uint8), 2, dtype="float64").dtype == np.float64


@pytest.mark.parametrize("label", [3, -1])
def test_a_class_that_is_not_there(gpu, label):
    """On the host an error; on a GPU, for which nobody waits, what every loss shows."""
    labels = np.array([1, label])
    with pytest.raises(ValueError, match=f"class {label} is not one of 3"):
        one_hot(labels, 3)
    code = mg.to_host(one_hot(gpu.asarray(labels), 3))
    np.testing.assert_array_equal(code, np.array([[0, 1, 0], 3 * [np.nan]], "float32"))
    assert code.dtype == np.float32


@pytest.mark.parametrize("labels", [np.ones((2, 1), int), np.ones(2), np.array(1)])
def test_labels_are_integers_on_one_axis(labels):
    with pytest.raises(ValueError, match="labels must be integers"):
        one_hot(labels, 3)


def test_planes_by_hand():
    """Each pixel of an image keeps its colours and gets the code of its image."""
    x = RNG.standard_normal((2, 2, 3, 1)).astype("float32")
    y = join(x, one_hot(np.array([1, 0]), 2))
    assert y.shape == (2, 2, 3, 3) and y.dtype == np.float32
    np.testing.assert_array_equal(y[..., :1], x)
    assert (y[0, ..., 1:] == [0, 1]).all() and (y[1, ..., 1:] == [1, 0]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_way_back(shape):
    x, code = RNG.standard_normal(shape), RNG.standard_normal((4, 2))
    dy = RNG.standard_normal((*shape[:-1], 5))
    dx, dcode = join_backward(dy, 3)
    errors = numeric_errors(
        lambda: (join(x, code) * dy).sum(), dict(x=x, code=code), dict(x=dx, code=dcode)
    )
    assert max(errors.values()) < 1e-8, errors


@pytest.mark.parametrize("shape", [(3, 2), (1, 2), (4,), (4, 1, 2)])
def test_one_code_a_sample(shape):
    with pytest.raises(ValueError, match="one a sample"):
        join(np.ones((4, 5, 3)), np.ones(shape))


def test_a_code_of_another_precision_is_noticed():
    """NumPy would go on in float64; the network refuses."""
    net = mg.Sequential([mg.Dense(5, 2)])
    x = np.ones((1, 3), "float32")
    with pytest.raises(TypeError, match="float64"):
        net.forward(join(x, one_hot(np.array([0]), 2, dtype="float64")))


def test_on_the_device(monkeypatch):
    """Same numbers as on NumPy, and nothing crosses between host and device."""
    monkeypatch.setitem(sys.modules, "cupy", strict)
    labels, images = np.array([1, 0, 1, 2]), np.ones(SHAPES[2])
    dy = RNG.standard_normal((4, 5, 2, 6))
    on_device = [strict.asarray(array) for array in (labels, images, dy)]
    strict.host_traffic.clear()
    y = join(on_device[1], one_hot(on_device[0], 3, dtype="float64"))
    dx, dcode = join_backward(on_device[2], 3)
    assert strict.host_traffic == []
    np.testing.assert_array_equal(y.get(), join(images, one_hot(labels, 3, dtype="float64")))
    for there, here in zip((dx, dcode), join_backward(dy, 3)):
        np.testing.assert_array_equal(there.get(), here)
