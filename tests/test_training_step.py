"""The whole training step of examples/mnist_gan.py against numeric derivatives.

The example's own `train_step` runs with narrow networks and with optimizers that record
the gradients instead of following them.  The same call gives the losses, so moving one
parameter tensor at a time says what each gradient must be: D's step on real and
generated images, and G's step *through* D, whose gradient no layer's check sees.
"""

import types

import numpy as np
import parity
import pytest

import minigan as mg
from minigan import losses, training
from minigan.__main__ import main as command_line
from minigan.condition import one_hot
from minigan.gradcheck import numeric_errors

BATCH, LATENT, SHAPE = 6, 4, (3, 2, 1)  # images a batch, numbers in z, shape of an image
# Differences of float64 losses are themselves off by 8e-8, and by more where a GPU adds up.
TOLERANCE = 5e-7

# D's loss (scores, 1.0 for real and 0.0 for generated) and G's loss (scores).
LOSSES = {
    "non-saturating": (losses.bce_with_logits, losses.non_saturating),
    "minimax": (losses.bce_with_logits, losses.minimax),
    "hinge": (
        lambda scores, real: losses.hinge(scores, 1 - 2 * real),
        lambda scores: losses.wasserstein(scores, -1),
    ),
    "wasserstein": (
        lambda scores, real: losses.wasserstein(scores, 1 - 2 * real),
        lambda scores: losses.wasserstein(scores, -1),
    ),
    "least squares": (losses.least_squares, lambda scores: losses.least_squares(scores, 1.0)),
}


@pytest.fixture
def example():
    """examples/mnist_gan.py as a fresh module."""
    return parity.example("mnist_gan")


class Evaluated(mg.Sequential):
    """A network that runs in evaluation mode whatever the training step asks for."""

    def forward(self, x, train=True):
        return super().forward(x, train=False)


def generator(kind=mg.Sequential, dtype="float64"):
    layers = [
        mg.Dense(LATENT, 5), mg.BatchNorm(5), mg.ReLU(),
        mg.Dense(5, 5), mg.BatchNorm(5), mg.Sigmoid(),
        mg.Dense(5, 6), mg.Tanh(), mg.Reshape(SHAPE),
    ]  # fmt: skip
    return lively(kind(layers, name="generator", seed=1, dtype=dtype))


def discriminator(kind=mg.Sequential, dtype="float64", drop=0.3):
    layers = [
        mg.Flatten(),
        mg.Dense(6, 7), mg.BatchNorm(7), mg.LeakyReLU(0.2), mg.Dropout(drop),
        mg.Dense(7, 5), mg.LayerNorm(5), mg.LeakyReLU(0.2), mg.Dropout(drop),
        mg.Dense(5, 1),
    ]  # fmt: skip
    return lively(kind(layers, name="discriminator", seed=2, dtype=dtype))


def lively(network):
    """Move all tensors off their initial 0 and 1, which hide a wrong factor or a lost sum."""
    rng = np.random.default_rng(network.param_count)
    network.params += 0.3 * rng.standard_normal(network.params.shape)
    network.buffers += rng.uniform(0, 0.5, network.buffers.shape)
    return network


def batch(dtype="float64"):
    """(real, z_d, z_g), as `train_step` takes them."""
    rng = np.random.default_rng(3)
    shapes = (BATCH, *SHAPE), (BATCH, LATENT), (BATCH, LATENT)
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


class Recorder:
    """In place of an optimizer: notes what the step left, then moves to prescribed parameters.

    Following the gradient would not do: G's loss would then depend on G by way of D's
    update too, which no training step differentiates.
    """

    def __init__(self, network, after=None):
        self.network = network
        self.after = network.params.copy() if after is None else after

    def step(self):
        self.grads = {name: grad.copy() for name, _, grad in self.network.named_tensors()}
        self.flat_grads = self.network.grads.copy()
        self.network.params[...] = self.after


class Step:
    """One training step of the example that can be taken again and again, bit for bit.

    at: the training step, for the masks of Dropout.
    """

    def __init__(self, example, G, D, at=0):
        self.example, self.G, self.D, self.at = example, G, D, at
        self.opt_g, self.opt_d = Recorder(G), Recorder(D, after=D.params * 0.9 - 0.02)
        self.inputs = batch()

    def __call__(self):
        before = self.D.params.copy()
        self.G.begin_step(self.at)
        self.D.begin_step(self.at)
        values = self.example.train_step(self.G, self.D, self.opt_g, self.opt_d, *self.inputs)
        self.D.params[...] = before
        return values

    def d_errors(self):
        """Errors of D's gradients, by tensor name."""
        return self._errors(self.D, self.opt_d, "d_loss")

    def g_errors(self):
        """Errors of G's gradients, by tensor name."""
        return self._errors(self.G, self.opt_g, "g_loss")

    def _errors(self, network, recorder, loss):
        self()
        tensors = {name: param for name, param, _ in network.named_tensors()}
        return numeric_errors(lambda: self()[loss], tensors, recorder.grads)


def assert_correct(errors):
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert errors and not wrong, f"relative errors above {TOLERANCE}: {wrong}"


MODES = {
    "both training": (mg.Sequential, mg.Sequential),
    "D evaluated": (mg.Sequential, Evaluated),
    "G evaluated": (Evaluated, mg.Sequential),
}


@pytest.mark.parametrize("mode", MODES)
class TestModes:
    def test_d_step(self, example, mode):
        G, D = MODES[mode]
        assert_correct(Step(example, generator(G), discriminator(D)).d_errors())

    def test_g_step(self, example, mode):
        G, D = MODES[mode]
        assert_correct(Step(example, generator(G), discriminator(D)).g_errors())


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "non-saturating"])
class TestLosses:
    """The losses that the example does not use, in its own training step."""

    @pytest.fixture(autouse=True)
    def other_losses(self, example, monkeypatch, loss):
        for_d, for_g = LOSSES[loss]
        monkeypatch.setattr(example, "bce_with_logits", for_d)
        monkeypatch.setattr(example, "non_saturating", for_g)

    def test_d_step(self, example, loss):
        assert_correct(Step(example, generator(), discriminator()).d_errors())

    def test_g_step(self, example, loss):
        assert_correct(Step(example, generator(), discriminator()).g_errors())


class TestTheStepOfTheLibrary:
    """`training.gan_step`, for those who write none."""

    @pytest.mark.parametrize("network", ["d", "g"])
    def test_gradients(self, network):
        library = types.SimpleNamespace(train_step=training.gan_step)
        step = Step(library, generator(), discriminator())
        assert_correct(step.d_errors() if network == "d" else step.g_errors())

    def test_with_labels_it_is_that_of_the_conditional_example(self):
        """Two steps, so that gradients could pile up."""
        example = parity.example("mnist_cgan")
        settings = types.SimpleNamespace(seed=1, dtype="float64", width=0.05)
        rng = np.random.default_rng(2)
        real, code = rng.uniform(-1, 1, (6, 28, 28, 1)), one_hot(np.arange(6), 10, dtype="float64")
        z_d, z_g = rng.standard_normal((2, 6, 64))
        results = []
        for step in (
            lambda *networks: example.train_step(*networks, real, code, z_d, z_g),
            lambda *networks: training.gan_step(*networks, real, z_d, z_g, code),
        ):
            G, D = example.generator(settings), example.discriminator(settings)
            parts = G, D, mg.Adam(G, 0.01), mg.Adam(D, 0.01)
            values = [step(*parts), step(*parts)][1]
            results.append((values, np.concatenate([G.params, G.buffers, D.params])))
        (expected, vector), (values, same) = results
        np.testing.assert_allclose(same, vector, rtol=1e-8, atol=1e-10)
        assert values.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(values[name], value, rtol=1e-8)


class TestAfterTraining:
    """The same after five real steps: moving averages, moments and masks have moved on."""

    @pytest.fixture
    def step(self, example):
        G, D = generator(), discriminator()
        opt_g, opt_d = mg.Adam(G, 0.01, b1=0.5), mg.Adam(D, 0.01, b1=0.5)
        for number in range(5):
            G.begin_step(number)
            D.begin_step(number)
            example.train_step(G, D, opt_g, opt_d, *batch())
        return Step(example, G, D, at=5)

    def test_d_step(self, step):
        assert_correct(step.d_errors())

    def test_g_step(self, step):
        assert_correct(step.g_errors())


class TestWhatAStepTouches:
    def test_g_step_leaves_d_alone(self, example):
        """Bit for bit: the gradients of D are those of its own step, the weights the updated."""
        G, D = generator(), discriminator()
        opt_d = Recorder(D, after=D.params + 1)
        example.train_step(G, D, Recorder(G), opt_d, *batch())
        assert D.params.tobytes() == opt_d.after.tobytes()
        assert D.grads.tobytes() == opt_d.flat_grads.tobytes()

    def test_d_step_leaves_g_alone(self, example):
        G, D = generator(), discriminator()
        params = G.params.copy()
        G.grads.fill(7.0)
        seen = []

        class Spy(Recorder):
            def step(self):
                seen.append((G.params.copy(), G.grads.copy()))
                super().step()

        example.train_step(G, D, Recorder(G), Spy(D), *batch())
        [(params_then, grads_then)] = seen
        assert params_then.tobytes() == params.tobytes()
        assert (grads_then == 7.0).all()

    def test_inputs_are_not_written(self, example):
        inputs = batch()
        before = [array.copy() for array in inputs]
        G, D = generator(), discriminator()
        example.train_step(G, D, mg.Adam(G, 0.01), mg.Adam(D, 0.01), *inputs)
        for array, copy in zip(inputs, before):
            assert array.tobytes() == copy.tobytes()

    def test_gradients_do_not_pile_up(self, example):
        """A second step from the same weights gives the same gradients: they start at zero."""
        step = Step(example, generator(), discriminator())
        step()
        first = step.opt_g.flat_grads, step.opt_d.flat_grads
        step()
        for before, after in zip(first, (step.opt_g.flat_grads, step.opt_d.flat_grads)):
            assert before.tobytes() == after.tobytes()

    def test_both_networks_learn(self, example):
        """Every tensor of D and of G moves."""
        G, D = generator(), discriminator()
        tensors = {
            f"{net.name} {name}": (param, param.copy())
            for net in (G, D)
            for name, param, _ in net.named_tensors()
        }
        example.train_step(G, D, mg.Adam(G, 0.01), mg.Adam(D, 0.01), *batch())
        still = [name for name, (now, before) in tensors.items() if (now == before).all()]
        assert not still, f"did not move: {still}"

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_the_dtype_is_kept(self, example, dtype):
        G, D = generator(dtype=dtype), discriminator(dtype=dtype)
        opt_g, opt_d = mg.Adam(G, 0.01), mg.Adam(D, 0.01)
        values = example.train_step(G, D, opt_g, opt_d, *batch(dtype))
        for name, value in values.items():
            assert value.dtype == dtype, f"{name} is {value.dtype}"
        for net, opt in ((G, opt_g), (D, opt_d)):
            for array in (net.params, net.grads, net.buffers, *opt.state.values()):
                assert array.dtype == dtype


def test_reported_values(example):
    """d_loss is the BCE on real plus that on generated images, in the formula's own words."""
    G, D = generator(), discriminator()
    step = Step(example, G, D)
    values = step()
    real, z_d, z_g = step.inputs

    def probability(net_input):
        logits, _ = D.forward(net_input)
        return 1 / (1 + np.exp(-logits))

    D.begin_step(0)
    p = probability(np.concatenate([real, G.forward(z_d)[0]]))
    d_loss = -np.log(p[:BATCH]).mean() - np.log(1 - p[BATCH:]).mean()
    assert values["d_loss"] == pytest.approx(d_loss, rel=1e-12)
    assert values["d_real"] == pytest.approx(p[:BATCH].mean(), rel=1e-12)
    assert values["d_fake"] == pytest.approx(p[BATCH:].mean(), rel=1e-12)

    D.params[...] = step.opt_d.after  # G's loss is the verdict of the updated D
    g_loss = -np.log(probability(G.forward(z_g)[0])).mean()
    assert values["g_loss"] == pytest.approx(g_loss, rel=1e-12)


class TestTheCheckCanFail:
    """Negative controls: small faults must show as errors far above the tolerance."""

    def test_a_loss_gradient_one_in_a_thousand_off(self, example, monkeypatch):
        def skewed(logits):
            loss, dlogits = losses.non_saturating(logits)
            return loss, dlogits * 1.001

        monkeypatch.setattr(example, "non_saturating", skewed)
        errors = Step(example, generator(), discriminator()).g_errors()
        assert min(error for name, error in errors.items() if "weight" in name) > 5e-4, errors

    def test_a_d_that_is_skipped(self, example):
        """The loss gradient fed straight into G, without D's backward."""

        class Skipped(mg.Sequential):
            def backward(self, dy, cache, params=True, need_dx=True):
                super().backward(dy, cache, params, need_dx)
                return np.broadcast_to(dy[:, :, None, None], (len(dy), *SHAPE))

        errors = Step(example, generator(), discriminator(Skipped)).g_errors()
        assert errors["6.dense.weight"] > 0.1, errors


class TestTheRunAroundIt:
    """What a step is given, and what is made of its result; `test_run.py` has the rest."""

    def test_every_z_is_new(self, gan, pictures, tmp_path):
        train_step, first_numbers = gan.train_step, []

        def watched(G, D, opt_g, opt_d, real, z_d, z_g):
            first_numbers.extend(float(z[0, 0]) for z in (z_d, z_g))
            return train_step(G, D, opt_g, opt_d, real, z_d, z_g)

        gan.train_step = watched
        gan.main(["--data", pictures, "--out", str(tmp_path / "out"), "--batch-size", "8",
                  "--steps", "7"])  # fmt: skip
        assert len(set(first_numbers)) == 14, first_numbers

    def test_a_sample_does_not_depend_on_the_others(self, gan, pictures, tmp_path):
        """With batch statistics it would."""
        out = tmp_path / "out"
        gan.main(["--data", pictures, "--out", str(out), "--batch-size", "8", "--steps", "3"])
        samples = []
        for count in (3, 5):
            file = tmp_path / f"{count}.npy"
            command_line(["sample", str(out / "checkpoint.npz"), "--count", str(count),
                          "--out", str(file)])  # fmt: skip
            samples.append(np.load(file))
        np.testing.assert_allclose(samples[0], samples[1][:3], rtol=1e-5, atol=1e-6)
