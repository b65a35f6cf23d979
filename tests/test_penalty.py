"""Gradient penalties: by hand, by numeric derivative, and by first-order passes alone."""

import math
import types
import warnings

import numpy as np
import parity
import pytest

import minigan as mg
from minigan import penalty
from minigan.condition import join, one_hot
from minigan.gradcheck import numeric_errors
from minigan.kernels import cpu

RNG = np.random.default_rng(7)
TOLERANCE = 1e-6
ADDRESS = dict(seed=5, where="penalty", step=3)

REAL, FAKE = RNG.standard_normal((2, 5, 6))
REAL_IMAGES, FAKE_IMAGES = RNG.standard_normal((2, 4, 4, 4, 2))
CODE = one_hot(np.array([1, 0, 2, 1]), 3, dtype="float64")


# Critics with every kind of layer.  `lively` weights keep slopes away from 0 and 1.


def lively(*layers, dtype="float64"):
    critic = mg.Sequential(layers, name="critic", dtype=dtype)
    rng = np.random.default_rng(critic.param_count)
    critic.params += 0.3 * rng.standard_normal(critic.params.shape)
    critic.buffers += rng.uniform(0, 0.5, critic.buffers.shape)
    return critic


def make_steep(critic):
    """Slopes well above 1, where the one-sided penalty has something to punish."""
    last = [layer for layer in critic.layers if layer.param_count][-1]
    last.weight *= 20


def piecewise_linear(inputs=2, dtype="float64"):
    return lively(
        mg.Conv2d(inputs, 5, 4, stride=2), mg.LeakyReLU(0.2), mg.Dropout(0.3),
        mg.Conv2d(5, 1, 2, padding="valid"), mg.Flatten(), dtype=dtype,
    )  # fmt: skip


def smooth_vectors(dtype="float64"):
    return lively(mg.Dense(6, 7), mg.Tanh(), mg.Dense(7, 5), mg.Sigmoid(), mg.Dense(5, 1),
                  dtype=dtype)  # fmt: skip


CRITICS = {
    "dense, leaky": lambda: lively(
        mg.Dense(6, 7), mg.LeakyReLU(0.2), mg.Dense(7, 5), mg.ReLU(), mg.Dense(5, 1)
    ),
    "dense, smooth": smooth_vectors,
    "dense, normalised": lambda: lively(
        mg.Dense(6, 7), mg.LayerNorm(7), mg.LeakyReLU(0.2), mg.Dropout(0.3), mg.Dense(7, 1)
    ),
    "dense, batch": lambda: lively(mg.Dense(6, 7), mg.BatchNorm(7), mg.Tanh(), mg.Dense(7, 1)),
    "conv, leaky": piecewise_linear,
    "conv, smooth, nested": lambda: lively(
        mg.Conv2d(2, 5, 4, stride=2),
        mg.Sequential([mg.LayerNorm((2, 2, 5)), mg.Tanh()], name="inner"),
        mg.Dropout(0.3), mg.Conv2d(5, 1, 2, padding="valid"), mg.Flatten(),
    ),
    "conv, batch": lambda: lively(
        mg.Conv2d(2, 5, 3, stride=2), mg.BatchNorm(5), mg.LeakyReLU(0.2),
        mg.Flatten(), mg.Dense(20, 1),
    ),
    "transposed and up": lambda: lively(
        mg.ConvTranspose2d(2, 3, 4, stride=2), mg.Sigmoid(), mg.UpSample2d(2),
        mg.Conv2d(3, 2, 4, stride=4), mg.Tanh(), mg.Flatten(), mg.Dense(32, 1),
    ),
}  # fmt: skip

PENALTIES = {
    "gradient penalty": lambda critic, real, fake, **mode: penalty.gradient_penalty(
        critic, real, fake, **ADDRESS, **mode
    ),
    "one-sided": lambda critic, real, fake, **mode: penalty.gradient_penalty(
        critic, real, fake, one_sided=True, **ADDRESS, **mode
    ),
    "R1": lambda critic, real, fake, **mode: penalty.r1(critic, real, **mode),
    "R2": lambda critic, real, fake, **mode: penalty.r2(critic, fake, weight=3.0, **mode),
}

# BatchNorm is allowed, and warned of: here it is what we want to see.
quiet = pytest.mark.filterwarnings("ignore:critic has BatchNorm")


def samples(name):
    return (REAL, FAKE) if name.startswith("dense") else (REAL_IMAGES, FAKE_IMAGES)


def check_numerically(critic, loss):
    """Assert that what a penalty adds to `grads` is the derivative of what it returns."""

    def again():
        critic.begin_step(0)  # the same dropout masks every time
        return loss()

    critic.zero_grad()
    assert again() > 0
    params = {name: param for name, param, _ in critic.named_tensors()}
    grads = {name: grad.copy() for name, _, grad in critic.named_tensors()}
    errors = numeric_errors(again, params, grads)
    assert max(errors.values()) <= TOLERANCE, errors
    return errors


# Check 1: numeric derivatives of the penalty at every parameter tensor.


@quiet
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("name", CRITICS)
def test_the_gradient_is_the_derivative_of_the_penalty(name, kind, train):
    critic, (real, fake) = CRITICS[name](), samples(name)
    if kind == "one-sided":
        make_steep(critic)
    check_numerically(critic, lambda: PENALTIES[kind](critic, real, fake, train=train))


@pytest.mark.parametrize("kind", PENALTIES)
def test_the_gradient_of_a_conditional_penalty(kind):
    critic = piecewise_linear(inputs=5)
    run = PENALTIES[kind]
    if kind == "one-sided":
        make_steep(critic)
    check_numerically(critic, lambda: run(critic, REAL_IMAGES, FAKE_IMAGES, condition=CODE))


# Check 2: an oracle of first-order passes alone.
#
# P moves with the weights through g = dD/dx, so dP = <v, dg> with v = dP/dg held fixed.  And
# <v, g> is the slope of D along v: its gradient at the weights is how fast the gradient of D
# itself changes when x moves along v.


@quiet
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", CRITICS)
def test_against_first_order_passes_alone(name, train, h=1e-5):
    critic, (real, _) = CRITICS[name](), samples(name)

    def first_order(x):
        """(dD/dx, dD/d(weights)) of the summed scores."""
        critic.begin_step(0)
        critic.zero_grad()
        scores, cache = critic.forward(x, train)
        dx = critic.backward(np.ones_like(scores), cache)
        return dx, critic.grads.copy()

    g, _ = first_order(real)
    v = 10 / len(real) * g  # of R1 with weight 10
    expected = (first_order(real + h * v)[1] - first_order(real - h * v)[1]) / (2 * h)

    critic.begin_step(0)
    critic.zero_grad()
    penalty.r1(critic, real, train=train)
    error = np.linalg.norm(critic.grads - expected) / np.linalg.norm(expected)
    assert error <= TOLERANCE, error


# By hand.


def linear(*weights, dtype="float64"):
    """D(x) = <w, x>, whose slope is w everywhere."""
    critic = mg.Sequential([mg.Dense(len(weights), 1, use_bias=False)], name="critic", dtype=dtype)
    critic.params[:] = weights
    return critic


def test_of_a_linear_critic():
    """|g| = |w| = 5: the penalty is 10 (5 - 1)^2, its gradient 20 (5 - 1) w / |w|."""
    critic, x = linear(3.0, 4.0), np.ones((7, 2))
    loss = penalty.gradient_penalty(critic, x, -x, step=0)
    assert loss.shape == ()
    assert loss == pytest.approx(160)
    np.testing.assert_allclose(critic.grads, [48, 64])
    critic.zero_grad()
    assert penalty.r1(critic, x, weight=2.0) == pytest.approx(25)
    np.testing.assert_allclose(critic.grads, [6, 8])


def test_one_sided_forgives_gentle_slopes():
    x = np.ones((7, 2))
    gentle, steep = linear(0.3, 0.4), linear(3.0, 4.0)
    assert penalty.gradient_penalty(gentle, x, -x, step=0) == pytest.approx(2.5)
    gentle.zero_grad()
    assert penalty.gradient_penalty(gentle, x, -x, one_sided=True, step=0) == 0
    assert not gentle.grads.any()
    assert penalty.gradient_penalty(steep, x, -x, one_sided=True, step=0) == pytest.approx(160)


def test_each_sample_has_its_own_norm():
    """D(x) = x^2 / 2 in effect: the slope at x is x, so R1 and the penalty are known."""

    class HalfSquare(mg.Layer):
        def forward(self, x, train=True):
            return (x * x).sum(axis=(1, 2, 3))[:, None] / 2, x

        def backward(self, dy, cache, params=True, inputs=True):
            return dy[:, :, None, None] * cache

        def double_backward(self, dx_bar, dy, cache):
            return (dx_bar * cache).sum(axis=(1, 2, 3))[:, None], dy[:, :, None, None] * dx_bar

    critic = mg.Sequential([HalfSquare()], name="critic", dtype="float64")
    x = REAL_IMAGES * np.array([0.1, 1.0, 2.0, 3.0])[:, None, None, None]
    norms = np.sqrt((x**2).sum(axis=(1, 2, 3)))
    loss = penalty.gradient_penalty(critic, x, x, weight=2.0, step=0)  # all interpolates are x
    assert loss == pytest.approx(2 * ((norms - 1) ** 2).mean())
    assert penalty.r1(critic, x, weight=2.0) == pytest.approx((norms**2).mean())


class Spy(mg.Sequential):
    """A critic that remembers its inputs."""

    def forward(self, x, train=True):
        self.seen = [*getattr(self, "seen", []), x]
        return super().forward(x, train)


@pytest.mark.host
def test_interpolates_have_one_epsilon_a_sample():
    critic = Spy([mg.Flatten(), mg.Dense(4, 1)], dtype="float64")
    zeros, ones = np.zeros((500, 2, 2)), np.ones((500, 2, 2))
    for address in (ADDRESS, ADDRESS, ADDRESS | dict(step=4), ADDRESS | dict(where="other")):
        penalty.gradient_penalty(critic, ones, zeros, **address)
    first, same, other_step, other_place = critic.seen
    epsilon = first[:, 0, 0]
    assert (first == epsilon[:, None, None]).all()
    assert len(set(epsilon)) == 500 and epsilon.min() >= 0 and epsilon.max() < 1
    assert abs(epsilon.mean() - 0.5) < 0.05 and abs(epsilon.std() - 12**-0.5) < 0.02
    np.testing.assert_array_equal(first, same)
    assert (first != other_step).any() and (first != other_place).any()
    # epsilon = 1 is the real one.
    penalty.gradient_penalty(critic, zeros, ones, **ADDRESS)
    np.testing.assert_allclose(critic.seen[-1], 1 - first)


@pytest.mark.host
def test_conditions_are_neither_interpolated_nor_in_the_norm():
    critic = Spy([mg.Flatten(), mg.Dense(2 * 2 * 5, 1)], dtype="float64")
    critic.params += 1
    real, fake = REAL_IMAGES[:, :2, :2], FAKE_IMAGES[:, :2, :2]
    loss = penalty.gradient_penalty(critic, real, fake, condition=CODE, step=0)
    np.testing.assert_array_equal(critic.seen[0][..., 2:], join(real, CODE)[..., 2:])
    weights = critic.layers[1].weight.reshape(2, 2, 5)
    images = np.linalg.norm(weights[..., :2])
    assert loss == pytest.approx(10 * (images - 1) ** 2)
    gradient = critic.layers[1].weight_grad.reshape(2, 2, 5)
    assert gradient[..., :2].all() and not gradient[..., 2:].any()


# Care for numbers, arrays and modes.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", PENALTIES)
def test_finite_where_the_slope_is_zero(kind, dtype):
    """A critic that starts at zero has no slope; the norm has no derivative there."""
    critic = piecewise_linear(dtype=dtype)
    critic.layers[-2].weight[...] = 0
    real, fake = REAL_IMAGES.astype(dtype), FAKE_IMAGES.astype(dtype)
    loss = PENALTIES[kind](critic, real, fake)
    assert loss == pytest.approx(10 if kind == "gradient penalty" else 0, abs=1e-4)
    assert np.isfinite(critic.grads).all()


@pytest.mark.parametrize("kind", PENALTIES)
def test_gradients_accumulate_and_nothing_else_is_written(kind):
    critic, run = smooth_vectors(), PENALTIES[kind]
    make_steep(critic)
    real, fake = REAL.copy(), FAKE.copy()
    real.flags.writeable = fake.flags.writeable = critic.params.flags.writeable = False
    run(critic, real, fake)
    once = critic.grads.copy()
    run(critic, real, fake)
    np.testing.assert_allclose(critic.grads, 2 * once)
    assert once.any()


@pytest.mark.parametrize("kind", PENALTIES)
def test_the_dtype_is_kept(kind):
    critic = smooth_vectors("float32")
    loss = PENALTIES[kind](critic, REAL.astype("float32"), FAKE.astype("float32"))
    assert loss.dtype == critic.grads.dtype == np.float32


def test_real_and_fake_must_pair():
    with pytest.raises(ValueError, match=r"\(5, 6\).*\(1, 6\)"):
        penalty.gradient_penalty(smooth_vectors(), REAL, FAKE[:1], step=0)


def test_without_a_step_every_call_draws_new_epsilons():
    critic = smooth_vectors()
    assert penalty.gradient_penalty(critic, REAL, FAKE) != penalty.gradient_penalty(
        critic, REAL, FAKE
    )


@pytest.mark.parametrize("kind", PENALTIES)
def test_a_critic_gives_one_score_a_sample(kind):
    critic = lively(mg.Dense(6, 2))
    with pytest.raises(ValueError, match=r"scores \(5, 2\) for 5 samples"):
        PENALTIES[kind](critic, REAL, FAKE)
    assert not critic.grads.any()


@pytest.mark.parametrize("kind", PENALTIES)
def test_an_empty_batch_has_no_penalty(kind):
    with pytest.raises(ValueError, match=r"\(0, 6\) has none"):
        PENALTIES[kind](smooth_vectors(), REAL[:0], FAKE[:0])


@pytest.mark.host
@pytest.mark.parametrize("kind", PENALTIES)
def test_batchnorm_is_warned_of_once(kind):
    inner = mg.Sequential([mg.BatchNorm(7)])
    critic = mg.Sequential([mg.Dense(6, 7), inner, mg.Dense(7, 1)], name="critic", dtype="float64")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            PENALTIES[kind](critic, REAL, FAKE)
    (warning,) = caught
    assert "each score depends on the whole batch" in str(warning.message)
    assert warning.filename == __file__
    PENALTIES[kind](critic, REAL, FAKE, train=False)  # fixed statistics: nothing to warn of


def test_clip_weights():
    critic = linear(-3.0, 0.005, 0.2)
    params = critic.params
    mg.penalty.clip_weights(critic, 0.01)
    np.testing.assert_array_equal(critic.params, [-0.01, 0.005, 0.01])
    assert critic.params is params and (critic.layers[0].weight[:, 0] == params).all()
    for limit in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            penalty.clip_weights(critic, limit)


def test_on_the_device(gpu, traffic):
    """Same numbers as on NumPy; only the random epsilon is uploaded, and nothing waits."""
    here = smooth_vectors()
    there = here.clone().to("gpu")
    arrays = [gpu.asarray(array) for array in (REAL, FAKE)]
    for kind, run in PENALTIES.items():
        here.zero_grad()
        there.zero_grad()
        traffic.clear()
        loss = run(there, *arrays)
        assert traffic in ([], ["upload"]), traffic
        np.testing.assert_allclose(loss.get(), run(here, REAL, FAKE), err_msg=kind)
        np.testing.assert_allclose(there.grads.get(), here.grads, err_msg=kind)
    penalty.clip_weights(there, 0.1)
    penalty.clip_weights(here, 0.1)
    np.testing.assert_array_equal(there.params.get(), here.params)


# The work.


@pytest.fixture
def work(monkeypatch):
    """A list that fills with (which of the conv triple or its pairs, its multiplications)."""
    done = []

    def counted(name, function):
        maps = len(name.split("_")) - 1 or 1  # two for conv_y_dw and conv_dx_dw

        def run(*arrays):
            result = function(*arrays)
            a, *others, geometry = arrays
            weight = result if name == "conv_dw" else others[-1]  # meets every output pixel once
            done.append((name, maps * len(a) * math.prod(geometry.output) * weight.size))
            return result

        return run

    for name in ("conv", "conv_dx", "conv_dw", "conv_y_dw", "conv_dx_dw"):
        monkeypatch.setattr(cpu, name, counted(name, getattr(cpu, name)))
    return done


@pytest.mark.host
def test_a_penalty_costs_less_than_a_plain_step(work):
    """One forward, one input gradient, and one way up, a forward with weight gradients.

    All layers of M7's critic are linear or piecewise linear, so that there is no second
    sweep.  A plain step runs twice as many images forward and back.
    """
    options = types.SimpleNamespace(seed=0, dtype="float32", width=1 / 8)
    critic = parity.example("wgan_gp").critic(options)
    convs = sum(isinstance(layer, mg.Conv2d) for layer in critic.layers)
    real, fake = RNG.standard_normal((2, 2, 64, 64, 3), dtype=np.float32)

    penalty.gradient_penalty(critic, real, fake, step=0)
    kinds = [name for name, _ in work]
    assert kinds == ["conv"] * convs + ["conv_dx"] * convs + ["conv_y_dw"] * convs
    of_penalty = sum(count for _, count in work)

    work.clear()
    scores, cache = critic.forward(np.concatenate([real, fake]))
    critic.backward(np.ones_like(scores), cache, need_dx=False)
    of_step = sum(count for _, count in work)
    assert 0.6 < of_penalty / of_step < 0.75
