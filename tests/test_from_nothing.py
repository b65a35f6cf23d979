"""examples/from_nothing.py, which imports no engine, takes the engine's steps."""

import ast
import types

import numpy as np
import parity
import pytest

import minigan as mg
from minigan.random import keep_mask, kept_share

BATCH, STEPS = 6, 30
OPTIONS = types.SimpleNamespace(seed=3, dtype="float64", width=1 / 16, original=False)


@pytest.fixture
def script(monkeypatch):
    module = parity.example("from_nothing")
    monkeypatch.setattr(module, "DTYPE", np.float64)
    monkeypatch.setattr(module, "RATE", 1 - kept_share(0.7))
    return module


class Masks:
    """In place of the script's generator: numbers whose masks are those of the engine's D."""

    def __init__(self, D):
        self.layers = [layer for layer in D.layers if isinstance(layer, mg.Dropout)]
        self.step = self.calls = 0

    def random(self, shape):
        turn, index = divmod(self.calls, len(self.layers))
        self.calls += 1
        layer = self.layers[index]
        address = dict(seed=layer.seed, where=layer.where, step=self.step, call=turn)
        return keep_mask(shape, layer.keep, **address).astype(float)


def layers_of(network):
    return [[d.weight.copy(), d.bias.copy()] for d in network.layers if isinstance(d, mg.Dense)]


def test_it_imports_nothing_of_the_engine_but_data():
    path = parity.HERE.parent / "examples" / "from_nothing.py"
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    imported = [
        (getattr(node, "module", None), name.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    ]
    assert imported == [(None, "numpy"), ("PIL", "Image"), ("minigan", "data")]


@pytest.mark.host
def test_thirty_steps_are_those_of_the_engine(script, monkeypatch):
    engine = parity.example("mnist_gan")
    G, D = engine.generator(OPTIONS), engine.discriminator(OPTIONS)
    opt_g, opt_d = mg.Adam(G, 1e-3, b1=0.5), mg.Adam(D, 1e-3, b1=0.5)
    own_g, own_d, adam_g, adam_d = layers_of(G), layers_of(D), {}, {}
    masks = Masks(D)
    monkeypatch.setattr(script, "rng", masks)

    rng = np.random.default_rng(0)
    for step in range(STEPS):
        real = rng.uniform(-1, 1, (BATCH, 28, 28, 1))
        z_d, z_g = rng.standard_normal((2, BATCH, 100))
        D.begin_step(step)
        masks.step, masks.calls = step, 0
        values = engine.train_step(G, D, opt_g, opt_d, real, z_d, z_g)
        rows = real.reshape(BATCH, 784)
        p_real, p_fake = script.train_step(own_g, own_d, adam_g, adam_d, rows, z_d, z_g)
        assert p_real == pytest.approx(values["d_real"], rel=1e-12)
        assert p_fake == pytest.approx(values["d_fake"], rel=1e-12)
    for network, own in ((G, own_g), (D, own_d)):
        for (w, b), (own_w, own_b) in zip(layers_of(network), own, strict=True):
            np.testing.assert_allclose(own_w, w, rtol=0, atol=1e-12)
            np.testing.assert_allclose(own_b, b, rtol=0, atol=1e-12)
