"""M6: a DCGAN for faces or any other folder of pictures, at 96x96 in colour.

    python examples/anime_dcgan.py --data FOLDER
    python examples/anime_dcgan.py --data FOLDER --width 0.5     a quarter of the work

The largest of the DCGANs here.  G learns from the images that D was just trained on, so it is
run once a step.  D wins over a few thousand pictures soon if it learns as fast as G: here it is
slower, never quite sure of real ones, and the rates of both fall to zero (--lr-schedule linear).
Its first layer has no BatchNorm, as Radford et al. (2015) advise, so that it sees what all of G's
images have in common.  Pictures are drawn with a moving average of G's weights (--average 0.99).
"""

import minigan as mg
from minigan import data, training
from minigan.losses import bce_with_logits, non_saturating, sigmoid

LATENT = training.Latent(100, "normal")
REAL = 0.9  # D's label of real images; the original's is 1
CONV = dict(use_bias=False, weight_init=mg.init.UniformFanIn())
NORM = dict(momentum=0.9, eps=1e-5)


def generator(options):
    """z (N, 100) -> images (N, 96, 96, 3) in [-1, 1]: 12,661,888 parameters, 3,840 moving."""
    c1, c2, c3, c4 = training.channels(options, 1024, 512, 256, 128)
    return mg.Sequential(
        [
            mg.Reshape((1, 1, 100)),
            mg.ConvTranspose2d(100, c1, 4, padding="valid", **CONV),  # 4 x 4
            mg.BatchNorm(c1, **NORM),
            mg.ReLU(),
            mg.ConvTranspose2d(c1, c2, 4, stride=2, padding=1, **CONV),  # 8 x 8
            mg.BatchNorm(c2, **NORM),
            mg.ReLU(),
            mg.ConvTranspose2d(c2, c3, 4, stride=2, padding=1, **CONV),  # 16 x 16
            mg.BatchNorm(c3, **NORM),
            mg.ReLU(),
            mg.ConvTranspose2d(c3, c4, 4, stride=2, padding=1, **CONV),  # 32 x 32
            mg.BatchNorm(c4, **NORM),
            mg.ReLU(),
            mg.ConvTranspose2d(c4, 3, 5, stride=3, padding=1, **CONV),  # 96 x 96
            mg.Tanh(),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options):
    """Images (N, 96, 96, 3) -> logits (N, 1): 2,767,296 parameters, 1,792 moving."""
    c1, c2, c3, c4 = training.channels(options, 64, 128, 256, 512)
    # The original's makes 2,767,424 parameters and 1,920 moving.  It takes from each kind of image
    # what all its images have in common: their light and colours, and any grid of this stride.
    norm = [mg.BatchNorm(c1, **NORM)] if options.original else []
    return mg.Sequential(
        [
            mg.Conv2d(3, c1, 5, stride=3, padding=1, **CONV),  # 32 x 32
            *norm,
            mg.LeakyReLU(0.2),
            mg.Conv2d(c1, c2, 4, stride=2, padding=1, **CONV),  # 16 x 16
            mg.BatchNorm(c2, **NORM),
            mg.LeakyReLU(0.2),
            mg.Conv2d(c2, c3, 4, stride=2, padding=1, **CONV),  # 8 x 8
            mg.BatchNorm(c3, **NORM),
            mg.LeakyReLU(0.2),
            mg.Conv2d(c3, c4, 4, stride=2, padding=1, **CONV),  # 4 x 4
            mg.BatchNorm(c4, **NORM),
            mg.LeakyReLU(0.2),
            mg.Conv2d(c4, 1, 4, padding="valid", **CONV),
            mg.Flatten(),
        ],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def train_step(G, D, opt_g, opt_d, real, z, original=False):
    """One update of D, then one of G on the same images.  real: (N, 96, 96, 3); z: (N, 100)."""
    fake, g_cache = G.forward(z)

    # D: in two passes, because each kind of image is normalised by its own batch statistics.
    D.zero_grad()
    real_loss, d_real = judge(D, real, 1.0 if original else REAL)
    fake_loss, d_fake = judge(D, fake, 0.0)
    opt_d.step()

    # G: its cache is still good, since only D has changed.  D's is not: D is run again.
    logits, d_cache = D.forward(fake)
    g_loss, dlogits = non_saturating(logits)
    dfake = D.backward(dlogits, d_cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()
    return dict(
        d_loss=real_loss + fake_loss,
        g_loss=g_loss,
        d_real=d_real,
        d_fake=d_fake,
        norm_dfake=mg.norm(dfake),
    )


def judge(D, images, label):
    """D's (loss, mean verdict) on images of one label; adds the gradient to D's."""
    logits, cache = D.forward(images)
    loss, dlogits = bce_with_logits(logits, label)
    D.backward(dlogits, cache, need_dx=False)
    return loss, sigmoid(logits).mean()


def main(argv=None):
    parser = training.parser(
        __doc__, name="anime_dcgan", epochs=12, batch_size=8, average=None, lr_schedule=None
    )
    parser.add_argument("--lr", type=training.rate, default=2e-4, help="learning rate of G")
    parser.add_argument(
        "--lr-d", type=training.rate, help="of D (default: 1e-4; with --original that of G)"
    )
    parser.add_argument("--b1", type=training.fraction, default=0.5, help="Adam's beta 1")
    parser.add_argument(
        "--fit", choices=("crop", "squash"), default="crop", help="how pictures become square"
    )
    parser.add_argument(
        "--original",
        action="store_true",
        help="a D as fast as G, with BatchNorm behind its first layer too, whose label of real "
        "images is 1, not 0.9; constant rates, no average",
    )
    options = training.parse(parser, argv)
    if options.original:
        defaults = dict(lr_d=options.lr, lr_schedule="constant", average=0.0)
    else:
        defaults = dict(lr_d=1e-4, lr_schedule="linear", average=0.99)
    training.unless_given(options, **defaults)
    G, D = generator(options), discriminator(options)
    if options.summary:
        return training.summarize(G, D, LATENT)

    opt_g = mg.Adam(G, options.lr, b1=options.b1)
    opt_d = mg.Adam(D, options.lr_d, b1=options.b1)
    dataset = data.load(
        options.data, auto="digits", size=96, channels=3, fit=options.fit, limit=options.limit
    )
    run = training.Run(
        options,
        dataset,
        {"generator": G, "discriminator": D},
        {"generator": opt_g, "discriminator": opt_d},
        latent=LATENT,
    )
    step = run.recorded(train_step)
    for real in run:
        run.log(**step(G, D, opt_g, opt_d, real, run.draw_latent("step"), options.original))


if __name__ == "__main__":
    training.command(main)
