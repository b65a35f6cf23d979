"""M5: a DCGAN for any folder of pictures, at 64x64 in grey.

    python examples/dcgan.py --data FOLDER
    python examples/dcgan.py --data FOLDER --width 0.5       a quarter of the work
    python examples/dcgan.py --data FOLDER --upsample        G repeats pixels, then smooths
    python examples/dcgan.py --data FOLDER --original        the original's labels and steps

Pictures are drawn with a moving average of G's weights (--average 0.99), which takes out the grid
that G's kernels leave.  If D becomes too strong and G stops learning: more --dropout, some --flip,
a lower --lr-d.  If D is too weak, the other way round.
"""

from functools import partial

import minigan as mg
from minigan import data, training
from minigan.losses import bce_with_logits, labels, non_saturating, sigmoid

LATENT = training.Latent(100, "normal")


def generator(options):
    """z (N, 100) -> images (N, 64, 64, 1) in [-1, 1]: 3,574,656 parameters, 1,920 moving."""
    c1, c2, c3, c4 = training.channels(options, 512, 256, 128, 64)

    def enlarge(inputs, outputs):
        """Layers from (N, H, W, inputs) to (N, 2 H, 2 W, outputs)."""
        if options.upsample:
            return [mg.UpSample2d(2), mg.Conv2d(inputs, outputs, 4)]
        return [mg.ConvTranspose2d(inputs, outputs, 4, stride=2, use_bias=False)]

    def activation(channels):
        return [mg.BatchNorm(channels, momentum=0.9), mg.LeakyReLU(0.2)]

    return mg.Sequential(
        [
            mg.Reshape((1, 1, 100)),
            mg.ConvTranspose2d(100, c1, 4, padding="valid", use_bias=False),  # 4 x 4
            *activation(c1),
            *enlarge(c1, c2),  # 8 x 8
            *activation(c2),
            *enlarge(c2, c3),  # 16 x 16
            *activation(c3),
            *enlarge(c3, c4),  # 32 x 32
            *activation(c4),
            *enlarge(c4, 1),  # 64 x 64
            mg.Tanh(),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options):
    """Images (N, 64, 64, 1) -> logits (N, 1): 2,763,520 parameters, 1,792 moving."""
    c1, c2, c3, c4 = training.channels(options, 64, 128, 256, 512)

    def halve(inputs, outputs):
        return mg.Conv2d(inputs, outputs, 4, stride=2, use_bias=False)

    def activation():
        return [mg.LeakyReLU(0.2), mg.Dropout(options.dropout)]

    return mg.Sequential(
        [
            halve(1, c1),  # 32 x 32
            *activation(),
            halve(c1, c2),  # 16 x 16
            mg.BatchNorm(c2, momentum=0.9),
            *activation(),
            halve(c2, c3),  # 8 x 8
            mg.BatchNorm(c3, momentum=0.9),
            *activation(),
            halve(c3, c4),  # 4 x 4
            mg.BatchNorm(c4, momentum=0.9),
            *activation(),
            mg.Conv2d(c4, 1, 4, padding="valid", use_bias=False),
            mg.Flatten(),
        ],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def noisy_labels(options, address):
    """(real, fake): functions of D's logits that draw this step's labels.

    address: the run's, which gives the noise of every step an address.
    """
    if options.original:
        # Beyond 0 and 1 the loss has no least value: it pays D to be ever more certain, and
        # D's loss can be negative.
        real, fake = (1.0, 1.1), (-0.1, 0.0)
    else:
        real, fake = (0.9, 1.0), (0.0, 0.1)
    return (
        partial(labels, low=real[0], high=real[1], flip=options.flip, **address("real labels")),
        partial(labels, low=fake[0], high=fake[1], flip=options.flip, **address("fake labels")),
    )


def train_step(G, D, opt_g, opt_d, real, z_d, z_g, real_labels, fake_labels):
    """One update of D, then one of G.

    real: (N, 64, 64, 1); z_d, z_g: (N, 100); the labels are those of `noisy_labels`.
    """
    # D: in two passes, because each kind of image is normalised by its own batch statistics.
    fake = G.forward(z_d)[0]
    D.zero_grad()
    real_loss, real_logits = judge(D, real, real_labels)[:2]
    fake_loss, fake_logits = judge(D, fake, fake_labels)[:2]
    opt_d.step()

    # G: the gradient runs through the updated D, which stays as it is (params=False).
    fake, g_cache = G.forward(z_g)
    logits, d_cache = D.forward(fake)
    g_loss, dlogits = non_saturating(logits)
    dfake = D.backward(dlogits, d_cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()
    return values(real_loss, fake_loss, g_loss, real_logits, fake_logits, dfake)


def simultaneous_step(G, D, opt_g, opt_d, real, z, real_labels, fake_labels):
    """Both updates from the gradients at the old weights, on the same fakes; see `train_step`."""
    fake, g_cache = G.forward(z)
    D.zero_grad()
    real_loss, real_logits = judge(D, real, real_labels)[:2]
    fake_loss, fake_logits, d_cache = judge(D, fake, fake_labels)

    g_loss, dlogits = non_saturating(fake_logits)
    dfake = D.backward(dlogits, d_cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_d.step()
    opt_g.step()
    return values(real_loss, fake_loss, g_loss, real_logits, fake_logits, dfake)


def judge(D, images, draw_labels):
    """D's (loss, logits, cache) on images of one kind; adds half the gradient to D's."""
    logits, cache = D.forward(images)
    loss, dlogits = bce_with_logits(logits, draw_labels(logits))
    D.backward(dlogits / 2, cache, need_dx=False)  # D's loss is the mean of both kinds
    return loss, logits, cache


def values(real_loss, fake_loss, g_loss, real_logits, fake_logits, dfake):
    """What the run records of a step."""
    return dict(
        d_loss=(real_loss + fake_loss) / 2,
        g_loss=g_loss,
        d_real=sigmoid(real_logits).mean(),
        d_fake=sigmoid(fake_logits).mean(),
        norm_dfake=mg.norm(dfake),
    )


def main(argv=None):
    parser = training.parser(__doc__, name="dcgan", epochs=10, batch_size=128, average=None)
    parser.add_argument("--lr-g", type=training.rate, default=2e-4, help="of G")
    parser.add_argument("--lr-d", type=training.rate, default=2e-4, help="of D")
    parser.add_argument("--b1", type=training.fraction, default=0.5, help="Adam's beta 1")
    parser.add_argument(
        "--fit", choices=("crop", "squash"), default="crop", help="how pictures become square"
    )
    parser.add_argument("--dropout", type=training.fraction, default=0.3, help="rate in D")
    parser.add_argument(
        "--flip", type=training.fraction, default=0.0, help="share of D's labels that are swapped"
    )
    parser.add_argument(
        "--upsample",
        action="store_true",
        help="G enlarges by repeating pixels, without transposed convolutions",
    )
    parser.add_argument(
        "--simultaneous",
        action="store_true",
        help="G learns from D as it was before this step's update",
    )
    parser.add_argument(
        "--original",
        action="store_true",
        help="labels in [1, 1.1] and [-0.1, 0], and simultaneous steps, no average",
    )
    options = training.parse(parser, argv)
    training.unless_given(options, average=0.0 if options.original else 0.99)
    G, D = generator(options), discriminator(options)
    if options.summary:
        return training.summarize(G, D, LATENT)

    opt_g = mg.Adam(G, options.lr_g, b1=options.b1)
    opt_d = mg.Adam(D, options.lr_d, b1=options.b1)
    dataset = data.load(
        options.data, auto="digits", size=64, channels=1, fit=options.fit, limit=options.limit
    )
    run = training.Run(
        options,
        dataset,
        {"generator": G, "discriminator": D},
        {"generator": opt_g, "discriminator": opt_d},
        latent=LATENT,
    )
    together = options.simultaneous or options.original
    step = run.recorded(simultaneous_step if together else train_step)
    for real in run:
        z_d, z_g = run.draw_latent("D step"), run.draw_latent("G step")
        noise = [z_d] if together else [z_d, z_g]
        run.log(**step(G, D, opt_g, opt_d, real, *noise, *noisy_labels(options, run.address)))


if __name__ == "__main__":
    training.command(main)
