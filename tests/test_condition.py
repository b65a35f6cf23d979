"""Conditions: codes, planes, and the way back."""

import sys

import numpy as np
import pytest
import strict_array_module as strict

import minigan as mg
from minigan import penalty
from minigan.condition import ByClass, join, join_backward, one_hot
from minigan.gradcheck import check_layer, check_step, numeric_errors

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


class TestByClass:
    LABELS = np.array([0, 2, 1, 2])
    CODE = one_hot(LABELS, 3, dtype="float64")
    IMAGES = RNG.standard_normal((4, 4, 5, 2))

    def network(self, kind=ByClass, **settings):
        layers = [mg.Conv2d(2, 4, 4, stride=2), mg.Tanh(), mg.Flatten(), mg.Dense(24, 3)]
        return kind(layers, name="D", seed=1, dtype="float64", **settings)

    def test_the_label_chooses_the_score(self):
        D, same = self.network(classes=3), self.network(mg.Sequential)
        np.testing.assert_array_equal(D.params, same.params)
        scores, _ = same.forward(self.IMAGES)
        y, _ = D.forward(join(self.IMAGES, self.CODE))
        np.testing.assert_array_equal(y[:, 0], scores[range(4), self.LABELS])
        assert D.output_shape((4, 5, 5)) == (1,)

    @pytest.mark.parametrize("train", [True, False])
    def test_its_gradients_in_both_orders(self, train):
        """The planes far apart, or a difference quotient would change the choice."""
        check = check_layer(self.network(classes=3), join(self.IMAGES, 9 * self.CODE), train=train)
        assert check.ok, check

    def test_penalties_are_on_the_slope_of_the_chosen_score(self):
        D, fake = self.network(classes=3), RNG.standard_normal(self.IMAGES.shape)
        for step in (
            lambda: penalty.gradient_penalty(D, self.IMAGES, fake, condition=self.CODE, step=0),
            lambda: penalty.r1(D, self.IMAGES, condition=self.CODE),
        ):
            check = check_step(step, D, "penalty", samples=4)
            assert check.ok, check
        dx = D.backward(np.ones((4, 1)), D.forward(join(self.IMAGES, self.CODE))[1])
        assert not dx[..., 2:].any() and dx[..., :2].all()
        expected = 5 * (dx**2).sum(axis=(1, 2, 3)).mean()
        assert penalty.r1(D, self.IMAGES, condition=self.CODE) == pytest.approx(expected)

    def test_in_a_file_and_out_of_it(self, tmp_path):
        D = self.network(classes=3)
        D.save(tmp_path / "D.npz")
        loaded = mg.load(tmp_path / "D.npz")["D"]
        assert repr(loaded) == repr(D) == "ByClass('D', 4 layers, 207 params)"
        x = join(self.IMAGES, self.CODE)
        for network in (loaded, D.clone()):
            np.testing.assert_array_equal(network.forward(x)[0], D.forward(x)[0])

    def test_on_a_gpu(self, gpu):
        here = self.network(classes=3)
        there = here.clone().to("gpu")
        x, dy = join(self.IMAGES, self.CODE), RNG.standard_normal((4, 1))
        y, cache = here.forward(x)
        dx = here.backward(dy, cache)
        y_there, cache = there.forward(gpu.asarray(x))
        dx_there = there.backward(gpu.asarray(dy), cache)
        for found, expected in ((y_there, y), (dx_there, dx), (there.grads, here.grads)):
            np.testing.assert_allclose(mg.to_host(found), expected, 1e-9, 1e-12)

    def test_a_trace_has_an_entry_a_layer(self):
        D, y, dy = self.network(classes=3), [], []
        scores, cache = D.forward(join(self.IMAGES, self.CODE), trace=y)
        D.backward(np.ones_like(scores), cache, trace=dy)
        assert [a.shape for a in y] == [a.shape for a in dy] == [
            (4, 2, 3, 4), (4, 2, 3, 4), (4, 24), (4, 3),
        ]  # fmt: skip
        np.testing.assert_array_equal(dy[-1], self.CODE)

    @pytest.mark.parametrize("x, message", [
        (IMAGES[..., :0], "which is not"),
        (np.zeros((4, 4, 5, 3)), r"got \(4, 4, 5, 3\), which is not \(N, H, W, C \+ 3\)"),
        (np.zeros((4, 9)), "images with the planes"),
    ])  # fmt: skip
    def test_it_reads_images_with_planes(self, x, message):
        with pytest.raises(ValueError, match=message):
            self.network(classes=3).forward(x)

    def test_there_is_a_score_for_each_class(self):
        for classes in (1, 2):
            x = np.zeros((4, 4, 5, 2 + classes))
            with pytest.raises(ValueError, match=rf"scores \(4, 3\) for {classes} classes"):
                self.network(classes=classes).forward(x)
        with pytest.raises(ValueError, match="classes has size 0"):
            self.network(classes=0)

    def test_a_gradient_is_one_number_a_sample(self):
        D, x = self.network(classes=3), join(self.IMAGES, self.CODE)
        _, cache = D.forward(x)
        for dy in (np.ones((1, 1)), np.ones((4, 3)), np.ones((4, 1), "float32")):
            with pytest.raises(ValueError, match="got a dy of"):
                D.backward(dy, cache)
            with pytest.raises(ValueError, match="got a dy of"):
                D.double_backward(x, dy, cache)
