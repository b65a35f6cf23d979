"""M1: a fully connected GAN learns to write digits.

    python examples/mnist_gan.py                   ten epochs on the CPU
    python examples/mnist_gan.py --device gpu
    python examples/mnist_gan.py --original        the tutorial's own settings

G maps 100 normal numbers to an image, D maps an image to one logit: the log-odds
that it is real.  Each step trains D on a batch of real and of generated images, then
G through D.
"""

import minigan as mg
from minigan import data, training
from minigan.functions import sigmoid
from minigan.losses import bce_with_logits, non_saturating

LATENT = training.Latent(100, "normal")


def generator(options):
    """z (N, 100) -> images (N, 28, 28, 1) in [-1, 1]: 1,486,352 parameters."""
    init = dict(weight_init=mg.init.TruncatedNormal(0.02))
    return mg.Sequential(
        [
            mg.Dense(100, 256, **init),
            mg.ReLU(),
            mg.Dense(256, 512, **init),
            mg.ReLU(),
            mg.Dense(512, 1024, **init),
            mg.ReLU(),
            mg.Dense(1024, 784, **init),
            mg.Tanh(),
            mg.Reshape((28, 28, 1)),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options):
    """Images (N, 28, 28, 1) -> logits (N, 1): 1,460,225 parameters."""
    init = dict(weight_init=mg.init.TruncatedNormal(0.02))
    # The original's dropout kept 30 % of the units: TensorFlow 1 asked for the share to
    # keep, and its author meant to drop 30 %.  Dropping 30 %, with a slope, trains better.
    slope, rate = (0.0, 0.7) if options.original else (0.2, 0.3)
    hidden = [
        layer
        for inputs, outputs in ((784, 1024), (1024, 512), (512, 256))
        for layer in (mg.Dense(inputs, outputs, **init), mg.LeakyReLU(slope), mg.Dropout(rate))
    ]
    return mg.Sequential(
        [mg.Flatten(), *hidden, mg.Dense(256, 1, **init)],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def train_step(G, D, opt_g, opt_d, real, z_d, z_g):
    """One update of D, then one of G.  real: (N, 28, 28, 1); z_d, z_g: (N, 100)."""
    xp = mg.get_array_module(real)
    n = len(real)

    # D: real images up, generated ones down.  G is only run, so its cache is dropped.
    fake, _ = G.forward(z_d)
    logits, cache = D.forward(xp.concatenate([real, fake]))
    real_loss, d_real = bce_with_logits(logits[:n], 1.0)
    fake_loss, d_fake = bce_with_logits(logits[n:], 0.0)
    D.zero_grad()
    D.backward(xp.concatenate([d_real, d_fake]), cache, inputs=False)
    opt_d.step()

    # G: the gradient runs through the updated D, which stays as it is (params=False).
    fake, g_cache = G.forward(z_g)
    fake_logits, d_cache = D.forward(fake)
    g_loss, dlogits = non_saturating(fake_logits)
    dfake = D.backward(dlogits, d_cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache, inputs=False)
    opt_g.step()

    return dict(
        d_loss=real_loss + fake_loss,
        g_loss=g_loss,
        d_real=sigmoid(logits[:n]).mean(),
        d_fake=sigmoid(logits[n:]).mean(),
    )


def main(argv=None):
    parser = training.parser(__doc__, name="mnist_gan", epochs=10, batch_size=100)
    parser.add_argument("--lr", type=training.number(0, 1), default=2e-4, help="learning rate")
    parser.add_argument("--b1", type=training.number(0, 1), default=0.5, help="Adam's beta 1")
    parser.add_argument("--original", action="store_true",
                        help="ReLU and 70 %% dropout in D, as the original had it")
    options = training.parse(parser, argv)
    dataset = data.load(options.data, limit=options.limit, seed=options.seed)

    G, D = generator(options), discriminator(options)
    opt_g = mg.Adam(G, options.lr, b1=options.b1)
    opt_d = mg.Adam(D, options.lr, b1=options.b1)
    run = training.Run(
        options,
        dataset,
        {"generator": G, "discriminator": D},
        {"generator": opt_g, "discriminator": opt_d},
        latent=LATENT,
    )
    for real in run:
        z_d, z_g = run.draw_latent("D step"), run.draw_latent("G step")
        run.log(**train_step(G, D, opt_g, opt_d, real, z_d, z_g))


if __name__ == "__main__":
    training.command(main)
