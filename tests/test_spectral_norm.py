"""Spectral normalisation: the norm it finds, its gradients in both orders, and what it keeps."""

import numpy as np
import pytest
from test_strangers_files import with_description

import minigan as mg
from minigan import archive, penalty
from minigan.errors import UserError
from minigan.gradcheck import check_step, numeric_errors
from minigan.kernels import plain

RNG = np.random.default_rng(5)
X = RNG.standard_normal((4, 6, 5, 3))
LAYERS = [
    mg.Dense(3, 4),
    mg.Conv2d(3, 4, 4, stride=2),
    mg.Conv2d(3, 2, (2, 3), padding="valid", use_bias=False),
    mg.ConvTranspose2d(3, 2, 4, stride=2),
]


def built(layer):
    return mg.SpectralNorm(layer.unbuilt()).build(seed=2, dtype="float64")


def settle(layer):
    """Let u come to the end of its power iteration."""
    layer.u = np.linalg.svd(matrix(layer.weight))[2][0]


def matrix(weight):
    return weight.reshape(-1, weight.shape[-1])


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_the_largest_singular_value_becomes_one(layer):
    layer = built(layer)
    for _ in range(300):
        _, (_, weight, u, v, sigma) = layer.forward(X)
    largest = np.linalg.norm(matrix(layer.weight), 2)
    assert sigma == pytest.approx(largest, rel=1e-12)
    assert np.linalg.norm(matrix(weight), 2) == pytest.approx(1, rel=1e-12)
    left, _, right = np.linalg.svd(matrix(layer.weight))
    assert abs(left[:, 0] @ v) == pytest.approx(1) and abs(right[0] @ u) == pytest.approx(1)


def test_a_layer_is_the_one_around_which_it_stands_with_other_weights():
    layer = built(mg.Dense(3, 4))
    layer.bias = [1.0, 2.0, 3.0, 4.0]
    y, (_, _, _, _, sigma) = layer.forward(X)
    np.testing.assert_allclose(y, X @ layer.weight / sigma + layer.bias, rtol=1e-12)
    assert layer.param_count == mg.Dense(3, 4).param_count and layer.buffer_count == 4
    assert [name for name, *_ in layer.named_tensors()] == ["weight", "bias"]
    assert layer.output_shape((6, 5, 3)) == (6, 5, 4)


def test_a_training_forward_is_one_iteration_and_evaluation_none():
    layer = built(mg.Dense(3, 4))
    w, u = layer.weight, layer.u.copy()
    layer.forward(X, train=False)
    np.testing.assert_array_equal(layer.u, u)
    y, _ = layer.forward(X)
    v = w @ u / np.linalg.norm(w @ u)
    expected = w.T @ v / np.linalg.norm(w.T @ v)
    np.testing.assert_allclose(layer.u, expected, rtol=1e-12)
    layer.u = u
    for same in (layer, layer.normalized()):  # of the same u
        np.testing.assert_array_equal(same.forward(X, train=False)[0], y)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_the_gradient_is_exact_with_u_and_v_held(layer):
    """Where u has not settled, against the quotients of a norm that does not iterate."""
    layer, dy_of = built(layer), np.random.default_rng(6)
    y, cache = layer.forward(X)
    (inner, _, u, v, _), dy = cache, dy_of.standard_normal(y.shape)
    dx_bar = dy_of.standard_normal(X.shape)

    def held():
        sigma = v @ matrix(layer.weight) @ u
        return layer._layer_with(layer.weight / sigma)

    def first():
        return (held().forward(X)[0] * dy).sum()

    def second():
        return (held().backward(dy, inner, params=False) * dx_bar).sum()

    layer.zero_grad()
    layer.backward(dy, cache)
    tensors = {name: param for name, param, _ in layer.named_tensors()}
    claimed = {name: grad.copy() for name, _, grad in layer.named_tensors()}
    assert max(numeric_errors(first, tensors, claimed).values()) < 1e-8

    layer.zero_grad()
    dy_bar, x_bar = layer.double_backward(dx_bar, dy, cache)
    claimed = dict(weight=layer.weight_grad.copy(), dy=dy_bar)
    tensors = dict(weight=layer.weight, dy=dy)
    assert max(numeric_errors(second, tensors, claimed).values()) < 1e-8
    assert x_bar is None and (not layer.layer.use_bias or not layer.bias_grad.any())


def test_the_gradient_along_the_weight_is_zero():
    """Twice the weight is the same layer."""
    layer = built(mg.Dense(3, 4))
    y, cache = layer.forward(X)
    layer.backward(RNG.standard_normal(y.shape), cache)
    assert (layer.weight * layer.weight_grad).sum() == pytest.approx(0, abs=1e-12)
    assert np.abs(layer.weight_grad).max() > 0.01


@pytest.mark.parametrize("kind", ["gradient penalty", "R1"])
def test_penalties_of_a_normalised_critic(kind):
    critic = mg.Sequential(
        [
            mg.SpectralNorm(mg.Conv2d(3, 4, 4, stride=2)), mg.Tanh(), mg.Flatten(),
            mg.SpectralNorm(mg.Dense(3 * 3 * 4, 5)), mg.Tanh(), mg.SpectralNorm(mg.Dense(5, 1)),
        ],
        dtype="float64",
    )  # fmt: skip
    for layer in [critic.layers[i] for i in (0, 3, 5)]:
        settle(layer)
    fake = RNG.standard_normal(X.shape)

    def step():
        if kind == "R1":
            return penalty.r1(critic, X)
        return penalty.gradient_penalty(critic, X, fake, step=0)

    check = check_step(step, critic, kind, samples=4)
    assert check.ok, check
    assert np.abs(critic.grads).max() > 1e-3


def test_passes_have_their_own_weights():
    """Two forwards of a training step, their ways back in turn: each goes through its own."""
    layer = built(mg.Conv2d(3, 4, 4, stride=2))
    _, first = layer.forward(X)
    y, second = layer.forward(X)
    weights = first[1], second[1]
    assert np.abs(weights[0] - weights[1]).max() > 1e-3
    for cache in (second, first):
        expected = layer._layer_with(cache[1]).backward(y, cache[0])
        np.testing.assert_array_equal(layer.backward(y, cache), expected)


def test_in_a_file_and_out_of_it(tmp_path):
    network = mg.Sequential(
        [mg.SpectralNorm(mg.Dense(3, 4, use_bias=False)), mg.Sequential([mg.ReLU()])], name="net"
    )
    x = X.astype("float32")
    network.forward(x)
    network.save(tmp_path / "net.npz")
    loaded = mg.load(tmp_path / "net.npz")["net"]
    assert repr(loaded.layers[0]) == "SpectralNorm(Dense(3, 4, use_bias=False))"
    np.testing.assert_array_equal(loaded.buffers, network.buffers)
    for train in (True, False):
        there, here = loaded.forward(x, train)[0], network.forward(x, train)[0]
        np.testing.assert_array_equal(there, here)


def test_a_file_with_a_network_within_is_refused(tmp_path):
    """A network would be allocated before anybody has compared its size with what is stored."""
    path = tmp_path / "net.npz"
    mg.Sequential([mg.SpectralNorm(mg.Dense(3, 4))], name="net").save(path)
    _, description = archive.read(path)
    [layer] = description["networks"]["net"]["layers"]
    huge = {"class": "Dense", "inputs": 2**30, "outputs": 2**30}
    layer["layer"] = {"class": "Sequential", "layers": [huge], "name": "x", "seed": 0,
                      "dtype": "float32"}  # fmt: skip
    path.write_bytes(with_description(path, description))
    with pytest.raises(UserError, match="layer is a network, expected a layer"):
        mg.load(path)


def test_clones_share_nothing():
    layer = built(mg.Dense(3, 4))
    copy = layer.clone()
    np.testing.assert_array_equal(copy.u, layer.u)
    copy.forward(X)
    copy.weight += 1
    assert np.abs(copy.u - layer.u).max() > 0.01 and copy.layer is not layer.layer
    np.testing.assert_array_equal(layer.forward(X)[0], built(mg.Dense(3, 4)).forward(X)[0])


@pytest.mark.parametrize("make, message", [
    (lambda: mg.ReLU(), r"ReLU\(\) has no weight"),
    (lambda: mg.Sequential([mg.Dense(3, 4)]), "has no weight"),
    (lambda: "Dense", "'Dense' has no weight"),
    (lambda: mg.Dense(3, 4).build(), "is built already"),
    (lambda: mg.SpectralNorm(mg.Dense(3, 4)), "has buffers of its own"),
])  # fmt: skip
def test_what_it_does_not_take(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mg.SpectralNorm(make())


def test_messages_are_of_the_layer_within():
    layer = built(mg.Dense(3, 4))
    with pytest.raises(ValueError, match=r"Dense\(3, 4\) \(spectralnorm\).*must have 3 elements"):
        layer.forward(X[..., :2])


def test_the_formula_by_hand():
    """W = diag(3, 1), so W / 3 = diag(1, 1/3), u = v = (1, 0): (5 - 8, 6, 7, 9) / 3."""
    weight, axis = np.diag([1.0, 1 / 3]), np.array([1.0, 0.0])
    dw = plain.spectral_normalize_backward(np.array([[5.0, 6], [7, 9]]), weight, axis, axis, 3.0)
    np.testing.assert_allclose(dw, [[-1, 2], [7 / 3, 3]])
