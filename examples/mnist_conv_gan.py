"""M4: a convolutional GAN with an up-sampling generator and a two-way softmax.

    python examples/mnist_conv_gan.py --width 0.25    a tenth of the work, for a CPU
    python examples/mnist_conv_gan.py                 the textbook's networks
    python examples/mnist_conv_gan.py --original      as the textbook trained them

G repeats pixels and smooths them by convolutions, and its images lie in [0, 1].  D has two
logits, class 0 for generated and class 1 for real.  D is trained by itself first, on real
images and on those of the untrained G; then D and G take turns.

With the textbook's rates D wins before the first turn is taken, and G never comes back.  The
default gives G a hundred times D's rate, and shows D the images that G is trained on: those of
evaluation mode lag behind, so that D would learn to tell what G has left.
"""

import minigan as mg
from minigan import data, training
from minigan.losses import sigmoid, softmax_cross_entropy

LATENT = training.Latent(100, "uniform", 0.0, 1.0)
PRETRAIN_BATCH = 32


def generator(options):
    """z (N, 100) -> images (N, 28, 28, 1) in [0, 1]: 4,263,101 parameters, 78,700 moving."""
    c1, c2, c3 = training.channels(options, 200, 100, 50)
    init = dict(weight_init=mg.init.GlorotNormal())

    def norm(channels):
        # The textbook's BatchNorm took the axis of the image's width for the channels, which
        # gives 4,262,913 parameters and 78,512 moving: every column has its own statistics.
        return mg.BatchNorm(28, axis=2) if options.original else mg.BatchNorm(channels)

    return mg.Sequential(
        [
            mg.Dense(100, 14 * 14 * c1, **init),
            mg.BatchNorm(14 * 14 * c1),
            mg.ReLU(),
            mg.Reshape((14, 14, c1)),
            mg.UpSample2d(2),  # 28 x 28
            mg.Conv2d(c1, c2, 3, **init),
            norm(c2),
            mg.ReLU(),
            mg.Conv2d(c2, c3, 3, **init),
            norm(c3),
            mg.ReLU(),
            mg.Conv2d(c3, 1, 1, **init),
            mg.Sigmoid(),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def discriminator(options):
    """Images (N, 28, 28, 1) -> logits (N, 2) of generated and real: 9,707,266 parameters."""
    c1, c2, c3 = training.channels(options, 256, 512, 256)
    return mg.Sequential(
        [
            mg.Conv2d(1, c1, 5, stride=2),  # 14 x 14
            mg.ReLU(),
            mg.Dropout(0.25),
            mg.Conv2d(c1, c2, 5, stride=2),  # 7 x 7
            mg.ReLU(),
            mg.Dropout(0.25),
            mg.Flatten(),
            mg.Dense(7 * 7 * c2, c3),
            mg.LeakyReLU(0.2),
            mg.Dropout(0.25),
            mg.Dense(c3, 2),
        ],
        name="discriminator",
        seed=options.seed,
        dtype=options.dtype,
    )


def pieces(array):
    """Consecutive batches of PRETRAIN_BATCH rows; the last may be smaller."""
    return [array[i : i + PRETRAIN_BATCH] for i in range(0, len(array), PRETRAIN_BATCH)]


def classes(images, n_real):
    """The class of each image, (N,): 1 for the first n_real, 0 for the others."""
    xp = mg.get_array_module(images)
    return (xp.arange(len(images)) < n_real).astype(int)


def pretrain(G, D, opt_d, real, z, seed):
    """One epoch of D on real images and on those of G in evaluation mode, mixed.

    real: (N, 28, 28, 1); z: (N, 100).  Returns (images classified right, mean loss), both of
    D in evaluation mode afterwards, over all 2 N images.
    """
    xp, n = D.xp, len(real)
    images = xp.concatenate([real, *(G.forward(part, train=False)[0] for part in pieces(z))])
    target = classes(images, n)
    order = mg.random.permutation(2 * n, seed=seed, where="pre-training")
    batches = pieces(xp.asarray(order))

    progress = training.Progress(
        len(batches), steps_per_epoch=len(batches), batch_size=PRETRAIN_BATCH
    )
    progress.note(f"D alone first, on {n:,} real and {n:,} generated images")
    for step, chosen in enumerate(batches):
        D.begin_step(step)
        logits, cache = D.forward(images[chosen])
        loss, dlogits = softmax_cross_entropy(logits, target[chosen])
        D.zero_grad()
        D.backward(dlogits, cache, need_dx=False)
        opt_d.step()
        progress.update(step + 1, {"d_loss": float(loss)})
    progress.close()

    right, total = 0, 0.0
    for chosen in batches:
        logits = D.forward(images[chosen], train=False)[0]
        right += int((logits.argmax(axis=1) == target[chosen]).sum())
        total += len(chosen) * float(softmax_cross_entropy(logits, target[chosen])[0])
    return right, total / (2 * n)


def train_step(G, D, opt_g, opt_d, real, z_d, z_g, original=False):
    """One update of D, then one of G.  real: (N, 28, 28, 1); z_d, z_g: (N, 100)."""
    xp, n = D.xp, len(real)

    # D: real and generated images in one batch; the textbook had G in evaluation mode for them.
    images = xp.concatenate([real, G.forward(z_d, train=not original)[0]])
    logits, cache = D.forward(images)
    d_loss, dlogits = softmax_cross_entropy(logits, classes(images, n))
    D.zero_grad()
    D.backward(dlogits, cache, need_dx=False)
    opt_d.step()
    del images, cache  # 170 MB that G's step has no use for

    # G: the gradient runs through the updated D, which stays as it is (params=False).
    fake, g_cache = G.forward(z_g)
    fake_logits, d_cache = D.forward(fake)
    g_loss, dlogits = softmax_cross_entropy(fake_logits, classes(fake, n))
    dfake = D.backward(dlogits, d_cache, params=False)
    del d_cache  # nor G's backward for this one
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()

    verdict = sigmoid(logits[:, 1] - logits[:, 0])  # the softmax of two classes
    return dict(
        d_loss=d_loss,
        g_loss=g_loss,
        d_real=verdict[:n].mean(),
        d_fake=verdict[n:].mean(),
        norm_dfake=mg.norm(dfake),
    )


def main(argv=None):
    parser = training.parser(__doc__, name="mnist_conv_gan", epochs=5, batch_size=128)
    parser.add_argument(
        "--lr-g", type=training.rate, help="of G (default: 1e-3; 1e-4 with --original)"
    )
    parser.add_argument("--lr-d", type=training.rate, default=1e-5, help="of D")
    parser.add_argument(
        "--b1", type=training.fraction, help="Adam's beta 1 (default: 0.5; 0.9 with --original)"
    )
    parser.add_argument(
        "--pretrain",
        type=training.integer(0),
        default=10_000,
        help="real images that D sees by itself first, and as many of G's",
    )
    parser.add_argument(
        "--original",
        action="store_true",
        help="the textbook's Adam, BatchNorm over the columns of the image, and D on what G "
        "draws in evaluation mode",
    )
    options = training.parse(parser, argv)
    lr_g, b1 = (1e-4, 0.9) if options.original else (1e-3, 0.5)
    training.unless_given(options, lr_g=lr_g, b1=b1)
    G, D = generator(options), discriminator(options)
    if options.summary:
        return training.summarize(G, D, LATENT)

    opt_g = mg.Adam(G, options.lr_g, b1=options.b1)
    opt_d = mg.Adam(D, options.lr_d, b1=options.b1)
    run = training.Run(
        options,
        data.load(options.data, limit=options.limit),
        {"generator": G, "discriminator": D},
        {"generator": opt_g, "discriminator": opt_d},
        latent=LATENT,
        value_range=(0.0, 1.0),
    )
    # Before the run: its first checkpoint, from which it can be resumed, has it done.
    if options.pretrain and not options.resume:
        real = run.real_images(slice(options.pretrain))
        z = LATENT.draw(len(real), **run.address("pre-training"), dtype=options.dtype, xp=run.xp)
        right, loss = pretrain(G, D, opt_d, real, z, options.seed)
        print(f"D alone: {right} of {2 * len(real)} right, mean loss {loss:.3f}")
    step = run.recorded(train_step)
    for real in run:
        z_d, z_g = run.draw_latent("D step"), run.draw_latent("G step")
        run.log(**step(G, D, opt_g, opt_d, real, z_d, z_g, options.original))


if __name__ == "__main__":
    training.command(main)
