"""minigan anatomy: the traces, what the page says, and that it is true."""

import base64
import io
import json
import re

import numpy as np
import pytest
from helpers import run, words
from PIL import Image

import minigan as mg
from minigan.__main__ import main
from minigan.condition import ByClass
from minigan.data import digits
from minigan.kernels import plain
from minigan.study import anatomy, formulas, ink
from minigan.study.game import LOSSES, d_pass, g_pass, penalty
from minigan.study.subject import Subject
from minigan.training import Latent, checkpoint
from minigan.training.batches import Batches

pytestmark = pytest.mark.host
LEADS = (0, 2)


def subject(G, D, *, shape=(28, 28, 1), classes=(), latent=5, lr=1e-2):
    """A Subject of these layers on a few digits."""
    dataset = digits.load(limit=40, size=shape[0], channels=shape[2])
    latent = Latent(latent, classes=classes)
    batches = Batches(dataset, 6, seed=0, classes=len(classes), value_range=(-1, 1),
                      dtype="float32", xp=np)  # fmt: skip
    G, D = mg.Sequential(G, name="generator"), mg.Sequential(D, name="judge")
    return Subject("narrow", "facts", G, D, lr, "hinge", batches, latent)


def dense():
    """A fully connected GAN with a network within each network."""
    G = [mg.Sequential([mg.Dense(5, 6), mg.BatchNorm(6)]), mg.ReLU(), mg.Dense(6, 784), mg.Tanh(),
         mg.Reshape((28, 28, 1))]  # fmt: skip
    D = [mg.Flatten(), mg.Sequential([mg.Dense(784, 7), mg.LeakyReLU(0.2), mg.Dropout(0.3)]),
         mg.Dense(7, 1)]  # fmt: skip
    return subject(G, D)


def conditional():
    """A convolutional GAN whose networks read labels."""
    names = tuple("0123456789")
    G = [mg.Reshape((1, 1, 15)), mg.ConvTranspose2d(15, 5, 4, padding="valid"), mg.BatchNorm(5),
         mg.LeakyReLU(0.2), mg.ConvTranspose2d(5, 1, 7, stride=7), mg.Tanh()]  # fmt: skip
    D = [mg.Conv2d(11, 6, 4, stride=4), mg.LeakyReLU(0.2), mg.Conv2d(6, 1, 7, padding="valid"),
         mg.Flatten()]  # fmt: skip
    return subject(G, D, classes=names)


def by_class():
    """The same with a judge that has a score for each label."""
    given = conditional()
    layers = [mg.SpectralNorm(mg.Conv2d(1, 6, 4, stride=4)), mg.LeakyReLU(0.2), mg.Flatten(),
              mg.SpectralNorm(mg.Dense(294, 10))]  # fmt: skip
    given.D = ByClass(layers, classes=10, name="judge")
    return given


def two_logits():
    """A judge with a softmax of two."""
    D = [mg.Flatten(), mg.Dense(784, 2)]
    return subject([mg.Dense(5, 784), mg.Reshape((28, 28, 1))], D)


@pytest.mark.parametrize("kernels", ["plain", "fast"])
def test_forward_traces_every_layer_as_backward_does(kernels):
    inner = mg.Sequential([mg.Dense(5, 4), mg.Tanh()])
    net = mg.Sequential([mg.Dense(3, 5), inner, mg.Dense(4, 2)], kernels=kernels)
    x = np.random.default_rng(0).standard_normal((6, 3)).astype("f4")
    trace = ["rubbish"]
    y, cache = net.forward(x, trace=trace)
    first = net.layers[0].forward(x)[0]
    hidden = inner.layers[0].forward(first)[0]
    np.testing.assert_array_equal(trace[0], first)
    np.testing.assert_array_equal(trace[1][0], hidden)
    np.testing.assert_array_equal(trace[1][1], inner.layers[1].forward(hidden)[0])
    assert trace[2] is y and len(trace) == 3
    dy = []
    net.backward(np.ones_like(y), cache, trace=dy)
    assert [a.shape for a in anatomy._flat(dy)] == [a.shape for a in anatomy._flat(trace)]
    np.testing.assert_array_equal(net.forward(x)[0], y)


@pytest.mark.parametrize("make", [dense, conditional, two_logits])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_the_passes_are_derivatives(make, loss):
    """Of D's loss along D's weights, of G's along G's, by central differences."""
    given = make()
    real, code, z = (None if a is None else a.astype("f8") for a in given.batch(0))
    G, D = given.G.clone("float64"), given.D.clone("float64")
    fake = G.forward(z)[0]

    def d_loss():
        D.begin_step(0)
        return sum(d_pass(D, part, images, code).loss
                   for part, images in ((loss.real, real), (loss.fake, fake)))  # fmt: skip

    def g_loss():
        D.begin_step(0)
        return g_pass(G, D, loss, z, code).loss

    rng = np.random.default_rng(0)
    for network, value in ((D, d_loss), (G, g_loss)):
        D.zero_grad()
        value()
        v, before, h = rng.standard_normal(network.param_count), network.params.copy(), 1e-6
        slope = network.grads @ v
        network.params = before + h * v
        above = value()
        network.params = before - h * v
        numeric = (above - value()) / (2 * h)
        network.params = before
        np.testing.assert_allclose(numeric, slope, rtol=1e-5, atol=1e-7)


def test_a_penalty_is_wasserstein_s_and_needs_one_score_of_one_sample():
    wasserstein, hinge = LOSSES[4], LOSSES[2]
    for make, there in ((conditional, True), (two_logits, False)):
        given = make()
        real, code, z = given.batch(0)
        fake = given.G.forward(z)[0]
        assert (penalty(given.D, wasserstein, real, fake, code) is not None) is there
        assert penalty(given.D, hinge, real, fake, code) is None
    given.D = mg.Sequential([mg.Flatten(), mg.Dense(784, 3), mg.BatchNorm(3), mg.Dense(3, 1)])
    assert penalty(given.D, wasserstein, real, fake) is None


@pytest.mark.parametrize("make", [dense, conditional, by_class, two_logits])
def test_a_page_is_whole(make):
    given = make()
    weights = given.G.params.copy(), given.D.params.copy(), given.G.buffers.copy()
    content = anatomy.dissect(given, LEADS)
    now = given.G.params, given.D.params, given.G.buffers
    for before, after in zip(weights, now, strict=True):
        np.testing.assert_array_equal(before, after)
    leaves = {name: len(content["layers"][name]) for name in "GD"}
    assert len(content["states"]) == len(LOSSES) * len(LEADS)
    for state in content["states"].values():
        assert len(state["d"]["D"]) == len(state["g"]["D"]) == leaves["D"]
        assert len(state["g"]["G"]) == leaves["G"]
        for row in state["d"]["D"] + state["g"]["D"] + state["g"]["G"]:
            assert max(row[:2]) < len(content["pictures"])
        assert all(row[5] is None for row in state["g"]["D"])  # frozen
        assert any(row[5] for row in state["d"]["D"])
    states = content["states"]
    ahead = states["hinge/2"]["d"]["scores"]
    assert states["hinge/0"]["d"]["scores"] == states["minimax/0"]["d"]["scores"] != ahead
    for layers in content["layers"].values():
        for layer in layers:
            assert layer["down"] and layer["up"] and layer["frozen"]
            assert all(name in content["functions"] for name in layer["down"] + layer["up"])
    page = anatomy.render(content)
    assert len(page) < 3e6 and content["loss"] == "hinge"
    assert not re.search(r"(src|href)=\"?https?:|@import|url\(http", page)
    text = re.search(r"const DATA = (.*);\n", page)[1]
    assert json.loads(text) == json.loads(json.dumps(content))


def test_numbers_of_the_page_are_those_of_the_step():
    given = dense()
    real, _, z = given.batch(0)
    state = anatomy.dissect(given, (0,))["states"]["non-saturating/0"]
    G, D = given.G.clone(), given.D.clone()
    for network in (G, D):
        network.use_kernels(mg.kernels.PLAIN)
    fake, g_cache = G.forward(z)
    G.begin_step(0), D.begin_step(0)
    D.forward(real), D.forward(fake)  # the masks of D's step
    scores, cache = D.forward(fake)
    loss, dscores = mg.losses.non_saturating(scores)
    dfake = D.backward(dscores, cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache)
    assert state["g"]["loss"] == pytest.approx(loss, rel=5e-3)
    assert state["g"]["dfake"] == pytest.approx(np.linalg.norm(dfake), rel=5e-3)
    assert state["g"]["dG"] == pytest.approx(np.linalg.norm(G.grads), rel=5e-3)
    drawn = np.asarray(decoded(state["g"]["wish"]).convert("RGBA")).astype(int)
    n, row, column, _ = np.unravel_index(np.abs(dfake[:6]).argmax(), dfake[:6].shape)
    red, _, blue, alpha = drawn[row, 28 * n + column]
    assert alpha > 200 and (red > blue) == (dfake[n, row, column, 0] < 0)  # it is -dfake
    rows = state["g"]["G"]
    assert rows[-1][3] == pytest.approx(np.sqrt((dfake**2).mean()), rel=5e-3)
    weight = G.layers[2]
    ratio = np.linalg.norm(weight.grads) / np.linalg.norm(weight.params)
    assert rows[3][5] == pytest.approx(ratio, rel=5e-3)


def test_formulas_are_where_they_say():
    x = np.ones((2, 3), "f4")
    _, down, up, frozen = formulas.passes(mg.Dense(3, 4).build(), x)
    assert list(down) == ["dense"] and list(up) == ["dense_dx_dw", "sum_rows"]
    assert list(frozen) == ["dense_dx"]
    entry = formulas.entry(plain.dense_dx)
    file, line = entry["place"].split(":")
    assert file == "kernels/plain.py" and entry["formula"] == "dy @ w.T"
    lines = (formulas.PACKAGE / file).read_text().splitlines()
    assert lines[int(line) - 1].startswith("def dense_dx(")
    assert formulas.used("normalize_backward") == ["normalize_backward", "jacobian", "mean_of"]
    _, down, *_ = formulas.passes(mg.Flatten(), x[:, :, None])
    assert list(down) == ["Flatten.forward"]  # no formula: the method itself


def save_run(path, G, D):
    """The checkpoint of a run of one's own, of which no step was made."""
    shape = [28, 28, 1]
    run = {
        "name": "own", "options": {"data": "digits"}, "latent": vars(Latent(5)),
        "data": {"name": "digits", "count": 40, "shape": shape, "crc32": 0},
        "value_range": [-1.0, 1.0], "step": 0,
    }  # fmt: skip
    checkpoint.save(path, {"generator": G, "judge": D}, run=run)


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_ink():
    values = np.array([[-2.0, 0.0, 2.0, 1.0]])
    rgba = np.asarray(decoded(ink.red_and_blue(values)).convert("RGBA"))[0]
    assert rgba[1, 3] == 0 < rgba[3, 3] < rgba[2, 3]  # 0 is clear
    assert rgba[2, 0] > rgba[2, 2] and rgba[0, 2] > rgba[0, 0]  # red, blue
    grey = np.asarray(decoded(ink.grey(values)).convert("L"))[0]
    assert grey[0] < grey[1] < grey[3] < grey[2]
    assert ink.tile(np.zeros((6, 9, 9, 8)), 4).shape == (2 * 4, 4 * 4)
    assert ink.tile(np.zeros((6, 300)), 4).shape == (6, ink.FEATURES)
    np.testing.assert_array_equal(ink.shrunk(np.arange(16.0).reshape(1, 4, 4), 2)[0],
                                  [[2.5, 4.5], [10.5, 12.5]])  # fmt: skip
    assert decoded(ink.grey(np.zeros((3, 5)))).size == (5, 3)


def test_the_command(gan, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(anatomy, "LEADS", LEADS)
    assert run(gan.main, *words(pictures, "run", "--steps", 1)) == 0
    capsys.readouterr()
    trained = tmp_path / "run" / "checkpoint.npz"
    assert run(main, "anatomy", trained, "--out", tmp_path / "deep" / "step.html") == 0
    assert "step.html" in capsys.readouterr().out
    page = (tmp_path / "deep" / "step.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "/*CONTENT*/" not in page
    assert "BatchNorm(6)" in page


def test_a_network_of_one_s_own_and_none_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(anatomy, "LEADS", (0,))
    given = two_logits()
    save_run(tmp_path / "own.npz", given.G, given.D)
    assert run(main, "anatomy", tmp_path / "own.npz", "--out", tmp_path / "own.html") == 0
    assert "own.npz after 0 steps" in (tmp_path / "own.html").read_text(encoding="utf-8")
    assert run(main, "anatomy", "--steps", 2, "--out", tmp_path / "first.html") == 0
    assert "after 2 steps" in (tmp_path / "first.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("more, message", [
    (["none.npz", "--out", "x.html"], "no checkpoint at none.npz"),
    (["--out", "folder"], "cannot write folder: "),
    (["run/checkpoint.npz", "--steps", 3, "--out", "x.html"], "--steps 3: a checkpoint has"),
    (["run/checkpoint.npz", "--data", "gone", "--out", "x.html"], "the data of the run is not"),
    (["plain.npz", "--out", "x.html"], "is not of a run with a generator"),
    (["other.npz", "--data", "digits", "--out", "x.html"], "other.npz: its networks do not play"),
    ([], "the following arguments are required: --out"),
])  # fmt: skip
def test_the_command_refuses(gan, pictures, tmp_path, capsys, monkeypatch, more, message):
    monkeypatch.setattr(anatomy, "LEADS", (0,))
    (tmp_path / "folder").mkdir()
    dense().G.save(tmp_path / "plain.npz")
    save_run(tmp_path / "other.npz", dense().G, conditional().D)
    if "run/checkpoint.npz" in more:
        assert run(gan.main, *words(pictures, "run", "--steps", 1)) == 0
        capsys.readouterr()
    assert run(main, "anatomy", *more) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and message in captured.err
