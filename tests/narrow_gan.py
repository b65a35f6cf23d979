"""examples/mnist_gan.py with narrow networks: the same run, a thousand times smaller.

    python tests/narrow_gan.py --data FOLDER ...

The options, the training step and `main` are the example's own.  BatchNorm and an inner
network are added, so that a checkpoint has moving averages and a description to nest.
"""

import parity

import minigan as mg
from minigan.training import command, plot


def generator(options):
    """z (N, 100) -> images (N, 28, 28, 1) in [-1, 1]."""
    return mg.Sequential(
        [
            mg.Sequential([mg.Dense(100, 6, weight_init=mg.init.Normal(0.1)), mg.BatchNorm(6)]),
            mg.ReLU(),
            mg.Dense(6, 784),
            mg.Tanh(),
            mg.Reshape((28, 28, 1)),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options):
    """Images (N, 28, 28, 1) -> logits (N, 1)."""
    return mg.Sequential(
        [mg.Flatten(), mg.Dense(784, 5), mg.LeakyReLU(0.2), mg.Dropout(0.3), mg.Dense(5, 1)],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def example():
    """A fresh module of the example, with these networks in place of its own."""
    module = parity.example("mnist_gan")
    module.generator, module.discriminator = generator, discriminator
    return module


if __name__ == "__main__":
    plot.OVERSAMPLING = 1  # a coarse plot takes a tenth of the time
    command(example().main)
