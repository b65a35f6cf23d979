"""Training steps of the reference models with minigan, for bench.py.

Each function builds networks and optimizers and returns step(index).  Networks and
training steps are those of the examples.
"""

import importlib.util
import types
from pathlib import Path

import numpy as np

import minigan as mg


def example(name):
    """The module of examples/<name>.py."""
    path = Path(__file__).parent.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def m1(batch):
    module = example("mnist_gan")
    options = types.SimpleNamespace(seed=0, dtype="float32", original=False)
    G, D = module.generator(options), module.discriminator(options)
    opt_g, opt_d = mg.Adam(G, 2e-4), mg.Adam(D, 2e-4)
    real = np.random.default_rng(0).uniform(-1, 1, (batch, 28, 28, 1)).astype(np.float32)

    def step(index):
        D.begin_step(index)
        z_d, z_g = (module.LATENT.draw(batch, seed=0, where=w, step=index) for w in ("D", "G"))
        module.train_step(G, D, opt_g, opt_d, real, z_d, z_g)

    return step
