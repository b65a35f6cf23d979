"""A conditional GAN learns the ten digits, and then draws the one you ask for.

    python examples/mnist_cgan.py                  a few minutes on two cores
    python examples/mnist_cgan.py --data FOLDER    other classes, a sub-folder for each
    python -m minigan sample runs/mnist_cgan/checkpoint.npz --label 7 --out sevens.png

Mirza and Osindero 2014 in a small convolutional form: the label is ten numbers beside z for
G, and ten planes behind the image for D, one of them all ones.
"""

import minigan as mg
from minigan import data, training
from minigan.condition import join, join_backward
from minigan.losses import bce_with_logits, non_saturating, sigmoid

DIGITS = tuple("0123456789")


def latent(classes=DIGITS):
    return training.Latent(64, "normal", classes=classes)


def generator(options, classes=DIGITS):
    """z and code (N, 74) -> images (N, 28, 28, 1) in [-1, 1]: 268,705 parameters, 192 moving."""
    c1, c2 = training.channels(options, 64, 32)
    return mg.Sequential(
        [
            mg.Dense(64 + len(classes), 7 * 7 * c1),
            mg.Reshape((7, 7, c1)),
            mg.BatchNorm(c1, momentum=0.9),
            mg.ReLU(),
            mg.ConvTranspose2d(c1, c2, 4, stride=2),  # 14 x 14
            mg.BatchNorm(c2, momentum=0.9),
            mg.ReLU(),
            mg.ConvTranspose2d(c2, 1, 4, stride=2),  # 28 x 28
            mg.Tanh(),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options, classes=DIGITS):
    """Images and planes (N, 28, 28, 11) -> logits (N, 1): 440,161 parameters."""
    c1, c2, c3 = training.channels(options, 32, 64, 128)
    return mg.Sequential(
        [
            mg.Conv2d(1 + len(classes), c1, 4, stride=2),  # 14 x 14
            mg.LeakyReLU(0.2),
            mg.Conv2d(c1, c2, 4, stride=2),  # 7 x 7
            mg.LeakyReLU(0.2),
            mg.Flatten(),
            # A hidden layer that sees the whole image at once with its label: without it D learns
            # late which shape goes with which digit.
            mg.Dense(7 * 7 * c2, c3),
            mg.LeakyReLU(0.2),
            mg.Dense(c3, 1),
        ],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def train_step(G, D, opt_g, opt_d, real, code, z_d, z_g):
    """One update of D, then one of G.  real: (N, 28, 28, 1); code: (N, classes); z: (N, 64).

    The generated images carry the labels of the real ones.
    """
    xp = D.xp
    n = len(real)

    # D: real images with their labels up, generated ones with the same labels down.
    fake, _ = G.forward(join(z_d, code))
    images, codes = xp.concatenate([real, fake]), xp.concatenate([code, code])
    logits, cache = D.forward(join(images, codes))
    real_loss, d_real = bce_with_logits(logits[:n], 1.0)
    fake_loss, d_fake = bce_with_logits(logits[n:], 0.0)
    D.zero_grad()
    D.backward(xp.concatenate([d_real, d_fake]), cache, need_dx=False)
    opt_d.step()

    # G: the gradient runs through the updated D; what reaches the planes ends there.
    fake, g_cache = G.forward(join(z_g, code))
    fake_logits, d_cache = D.forward(join(fake, code))
    g_loss, dlogits = non_saturating(fake_logits)
    dfake, _ = join_backward(D.backward(dlogits, d_cache, params=False), 1)
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
    parser = training.parser(__doc__, name="mnist_cgan", steps=6000, batch_size=64, average=0.995)
    parser.add_argument("--lr", type=training.rate, default=5e-4, help="learning rate")
    parser.add_argument("--b1", type=training.fraction, default=0.5, help="Adam's beta 1")
    options = training.parse(parser, argv)
    if options.summary:
        return training.summarize(generator(options), discriminator(options), latent())

    dataset = data.load(options.data, limit=options.limit)
    classes = dataset.classes or DIGITS
    G, D = generator(options, classes), discriminator(options, classes)
    opt_g = mg.Adam(G, options.lr, b1=options.b1)
    opt_d = mg.Adam(D, options.lr, b1=options.b1)
    run = training.Run(
        options,
        dataset,
        {"generator": G, "discriminator": D},
        {"generator": opt_g, "discriminator": opt_d},
        latent=latent(classes),
    )
    step = run.recorded(train_step)
    for real, code in run:
        z_d, z_g = run.draw_latent("D step"), run.draw_latent("G step")
        run.log(**step(G, D, opt_g, opt_d, real, code, z_d, z_g))


if __name__ == "__main__":
    training.command(main)
