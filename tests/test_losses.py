"""Losses: values against their definition, gradients, extreme inputs, labels."""

import math

import numpy as np
import pytest

from minigan import losses
from minigan.gradcheck import check_loss
from minigan.kernels.plain import log_softmax, sigmoid, softplus

rng = np.random.default_rng(0)
X = 3 * rng.standard_normal((8, 1))
T = rng.uniform(size=(8, 1))
EXTREME = np.array([[-1e4], [-90.0], [-1.0], [0.0], [1.0], [90.0], [1e4]], "float32")


def by_definition(x, t):
    p = 1 / (1 + np.exp(-x))
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()


@pytest.mark.parametrize("target", [0.0, 1.0, 0.9, T])
def test_bce_on_logits_and_on_probabilities(target):
    loss, dlogits = losses.bce_with_logits(X, target)
    assert loss == pytest.approx(by_definition(X, target), rel=1e-13)
    p = sigmoid(X)
    same, dp = losses.bce(p, target)
    assert same == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(dp * p * (1 - p), dlogits, rtol=1e-12, atol=1e-16)


def test_softmax_cross_entropy_of_classes_and_of_probabilities():
    logits, classes = rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(5), classes]).mean()
    loss, dlogits = losses.softmax_cross_entropy(logits, classes)
    assert loss == pytest.approx(expected, rel=1e-13)
    soft, same = losses.softmax_cross_entropy(logits, np.eye(3)[classes])
    assert soft == loss
    np.testing.assert_array_equal(dlogits, same)
    soft = rng.dirichlet(np.ones(3), 5) * 0.9
    check = check_loss(lambda x: losses.softmax_cross_entropy(x, soft), logits, "soft labels")
    assert check.ok, check


def test_two_class_softmax_is_the_logistic_loss():
    two = np.concatenate([np.zeros_like(X), X], axis=1)
    loss, dlogits = losses.softmax_cross_entropy(two, np.ones(8, int))
    expected, expected_gradient = losses.bce_with_logits(X, 1.0)
    assert loss == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(dlogits[:, 1:], expected_gradient, rtol=1e-12)


def test_scores():
    s = np.array([[-2.0], [0.5], [3.0]])
    loss, ds = losses.wasserstein(s, -1)
    assert loss == -0.5
    np.testing.assert_array_equal(ds, np.full((3, 1), -1 / 3))
    loss, ds = losses.hinge(s, -1)
    assert loss == pytest.approx((3 + 0.5) / 3)
    np.testing.assert_allclose(ds[:, 0], [-1 / 3, -1 / 3, 0])
    loss, ds = losses.least_squares(s, 1.0)
    assert loss == pytest.approx((9 + 0.25 + 4) / 6)
    np.testing.assert_allclose(ds, (s - 1) / 3)


def test_generator_forms():
    saturating, d_saturating = losses.minimax(X)
    assert saturating == pytest.approx(np.log(1 - sigmoid(X)).mean())
    loss, dlogits = losses.non_saturating(X)
    assert loss == pytest.approx(-np.log(sigmoid(X)).mean())
    assert (d_saturating < 0).all() and (dlogits < 0).all(), "both push the logits up"
    # Where D is sure of a fake, only the non-saturating form still teaches.
    sure = np.full((1, 1), -20.0)
    assert abs(losses.minimax(sure)[1][0, 0]) < 1e-8
    assert abs(losses.non_saturating(sure)[1][0, 0]) > 0.99


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: losses.bce_with_logits(x, 1.0),
        lambda x: losses.bce_with_logits(x, 0.3),
        lambda x: losses.bce(sigmoid(x), 1.0),
        lambda x: losses.softmax_cross_entropy(np.hstack([x, -x]), np.zeros(len(x), int)),
        losses.non_saturating,
        losses.minimax,
        lambda x: losses.hinge(x, 1),
        lambda x: losses.wasserstein(x, 1),
    ],
)
def test_finite_in_float32_at_extreme_logits(loss):
    value, gradient = loss(EXTREME)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert value.dtype == gradient.dtype == np.float32


def test_no_cancellation_in_the_tails():
    """sigmoid(x) - 1 is exp(-x) to full precision, where the subtraction gives 0."""
    _, dlogits = losses.bce_with_logits(np.array([[40.0]], "float32"), 1.0)
    assert dlogits[0, 0] == pytest.approx(-math.exp(-40), rel=1e-5, abs=0)
    assert sigmoid(np.float64(-300)) == pytest.approx(math.exp(-300), rel=1e-12, abs=0)
    assert softplus(np.float64(-300)) == pytest.approx(math.exp(-300), rel=1e-12, abs=0)
    assert softplus(np.float64(1e4)) == 1e4
    np.testing.assert_allclose(log_softmax(np.array([[1e4, 0.0]])), [[0.0, -1e4]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.bce_with_logits(X, T[:, 0]),
        lambda: losses.bce(sigmoid(X), T[:4]),
        lambda: losses.least_squares(X, T.T),
        lambda: losses.softmax_cross_entropy(X, T[:, 0]),
        lambda: losses.softmax_cross_entropy(X[:, 0], np.zeros(8, int)),
    ],
)
def test_targets_that_would_broadcast_are_refused(call):
    with pytest.raises(ValueError, match="shape|needs logits"):
        call()


@pytest.mark.host
@pytest.mark.parametrize("number", [3, -1])
def test_a_class_that_is_not_there_is_refused(number):
    with pytest.raises(ValueError, match=f"class {number} is not one of 3"):
        losses.softmax_cross_entropy(X.reshape(-1, 1)[:2] + np.zeros(3), np.array([0, number]))


def test_on_a_gpu_a_class_that_is_not_there_shows_in_the_loss(gpu):
    logits, classes = gpu.asarray(np.zeros((2, 3), "float32")), gpu.asarray(np.array([0, 7]))
    assert math.isnan(losses.softmax_cross_entropy(logits, classes)[0])


@pytest.mark.parametrize("loss", [
    losses.wasserstein, losses.hinge, losses.bce_with_logits, losses.bce, losses.least_squares,
])  # fmt: skip
def test_an_empty_batch_has_no_mean(loss):
    with pytest.raises(ValueError, match=r"scores of shape \(0, 1\) have none"):
        loss(X[:0], 1)


@pytest.mark.parametrize("call", [
    lambda: losses.bce_with_logits([[1.0]], 1.0),
    lambda: losses.bce_with_logits(X, X.tolist()),
    lambda: losses.softmax_cross_entropy(X.tolist(), np.zeros(8, int)),
    lambda: losses.softmax_cross_entropy(X, [0] * 8),
    lambda: losses.wasserstein([1.0], 1),
])  # fmt: skip
def test_lists_are_no_arrays(call):
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
        call()


def test_far_tails():
    """Where a difference would leave nothing, or infinity less infinity."""
    loss, _ = losses.non_saturating(np.array([[20.0]], "float32"))
    assert loss == pytest.approx(math.exp(-20), rel=1e-6)
    infinite = np.array([[np.inf], [-np.inf]])
    loss, gradient = losses.hinge(infinite, 1)
    assert loss == math.inf
    np.testing.assert_array_equal(gradient, [[0.5], [0.0]])
    loss, gradient = losses.softmax_cross_entropy(np.array([[0.0, -np.inf]]), np.array([0]))
    assert loss == 0
    np.testing.assert_array_equal(gradient, [[0.0, 0.0]])


def test_a_numpy_scalar_target_does_not_change_the_dtype():
    loss, dlogits = losses.bce_with_logits(X.astype("float32"), np.float64(0.9))
    assert loss.dtype == dlogits.dtype == np.float32


def test_labels_soft_noisy_flipped():
    scores = np.zeros((10_000, 1), "float32")
    np.testing.assert_array_equal(losses.labels(scores, 0.9), np.full_like(scores, 0.9))
    noisy = losses.labels(scores, 0.9, 1.1, step=3)
    assert noisy.dtype == np.float32 and 0.9 <= noisy.min() < noisy.max() < 1.1
    np.testing.assert_array_equal(noisy, losses.labels(scores, 0.9, 1.1, step=3))
    assert (noisy != losses.labels(scores, 0.9, 1.1, step=4)).any()
    flipped = losses.labels(scores, 1.0, flip=0.05, step=3)
    assert set(np.unique(flipped)) == {0.0, 1.0}
    assert abs((flipped == 0).mean() - 0.05) < 0.01


@pytest.mark.parametrize("settings", [dict(high=1.1), dict(flip=0.1)])
def test_without_a_step_every_call_draws_new_labels(settings):
    scores = np.zeros((200, 1))
    one, other = (losses.labels(scores, 0.9, **settings) for _ in range(2))
    assert (one != other).any()
