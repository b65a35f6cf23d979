"""Training steps of the reference models with minigan, for bench.py.

Each function m1 ... m8 builds networks and optimizers and returns step(index).  Networks and
training steps are those of the examples, at full width and in float32.
"""

import math
import sys
from functools import partial
from pathlib import Path

import minigan as mg  # before NumPy, as in the examples: it may set how NumPy's BLAS starts
from minigan import training
from minigan.condition import one_hot

import numpy as np  # isort: skip

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from parity import example, example_options  # noqa: E402

training.keep_freed_memory()  # as every run does

OPTIONS = example_options(gp_weight=10.0, r1=None, clip=None, drift=1e-3)
SCRIPTS = {
    "m1": "mnist_gan",
    "m2": "mnist_dcgan",
    "m3": "cifar_dcgan",
    "m4": "mnist_conv_gan",
    "m5": "dcgan",
    "m6": "anime_dcgan",
    "m7": "wgan_gp",
    "m8": "cgan",
}
CRITIC_STEPS = 3  # of M7 and M8: updates of the critic for each of G


def model(name, batch, *, alternating=True):
    """step(index, *more) of a model's train_step; more: what it takes after real and z.

    alternating: D and G have noise of their own, z_d and z_g; else both have the same.
    """
    module, latent, G, D = build(name)
    opt_g, opt_d = mg.Adam(G, 2e-4), mg.Adam(D, 2e-4)
    real = images(G, latent, batch)

    def step(index, *more):
        G.begin_step(index)
        D.begin_step(index)
        noise = (
            latent.draw(batch, seed=0, where=where, step=index)
            for where in ("D", "G")[: 1 + alternating]
        )
        module.train_step(G, D, opt_g, opt_d, real, *noise, *more)

    return step


def wasserstein(name, batch):
    """step(index) of a model with a critic: its updates, each with the penalty, then G's."""
    module, latent, G, C = build(name)
    opt_g, opt_c = (mg.Adam(network, 2e-4, b1=0.5, b2=0.9) for network in (G, C))
    real = images(G, latent, batch)
    code = [one_hot(np.arange(batch) % 2, 2)] if latent.classes else []

    def step(index):
        G.begin_step(index)
        C.begin_step(index)

        def address(where):
            return dict(seed=0, where=where, step=index)

        for i in range(CRITIC_STEPS):
            z, epsilon = latent.draw(batch, **address(f"critic {i}")), address(f"epsilon {i}")
            module.critic_step(G, C, opt_c, real, *code, z, OPTIONS, epsilon)
        module.generator_step(G, C, opt_g, *code, latent.draw(batch, **address("G")))

    return step


def build(name):
    """(module of the example, latent, G, D or critic) of a model."""
    module = example(SCRIPTS[name])
    latent = module.latent() if name == "m8" else module.LATENT
    judge = module.critic if name in ("m7", "m8") else module.discriminator
    return module, latent, module.generator(OPTIONS), judge(OPTIONS)


def images(G, latent, batch):
    """Random images (batch, H, W, C) float32 of G's form."""
    shape = G.output_shape((latent.size + len(latent.classes),))
    return np.random.default_rng(0).uniform(-1, 1, (batch, *shape)).astype(np.float32)


m1, m2, m3, m4 = (partial(model, name) for name in ("m1", "m2", "m3", "m4"))
m6 = partial(model, "m6", alternating=False)
m7, m8 = (partial(wasserstein, name) for name in ("m7", "m8"))


def m5(batch):
    step, module = model("m5", batch), example("dcgan")

    def with_labels(index):
        def address(where):
            return dict(seed=0, where=where, step=index)

        step(index, *module.noisy_labels(OPTIONS, address))

    return with_labels


def flops(name, batch):
    """FLOPs of the matrix products of one step: dense layers and direct convolutions."""
    _, latent, G, D = build(name)
    codes = len(latent.classes)  # read behind z, and as planes behind the colours
    shape = (latent.size + codes,)
    *size, colours = G.output_shape(shape)
    g, d = products(G, shape), products(D, (*size, colours + codes))
    d_step = 2 * (2 * sum(d) + sum(d[1:]))  # y and dW, and dx above the first; both kinds of image
    if name != "m6":
        d_step += sum(g)  # images for D of its own
    if name in ("m7", "m8"):
        d_step += 4 * sum(d)  # the penalty: y, dx down to the images, and up again with dW
        d_step *= CRITIC_STEPS
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
