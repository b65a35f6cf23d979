"""Training steps of the reference models with minigan, for bench.py.

Each function m1 ... m6 builds networks and optimizers and returns step(index).  Networks and
training steps are those of the examples, at full width and in float32.
"""

import importlib.util
import math
import types
from functools import partial
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import training

training.keep_freed_memory()  # as every run does

OPTIONS = types.SimpleNamespace(
    seed=0, dtype="float32", width=1.0, original=False, upsample=False, dropout=0.3, flip=0.0
)
SCRIPTS = {
    "m1": "mnist_gan", "m2": "mnist_dcgan", "m3": "cifar_dcgan", "m4": "mnist_conv_gan",
    "m5": "dcgan", "m6": "anime_dcgan",
}


def example(name):
    """The module of examples/<name>.py."""
    path = Path(__file__).parent.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def model(name, batch, *, alternating=True):
    """step(index, *more) of a model's train_step; more: what it takes after real and z.

    alternating: D and G have noise of their own, z_d and z_g; else both have the same.
    """
    module = example(SCRIPTS[name])
    G, D = module.generator(OPTIONS), module.discriminator(OPTIONS)
    opt_g, opt_d = mg.Adam(G, 2e-4), mg.Adam(D, 2e-4)
    shape = G.output_shape((module.LATENT.size,))
    real = np.random.default_rng(0).uniform(-1, 1, (batch, *shape)).astype(np.float32)

    def step(index, *more):
        G.begin_step(index)
        D.begin_step(index)
        noise = (
            module.LATENT.draw(batch, seed=0, where=where, step=index)
            for where in ("D", "G")[: 1 + alternating]
        )
        module.train_step(G, D, opt_g, opt_d, real, *noise, *more)

    return step


m1, m2, m3, m4 = (partial(model, name) for name in ("m1", "m2", "m3", "m4"))
m6 = partial(model, "m6", alternating=False)


def m5(batch):
    step, module = model("m5", batch), example("dcgan")

    def with_labels(index):
        def address(where):
            return dict(seed=0, where=where, step=index)

        step(index, *module.noisy_labels(OPTIONS, address))

    return with_labels


def flops(name, batch):
    """FLOPs of the matrix products of one step: dense layers and direct convolutions."""
    module = example(SCRIPTS[name])
    G, D = module.generator(OPTIONS), module.discriminator(OPTIONS)
    shape = (module.LATENT.size,)
    g, d = products(G, shape), products(D, G.output_shape(shape))
    d_step = 2 * (2 * sum(d) + sum(d[1:]))  # y and dW, and dx above the first; both kinds of image
    if name != "m6":
        d_step += sum(g)  # images for D of its own
    g_step = sum(g) + 2 * sum(d) + sum(g) + sum(g[1:])  # y; y and dx of D; dW and dx of G
    return 2 * batch * (d_step + g_step)


def products(network, shape):
    """Multiplications an image takes in each layer with weights: a list."""
    counts = []
    for layer in network.layers:
        before, shape = shape, layer.output_shape(shape)
        if isinstance(layer, mg.Dense):
            counts.append(math.prod(layer.weight.shape))
        elif isinstance(layer, (mg.Conv2d, mg.ConvTranspose2d)):
            # A transposed convolution uses its taps once a pixel that it reads.
            height, width, _ = shape if isinstance(layer, mg.Conv2d) else before
            counts.append(height * width * math.prod(layer.weight.shape))
    return counts
