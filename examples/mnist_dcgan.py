"""M2: a DCGAN learns to write digits.

    python examples/mnist_dcgan.py                                  four to eight minutes, two cores
    python examples/mnist_dcgan.py --epochs 5 --batch-size 64       as long as the tutorial
    python examples/mnist_dcgan.py --original                       its order of updates

G makes 4x4 pixels of 512 channels from 100 uniform numbers and enlarges them by transposed
convolutions to 28x28; D goes the way back with strided convolutions.  The real label is 0.9,
for D and for G: a D that must not be certain gives G more to learn from.  Pictures are drawn
with a moving average of G's weights (--average 0.995).
"""

import minigan as mg
from minigan import data, training
from minigan.losses import bce_with_logits, sigmoid

LATENT = training.Latent(100, "uniform", -1.0, 1.0)
REAL, FAKE = 0.9, 0.0  # labels


def generator(options):
    """z (N, 100) -> images (N, 28, 28, 1) in [-1, 1]: 3,222,785 parameters, 1,792 moving."""
    c1, c2, c3 = training.channels(options, 512, 256, 128)

    def activation(channels):
        # The original samples with dropout on, which draws a thinned-out G.
        dropout = mg.Dropout(0.2, always=options.original)
        return [mg.BatchNorm(channels), mg.LeakyReLU(0.01), dropout]

    return mg.Sequential(
        [
            mg.Dense(100, 4 * 4 * c1),
            mg.Reshape((4, 4, c1)),
            *activation(c1),
            mg.ConvTranspose2d(c1, c2, 4, padding="valid"),  # 7 x 7
            *activation(c2),
            mg.ConvTranspose2d(c2, c3, 3, stride=2),  # 14 x 14
            *activation(c3),
            mg.ConvTranspose2d(c3, 1, 3, stride=2),  # 28 x 28
            mg.Tanh(),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options):
    """Images (N, 28, 28, 1) -> logits (N, 1): 1,486,337 parameters, 1,536 moving."""
    c1, c2, c3 = training.channels(options, 128, 256, 512)
    return mg.Sequential(
        [
            mg.Conv2d(1, c1, 3, stride=2),  # 14 x 14
            mg.LeakyReLU(0.01),
            mg.Dropout(0.2),
            mg.Conv2d(c1, c2, 3, stride=2),  # 7 x 7
            mg.BatchNorm(c2),
            mg.LeakyReLU(0.01),
            mg.Dropout(0.2),
            mg.Conv2d(c2, c3, 3, stride=2),  # 4 x 4
            mg.BatchNorm(c3),
            mg.LeakyReLU(0.01),
            mg.Dropout(0.2),
            mg.Flatten(),
            mg.Dense(4 * 4 * c3, 1),
        ],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def train_step(G, D, opt_g, opt_d, real, z_d, z_g, original=False):
    """One update of D, then one of G.  real: (N, 28, 28, 1); z_d, z_g: (N, 100)."""
    if original:  # the tutorial updated G first, and D on fakes from the same z
        g_loss, norm_dfake = update_g(G, D, opt_g, z_d)
        d_loss, d_real, d_fake = update_d(G, D, opt_d, real, z_d)
    else:
        d_loss, d_real, d_fake = update_d(G, D, opt_d, real, z_d)
        g_loss, norm_dfake = update_g(G, D, opt_g, z_g)
    return dict(d_loss=d_loss, g_loss=g_loss, d_real=d_real, d_fake=d_fake, norm_dfake=norm_dfake)


def update_d(G, D, opt_d, real, z):
    """Real images up, generated ones down.  Returns (loss, mean D(x), mean D(G(z)))."""
    fake = G.forward(z)[0]
    D.zero_grad()
    # In two passes: each kind of image is normalised by its own batch statistics.
    real_loss, d_real = judge(D, real, REAL)
    fake_loss, d_fake = judge(D, fake, FAKE)
    opt_d.step()
    return real_loss + fake_loss, d_real, d_fake


def judge(D, images, label):
    """D's (loss, mean verdict) on images of one label; adds the gradient to D's."""
    logits, cache = D.forward(images)
    loss, dlogits = bce_with_logits(logits, label)
    D.backward(dlogits, cache, need_dx=False)
    return loss, sigmoid(logits).mean()


def update_g(G, D, opt_g, z):
    """Through D, which stays as it is (params=False).  Returns (loss, |dfake|)."""
    fake, g_cache = G.forward(z)
    logits, d_cache = D.forward(fake)
    loss, dlogits = bce_with_logits(logits, REAL)
    dfake = D.backward(dlogits, d_cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()
    return loss, mg.norm(dfake)


def main(argv=None):
    # A pass over MNIST.  Half the tutorial's batch: in a few minutes, more steps count for more
    # than larger ones.
    parser = training.parser(__doc__, name="mnist_dcgan", steps=1875, batch_size=32, average=None)
    parser.add_argument("--lr", type=training.rate, default=1e-3, help="learning rate")
    parser.add_argument("--b1", type=training.fraction, default=0.4, help="Adam's beta 1")
    parser.add_argument(
        "--original",
        action="store_true",
        help="G before D on the same z, and samples with dropout, no average",
    )
    options = training.parse(parser, argv)
    training.unless_given(options, average=0.0 if options.original else 0.995)
    G, D = generator(options), discriminator(options)
    if options.summary:
        return training.summarize(G, D, LATENT)

    opt_g = mg.Adam(G, options.lr, b1=options.b1)
    opt_d = mg.Adam(D, options.lr, b1=options.b1)
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
        run.log(**step(G, D, opt_g, opt_d, real, z_d, z_g, options.original))


if __name__ == "__main__":
    training.command(main)
