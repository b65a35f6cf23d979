"""M1: a fully connected GAN learns to write digits.

    python examples/mnist_gan.py                   twelve epochs on the CPU
    python examples/mnist_gan.py --device gpu
    python examples/mnist_gan.py --original        the tutorial's own settings

G maps 100 normal numbers to an image, D maps an image to one logit: the log-odds
that it is real.  Each step trains D on a batch of real and of generated images, then
G through D.  Pictures are drawn with a moving average of G's weights (--average 0.998).
"""

import math

import minigan as mg
from minigan import data, training
from minigan.losses import bce_with_logits, non_saturating, sigmoid

LATENT = training.Latent(100, "normal")


def generator(options):
    """z (N, 100) -> images (N, 28, 28, 1) in [-1, 1]: 1,486,352 parameters."""
    n1, n2, n3 = training.channels(options, 256, 512, 1024)
    hidden = [
        layer
        for inputs, outputs in ((100, n1), (n1, n2), (n2, n3))
        for layer in (dense(inputs, outputs, options), activation(options))
    ]
    return mg.Sequential(
        [*hidden, dense(n3, 784, options), mg.Tanh(), mg.Reshape((28, 28, 1))],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options):
    """Images (N, 28, 28, 1) -> logits (N, 1): 1,460,225 parameters."""
    n1, n2, n3 = training.channels(options, 1024, 512, 256)
    # The original's dropout kept 30 % of the units: TensorFlow 1 asked for the share to
    # keep, and its author meant to drop 30 %.
    rate = 0.7 if options.original else 0.3
    hidden = [
        layer
        for inputs, outputs in ((784, n1), (n1, n2), (n2, n3))
        for layer in (dense(inputs, outputs, options), activation(options), mg.Dropout(rate))
    ]
    return mg.Sequential(
        [mg.Flatten(), *hidden, dense(n3, 1, options)],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def dense(inputs, outputs, options):
    """A Dense layer, by default with weights that keep the size of the signal (He et al.)."""
    init = mg.init.TruncatedNormal(0.02) if options.original else mg.init.HeNormal()
    return mg.Dense(inputs, outputs, weight_init=init)


def activation(options):
    return mg.ReLU() if options.original else mg.LeakyReLU(0.2)


def train_step(G, D, opt_g, opt_d, real, z_d, z_g):
    """One update of D, then one of G.  real: (N, 28, 28, 1); z_d, z_g: (N, 100)."""
    xp, n = D.xp, len(real)

    # D: real images up, generated ones down.  G is only run, so its cache is dropped.
    fake, _ = G.forward(z_d)
    logits, cache = D.forward(xp.concatenate([real, fake]))
    real_loss, d_real = bce_with_logits(logits[:n], 1.0)
    fake_loss, d_fake = bce_with_logits(logits[n:], 0.0)
    D.zero_grad()
    D.backward(xp.concatenate([d_real, d_fake]), cache, need_dx=False)
    opt_d.step()

    # G: the gradient runs through the updated D, which stays as it is (params=False).
    fake, g_cache = G.forward(z_g)
    fake_logits, d_cache = D.forward(fake)
    g_loss, dlogits = non_saturating(fake_logits)
    dfake = D.backward(dlogits, d_cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()

    return dict(
        d_loss=real_loss + fake_loss,
        g_loss=g_loss,
        d_real=sigmoid(logits[:n]).mean(),
        d_fake=sigmoid(logits[n:]).mean(),
        norm_dfake=mg.norm(dfake),
    )


def main(argv=None):
    parser = training.parser(__doc__, name="mnist_gan", epochs=12, batch_size=100, average=None)
    parser.add_argument(
        "--lr",
        type=training.rate,
        help="learning rate (default: 1e-3; 2e-4 with --original)",
    )
    parser.add_argument(
        "--b1", type=training.fraction, help="Adam's beta 1 (default: 0.5; 0.9 with --original)"
    )
    parser.add_argument(
        "--bound",
        type=training.integer(0, 100),
        metavar="RATES",
        help="the most learning rates that a step of Adam moves a weight by; 0: none "
        "(default: 1; 0 with --original)",
    )
    parser.add_argument(
        "--original",
        action="store_true",
        help="the tutorial's activations, dropout, weights and Adam, no average",
    )
    options = training.parse(parser, argv)
    lr, b1, bound, average = (2e-4, 0.9, 0, 0.0) if options.original else (1e-3, 0.5, 1, 0.998)
    training.unless_given(options, lr=lr, b1=b1, bound=bound, average=average)
    G, D = generator(options), discriminator(options)
    if options.summary:
        return training.summarize(G, D, LATENT)

    # With small gradients behind it, one that leaps would move every weight by sixteen rates.
    bound = options.bound or math.inf
    opt_g = mg.Adam(G, options.lr, b1=options.b1, bound=bound)
    opt_d = mg.Adam(D, options.lr, b1=options.b1, bound=bound)
    run = training.Run(
        options,
        data.load(options.data, limit=options.limit),
        {"generator": G, "discriminator": D},
        {"generator": opt_g, "discriminator": opt_d},
        latent=LATENT,
    )
    step = run.recorded(train_step)
    for real in run:
        z_d, z_g = run.draw_latent("D step"), run.draw_latent("G step")
        run.log(**step(G, D, opt_g, opt_d, real, z_d, z_g))


if __name__ == "__main__":
    training.command(main)
