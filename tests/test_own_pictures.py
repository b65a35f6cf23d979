"""The example for any pictures: class folders, sizes, losses, results, and what is refused."""

import itertools

import numpy as np
import parity
import pytest
from helpers import assert_same_results, run
from PIL import Image
from test_spectral_norm import settle
from test_wgan_examples import Recorder, assert_gradients, smooth

import minigan as mg
from minigan.__main__ import main as tools
from minigan.condition import one_hot

SMALL = ["--batch-size", 4, "--width", 0.06, "--steps", 5, "--size", "16x21"]  # 3 steps an epoch
KINDS = ("cat", "horse")


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path, coarse_plots):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path):
    """14 photographs of several sizes in two class folders."""
    rng, sizes = np.random.default_rng(0), itertools.cycle([(40, 60), (33, 25), (80, 80)])
    for kind in KINDS:
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number, (width, height) in zip(range(7), sizes):
            pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    return tmp_path / "photos"


def train(*words):
    return run(parity.example("own_pictures").main, *SMALL, *words)


RUNS = [
    ["--loss", "bce", "--norm", "batch", "--channels", 1],
    ["--loss", "hinge", "--channels", 4],
    ["--loss", "wgan-gp", "--norm", "spectral"],
    ["--loss", "wgan-gp", "--d-steps", 2, "--upsample", "nearest"],
    ["--loss", "r1", "--average", 0],
    ["--loss", "r1", "--shift", 0.2],
]


def test_a_class_that_has_another_name_now_is_refused(photos, tmp_path, capsys):
    """The pictures and their order are the same."""
    assert train("--data", photos, "--out", "run", "--steps", 2) == 0
    before = (tmp_path / "run" / "checkpoint.npz").read_bytes()
    (photos / "horse").rename(photos / "pony")
    assert train("--data", photos, "--out", "run", "--resume", "--steps", 3) == 2
    assert "classes is ['cat', 'horse'] there, ['cat', 'pony'] here" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize("words", RUNS, ids=lambda words: " ".join(map(str, words)))
def test_class_folders_to_a_sheet_by_name(words, photos, tmp_path, capsys):
    """And a resume is the uninterrupted run, with u of every spectral normalisation."""
    assert train("--data", photos, "--out", "whole", *words) == 0
    assert "--label horse" in capsys.readouterr().out
    assert train("--data", photos, "--out", "parts", *words, "--steps", 2) == 0
    assert train("--data", photos, "--out", "parts", *words, "--resume") == 0
    assert_same_results(tmp_path / "parts", tmp_path / "whole")

    for label in (*KINDS, "1"):
        sample = ("sample", "whole/checkpoint.npz", "--label", label, "--count", 3)
        assert run(tools, *sample, "--out", f"{label}.npy") == 0
    cat, horse, one = (np.load(tmp_path / f"{label}.npy") for label in ("cat", "horse", "1"))
    channels = words[words.index("--channels") + 1] if "--channels" in words else 3
    assert cat.shape == (3, 16, 21, channels)
    np.testing.assert_array_equal(horse, one)
    assert (cat != horse).any()
    assert run(tools, *sample[:3], "dog", "--out", "dog.npy") == 2
    assert "this generator knows cat, horse" in capsys.readouterr().err


def test_a_class_of_which_nothing_is_left(photos, tmp_path, capsys):
    assert train("--data", photos, "--limit", 1, "--steps", 1, "--batch-size", 1) == 0
    assert "no images of horse: what is drawn by this name is chance" in capsys.readouterr().err


def test_pictures_of_one_kind(photos, tmp_path, capsys):
    assert train("--data", photos / "cat", "--out", "run") == 0
    assert "--label" not in capsys.readouterr().out
    networks = mg.load(tmp_path / "run" / "checkpoint.npz")
    assert networks["generator"].output_shape((64,)) == (16, 21, 3)
    assert networks["discriminator"].output_shape((16, 21, 3)) == (1,)
    assert run(tools, "sample", "run/checkpoint.npz", "--label", "cat", "--out", "x.png") == 2
    assert "draws pictures of one kind" in capsys.readouterr().err


@pytest.mark.parametrize("loss, columns", [
    ("r1", "d_loss,penalty,d_real,d_fake,g_loss,norm_dfake"),
    ("bce", "d_loss,d_real,d_fake,g_loss,norm_dfake"),
    ("wgan-gp", "d_loss,penalty,g_loss,norm_dfake"),
    ("hinge", "d_loss,g_loss,norm_dfake"),
])  # fmt: skip
def test_what_is_recorded(loss, columns, tmp_path):
    assert train("--limit", 4, "--steps", 1, "--loss", loss, "--out", "run") == 0
    head = (tmp_path / "run" / "history.csv").read_text().splitlines()[0]
    assert head.startswith(f"step,epoch,{columns}")


def test_without_data_it_draws_what_is_built_in(tmp_path):
    assert train("--limit", 14, "--out", "run") == 0
    with Image.open(tmp_path / "run" / "samples" / "epoch_002.png") as sheet:
        assert sheet.mode == "RGB"


def test_a_summary(photos, capsys, tmp_path):
    assert train("--data", photos, "--summary", "--size", "96x64", "--width", 1) == 0
    printed = capsys.readouterr().out
    assert "96 x 64 x 3" in printed and "Dense(6144, 2)" in printed
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("words, message", [
    (["--size", "15"], "'15' is not a side or HEIGHTxWIDTH, as 64 or 96x64, of 16 to 256 pixels"),
    (["--size", "64x"], "'64x' is not a side"),
    (["--size", "64x64x3"], "'64x64x3' is not a side"),
    (["--size", "big"], "'big' is not a side"),
    (["--channels", "2"], "invalid choice: 2"),
    (["--loss", "gan"], "invalid choice: 'gan'"),
])  # fmt: skip
def test_mistakes_are_named(words, message, capsys):
    assert train(*words) == 2
    assert message in capsys.readouterr().err


# The steps' gradients are the derivatives of the losses that they report.


def build(loss, classes):
    module = parity.example("own_pictures")
    options = parity.example_options(
        dtype="float64", width=0.06, size="16x21", channels=3, upsample="transposed", loss=loss,
        **module.LOSSES[loss],
    )  # fmt: skip
    G, D = module.networks(options, classes)
    return module, options, smooth(G), smooth(D)


@pytest.fixture(params=[0, 3], ids=["one kind", "three classes"])
def inputs(request):
    """(classes, code, real, z)."""
    rng, classes = np.random.default_rng(2), request.param
    code = one_hot(np.array([2, 0, 1, 2]), 3, dtype="float64") if classes else None
    return classes, code, rng.uniform(-1, 1, (4, 16, 21, 3)), rng.standard_normal((4, 64))


@pytest.mark.parametrize("loss", ["bce", "hinge", "wgan-gp", "r1"])
def test_the_step_of_d(loss, inputs):
    classes, code, real, z = inputs
    module, options, G, D = build(loss, classes)
    for layer in D.layers:
        if isinstance(layer, mg.SpectralNorm):
            settle(layer)
    buffers, opt, epsilon = D.buffers.copy(), Recorder(), dict(seed=0, where="epsilon", step=0)

    def value():
        D.buffers = buffers
        return module.d_step(G, D, opt, real, code, z, options, epsilon)["d_loss"]

    value()
    assert opt.steps == 1 and not G.grads.any()
    assert_gradients(D, value)


@pytest.mark.parametrize("loss", ["bce", "hinge"])
def test_the_step_of_g(loss, inputs):
    classes, code, real, z = inputs
    module, options, G, D = build(loss, classes)
    buffers, opt = D.buffers.copy(), Recorder()

    def value():
        D.buffers = buffers
        return module.g_step(G, D, opt, code, z, options)["g_loss"]

    value()
    assert opt.steps == 1 and not D.grads.any()
    assert_gradients(G, value)


@pytest.mark.parametrize("loss, scores, d, g", [
    ("hinge", [0.5, -3.0], (0.5 + 4.0) / 2 + (1.5 + 0.0) / 2, 1.25),
    ("wgan-gp", [0.5, -3.0], 0.0, 1.25),
    ("bce", [0.0, 0.0], 2 * np.log(2), np.log(2)),
    ("r1", [0.0, 0.0], 2 * np.log(2), np.log(2)),
])  # fmt: skip
def test_losses_by_hand(loss, scores, d, g):
    """Of the same two scores for real and for generated images."""
    module, x = parity.example("own_pictures"), np.array(scores)[:, None]
    assert sum(module.d_loss(x, kind, loss)[0] for kind in (True, False)) == pytest.approx(d)
    assert module.g_loss(x, loss)[0] == pytest.approx(g)
