"""M7, M8 and the conditional GAN on digits: sizes, first numbers, gradients and runs."""

import types

import numpy as np
import parity
import pytest
from helpers import assert_same_results, run
from PIL import Image

import minigan as mg
from minigan.__main__ import main as tools
from minigan.condition import join, one_hot
from minigan.data import digits
from minigan.gradcheck import numeric_errors
from minigan.training import Latent, pictures
from minigan.training.checkpoint import Checkpoint

SMALL = ("--limit", "8", "--batch-size", "4", "--steps", "3", "--width", "0.03")
CODE = one_hot(np.array([0, 1, 1, 0]), 2, dtype="float64")


def options(**changes):
    defaults = dict(
        seed=0, dtype="float32", width=1.0, gp_weight=10.0, r1=None, clip=None, drift=1e-3
    )
    return types.SimpleNamespace(**defaults | changes)


def build(name, **changes):
    """(module, options, G, the other network) of an example."""
    module, settings = parity.example(name), options(**changes)
    judge = getattr(module, "critic", None) or module.discriminator
    return module, settings, module.generator(settings), judge(settings)


@pytest.mark.parametrize("name, g_params, g_moving, c_params", [
    ("wgan_gp", 3_806_083, 1_920, 2_764_737),
    ("cgan", 728_963, 896, 662_977),
    ("mnist_cgan", 268_705, 192, 440_161),
])  # fmt: skip
def test_parameter_counts(name, g_params, g_moving, c_params):
    _, _, G, C = build(name)
    assert (G.param_count, G.buffer_count) == (g_params, g_moving)
    assert (C.param_count, C.buffer_count) == (c_params, 0)


class Recorder:
    """In an optimizer's place: counts the steps and follows no gradient."""

    def __init__(self):
        self.steps = 0

    def step(self):
        self.steps += 1


@pytest.mark.parametrize("name, size", [("wgan_gp", 128), ("cgan", 32)])
def test_the_first_penalty_is_that_of_the_originals(name, size, batch=8):
    """Untrained critics have slopes near 0.1: the originals printed .7826 and .7684."""
    module, settings, G, C = build(name, drift=0.0)
    dataset = digits.load(size=64, channels=3, limit=batch)
    real = (dataset.images / 127.5 - 1).astype("float32")
    code = one_hot((dataset.attributes["Warm"] > 0).astype(int), 2)
    z = mg.random.normal((batch, size), seed=0, where="z")
    c_loss, c_wass, c_gp = module.critic_step(
        G,
        C,
        Recorder(),
        real,
        *labels(name, code),
        z,
        settings,
        dict(seed=0, where="epsilon", step=0),
    )
    assert 0.7 < c_gp < 0.9
    assert c_loss == pytest.approx(10 * c_gp + c_wass) and abs(c_wass) < 0.5


def labels(name, code):
    return () if name == "wgan_gp" else (code,)


# The steps' gradients are the derivatives of the losses that they report.


@pytest.mark.parametrize("name, changes", [
    ("wgan_gp", {}), ("wgan_gp", dict(r1=3.0)), ("cgan", {}),
    ("wgan_gp", dict(drift=100.0)), ("cgan", dict(drift=100.0)),  # scores are of size 0.1
])  # fmt: skip
def test_the_critics_step(name, changes):
    module, settings, G, C = build(name, dtype="float64", width=0.03, **changes)
    C = smooth(C)
    opt, real = Recorder(), np.random.default_rng(2).uniform(-1, 1, (4, 64, 64, 3))
    z = np.random.default_rng(3).standard_normal((4, 128 if name == "wgan_gp" else 32))
    epsilon = dict(seed=0, where="epsilon", step=0)

    def loss():
        C.begin_step(0)
        return module.critic_step(G, C, opt, real, *labels(name, CODE), z, settings, epsilon)[0]

    loss()
    assert opt.steps == 1 and not G.grads.any()
    assert_gradients(C, loss)


def smooth(network):
    """The network with Tanh for LeakyReLU: among ten thousand units there is always one so near
    its kink that a difference quotient finds it."""
    layers = [
        mg.Tanh() if isinstance(layer, mg.LeakyReLU) else layer.unbuilt()
        for layer in network.layers
    ]
    return type(network)(**network.config() | dict(layers=layers))


@pytest.mark.parametrize("name", ["wgan_gp", "cgan"])
def test_the_generators_step(name):
    module, _, G, C = build(name, dtype="float64", width=0.03)
    G, C, opt = smooth(G), smooth(C), Recorder()
    z = np.random.default_rng(3).standard_normal((4, 128 if name == "wgan_gp" else 32))

    def loss():
        C.begin_step(0)
        return module.generator_step(G, C, opt, *labels(name, CODE), z)[0]

    loss()
    assert opt.steps == 1 and not C.grads.any()
    assert_gradients(G, loss)


def test_the_steps_of_the_conditional_gan():
    module, _, G, D = build("mnist_cgan", dtype="float64", width=0.05)
    rng = np.random.default_rng(2)
    real, z_d, z_g = rng.uniform(-1, 1, (4, 28, 28, 1)), *rng.standard_normal((2, 4, 64))
    code = one_hot(np.array([7, 0, 3, 7]), 10, dtype="float64")

    def losses():
        D.begin_step(0)
        return module.train_step(G, D, Recorder(), Recorder(), real, code, z_d, z_g)

    losses()
    assert_gradients(D, lambda: losses()["d_loss"])
    assert_gradients(G, lambda: losses()["g_loss"])


@pytest.mark.host
def test_the_penalty_of_the_conditional_step_sees_the_labels():
    """A critic whose slope is 3 where the first plane is one and 5 where the second is: what the
    step reports is the mean of (3 - 1)^2 and (5 - 1)^2."""

    class SlopeByLabel(mg.Layer):
        def forward(self, x, train=True):
            slope = (x[:, :1, :1, 3:] * [3, 5]).sum(axis=-1, keepdims=True)
            return (x[:, 0, 0, 0] * slope[:, 0, 0, 0])[:, None], slope

        def backward(self, dy, cache, params=True, inputs=True):
            dx = np.zeros((len(dy), 2, 2, 5))
            dx[:, 0, 0, 0] = dy[:, 0] * cache[:, 0, 0, 0]
            return dx

        def double_backward(self, dx_bar, dy, cache):
            return dx_bar[:, 0, 0, :1] * cache[:, 0, 0], None

    module = parity.example("cgan")
    G = mg.Sequential([mg.Dense(34, 12), mg.Reshape((2, 2, 3))], dtype="float64")
    C = mg.Sequential([SlopeByLabel()], name="critic", dtype="float64")
    real, z = np.zeros((4, 2, 2, 3)), np.zeros((4, 32))
    c_gp = module.critic_step(G, C, Recorder(), real, CODE, z, options(), dict(seed=0))[2]
    assert c_gp == pytest.approx((2**2 + 4**2) / 2)


def assert_gradients(network, loss):
    params = {name: param for name, param, _ in network.named_tensors()}
    grads = {name: grad.copy() for name, _, grad in network.named_tensors()}
    errors = numeric_errors(loss, params, grads)
    assert max(errors.values()) <= 1e-6, errors


# Whole runs.


@pytest.fixture
def small(tmp_path, monkeypatch, coarse_plots):
    """A function that runs an example with small networks in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def train(name, *words, data="digits"):
        return run(parity.example(name).main, "--data", data, *SMALL, *words)

    return train


def columns(folder):
    return folder.joinpath("history.csv").read_text().splitlines()[0]


@pytest.mark.parametrize("words", [(), ("--r1", "5"), ("--critic-steps", "1")])
def test_wgan_gp_runs(small, tmp_path, words):
    assert small("wgan_gp", "--out", "run", *words) == 0
    assert columns(tmp_path / "run") == "step,epoch,c_loss,g_loss,c_wass,c_gp,norm_dfake"
    assert run(tools, "sample", "run/checkpoint.npz", "--count", "2", "--out", "two.npy") == 0
    images = np.load(tmp_path / "two.npy")
    assert images.shape == (2, 64, 64, 3) and np.abs(images).max() <= 1


def test_clipping_keeps_all_weights_small(small, tmp_path):
    assert small("wgan_gp", "--clip", "0.01", "--out", "run") == 0
    critic = mg.load(tmp_path / "run" / "checkpoint.npz")["critic"]
    assert np.abs(critic.params).max() == np.float32(0.01)


def test_one_regularizer_at_a_time(small, capsys):
    assert small("wgan_gp", "--clip", "0.01", "--r1", "10") == 2
    assert "not allowed with" in capsys.readouterr().err


def test_cgan_runs_on_built_in_digits(small, tmp_path, capsys):
    assert small("cgan", "--out", "run") == 0
    assert "attribute Warm: " in capsys.readouterr().err
    for label in ("Warm", "not_Warm", "1"):
        assert run(tools, "sample", "run/checkpoint.npz", "--label", label,
                   "--count", "2", "--out", f"{label}.npy") == 0  # fmt: skip
    warm, cold, one = (np.load(tmp_path / f"{label}.npy") for label in ("Warm", "not_Warm", "1"))
    np.testing.assert_array_equal(warm, one)
    assert (warm != cold).any()


def test_cgan_runs_on_a_folder_with_a_table(small, tmp_path, capsys):
    folder = tmp_path / "faces"
    folder.mkdir()
    rows = ["image_id,Blond_Hair,Smiling"]
    for i in range(9):
        pixels = np.full((70, 66, 3), 20 * i, np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{1 if i % 2 else -1},1")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    table = ("--attribute", "Blond_Hair")
    assert small("cgan", "--out", "run", *table, data=str(folder)) == 0
    printed = capsys.readouterr().err
    assert "8 pictures have a row; 0 pictures without a row are left out, 1 rows" in printed
    assert "4 pictures have it, 4 have not" in printed
    assert small("cgan", "--out", "other", "--attribute", "Bald", data=str(folder)) == 2
    assert "has no attribute 'Bald'; there are Blond_Hair, Smiling" in capsys.readouterr().err

    # The labels are part of what a run is resumed with.
    resume = ("--out", "run", "--resume", *table)
    assert small("cgan", *resume, data=str(folder)) == 0
    rows[1], rows[2] = "0.png,1,1", "1.png,-1,1"
    (tmp_path / "list.csv").write_text("\n".join(rows))
    assert small("cgan", *resume, data=str(folder)) == 2
    assert "but with other pixels or labels" in capsys.readouterr().err


class TestConditionalRuns:
    def test_sub_folders_are_classes_with_their_names(self, small, tmp_path, capsys):
        for number, name in enumerate(("horse", "car", "cat") * 3):
            (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
            pixels = np.full((9, 12, 3), 20 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
        assert small("mnist_cgan", "--out", "run", data=str(tmp_path / "pets")) == 0
        assert "3 classes by sub-folder: car (3), cat (3), horse (3)" in capsys.readouterr().err
        checkpoint = tmp_path / "run" / "checkpoint.npz"
        assert Checkpoint(checkpoint).run["latent"]["classes"] == ["car", "cat", "horse"]
        sample = ("sample", checkpoint, "--out", tmp_path / "x.png", "--label")
        assert run(tools, *sample, "cat") == 0
        capsys.readouterr()
        assert run(tools, *sample, "7") == 2
        assert "horse" in capsys.readouterr().err

    def test_resume_is_the_uninterrupted_run(self, small, tmp_path):
        assert small("mnist_cgan", "--out", "whole") == 0
        assert small("mnist_cgan", "--out", "parts", "--steps", "1") == 0
        config = (tmp_path / "parts" / "config.json").read_text()
        assert small("mnist_cgan", "--out", "parts", "--resume") == 0
        assert config != (tmp_path / "parts" / "config.json").read_text()
        assert_same_results(tmp_path / "parts", tmp_path / "whole")

    def test_one_sheet_a_label_from_the_same_z(self, small, tmp_path):
        assert small("mnist_cgan", "--out", "run") == 0
        path = tmp_path / "run" / "checkpoint.npz"
        G = mg.load(path)["generator"]
        z = Latent(64).draw(16, seed=0, where="samples")
        with Image.open(tmp_path / "run" / "samples" / "epoch_002.png") as picture:
            sheets = np.asarray(picture)
        side, gap = 4 * 28 + 5 * 2, 6
        for digit in range(10):
            code = one_hot(np.full(16, digit), 10)
            images = pictures.to_uint8(G.forward(join(z, code), train=False)[0], (-1, 1))
            row, column = divmod(digit, 4)
            top, left = (gap + index * (side + gap) for index in (row, column))
            np.testing.assert_array_equal(
                sheets[top : top + side, left : left + side],
                pictures.grid(images, scale=1)[..., 0],
            )

    def test_samples_by_label(self, small, tmp_path, capsys):
        small("mnist_cgan", "--out", "run")
        assert "--label 9" in capsys.readouterr().out

        def sample(*words):
            code = run(tools, "sample", "run/checkpoint.npz", "--out", "s.npy", *words)
            return np.load(tmp_path / "s.npy") if code == 0 else code

        G = mg.load(tmp_path / "run" / "checkpoint.npz")["generator"]
        z = Latent(64).draw(12, seed=5, where="sample")
        for label, expected in (("7", np.full(12, 7)), (None, np.arange(12) % 10)):
            words = () if label is None else ("--label", label)
            images, _ = G.forward(join(z, one_hot(expected, 10)), train=False)
            np.testing.assert_array_equal(sample("--seed", "5", "--count", "12", *words), images)
        assert sample("--label", "seven") == 2
        assert "this generator knows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in capsys.readouterr().err

    def test_a_generator_without_labels(self, small, capsys):
        small("wgan_gp", "--out", "run")
        assert run(tools, "sample", "run/checkpoint.npz", "--out", "s.png", "--label", "7") == 2
        assert "draws pictures of one kind" in capsys.readouterr().err

    @pytest.mark.host
    def test_batches_carry_their_labels(self, small, monkeypatch):
        """Every pair that a run yields is one of the data's."""
        module, pairs = parity.example("mnist_cgan"), []
        dataset = digits.load(limit=8)

        def remember(G, D, opt_g, opt_d, real, code, z_d, z_g):
            pairs.append((np.rint((real + 1) * 127.5), code))
            return dict(d_loss=0.0)

        monkeypatch.setattr(module, "train_step", remember)
        assert run(module.main, "--data", "digits", *SMALL, "--out", "run") == 0
        assert len(pairs) == 3
        for real, code in pairs:
            assert code.shape == (4, 10) and code.dtype == np.float32
            for image, row in zip(real, code):
                (index,) = np.flatnonzero((dataset.images == image).all(axis=(1, 2, 3)))
                assert row.argmax() == dataset.labels[index] and row.sum() == 1

    def test_data_without_labels(self, small, tmp_path, capsys):
        """IDX images alone, as `helpers.write_idx` makes them."""
        from helpers import write_idx

        folder = write_idx(tmp_path / "idx", 8)
        assert small("mnist_cgan", data=folder) == 2
        assert "wanted are labels 0 to 9, found none" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["wgan_gp", "cgan", "mnist_cgan"])
def test_summary(name, capsys):
    assert run(parity.example(name).main, "--summary") == 0
    assert "generator" in capsys.readouterr().out
