"""The networks of the examples, made narrow, for tests of what becomes of any network."""

import types

import numpy as np
import parity

import minigan as mg

# (example, the options that are not its defaults): each has a generator and its judge.
MODELS = {
    "m1": ("mnist_gan", {}),
    "m2": ("mnist_dcgan", {}),
    "m3": ("cifar_dcgan", {}),
    "m4": ("mnist_conv_gan", {}),
    "m4-original": ("mnist_conv_gan", dict(original=True)),
    "m5": ("dcgan", {}),
    "m5-upsample": ("dcgan", dict(upsample=True)),
    "m6": ("anime_dcgan", {}),
    "m7": ("wgan_gp", {}),
    "m8": ("cgan", {}),
    "digits": ("mnist_cgan", {}),
}


def networks(key, dtype="float32"):
    """[(generator, shape of a sample), (discriminator or critic, shape)] of a model."""
    script, changes = MODELS[key]
    module = parity.example(script)
    options = dict(dtype=dtype, width=1 / 16, gp_weight=10.0, r1=None, clip=None) | changes
    options = types.SimpleNamespace(**vars(parity.example_options(**options)))
    latent = getattr(module, "LATENT", None) or module.latent()
    G = module.generator(options)
    D = (getattr(module, "critic", None) or module.discriminator)(options)
    codes = len(latent.classes)
    *size, channels = G.output_shape((latent.size + codes,))
    return [(moved(G), (latent.size + codes,)), (moved(D), (*size, channels + codes))]


def moved(network, seed=5):
    """The network with no tensor at its first value: a gamma of 1 or a mean of 0 hides faults."""
    rng = np.random.default_rng(seed)
    network.params = network.params * rng.uniform(0.7, 1.3, network.params.shape)
    network.params = network.params + 0.02 * rng.standard_normal(network.params.shape)
    means = 0.1 * rng.standard_normal(network.buffers.shape)
    variances = rng.uniform(0.1, 0.5, network.buffers.shape)
    network.buffers = np.where(network.buffers == 0, means, variances)
    return network


def samples(network, shape, count=3):
    """Inputs (count, *shape) of the network's dtype."""
    return mg.random.normal((count, *shape), seed=7, where="input", dtype=network.dtype.name)


def assert_same_outputs(theirs, ours, tolerance):
    """Equal to a share of the outputs' scale, and outputs that differ from each other."""
    assert theirs.shape == ours.shape and theirs.dtype == ours.dtype
    scale = np.abs(ours).max()
    assert np.ptp(ours, axis=0).max() > 0.01 * scale > 0, "all samples are the same"
    assert np.abs(theirs - ours).max() <= tolerance * scale
