"""M8: a conditional WGAN-GP draws pictures with or without an attribute, as you ask.

    python examples/cgan.py --data FOLDER --attribute Blond_Hair     CelebA, at 64x64
    python examples/cgan.py                              built-in digits on warm or cold ground
    python examples/cgan.py --width 0.25                 small enough to watch on a CPU
    python -m minigan sample runs/cgan/checkpoint.npz --label Warm --out warm.png

FOLDER holds pictures and, in it or beside it, a table in CelebA's form: `image_id`, then columns
of 1 and -1.  G reads z and a one-hot label, the critic an image and the label's planes, so that
a critic that knows what should be on the picture teaches G to draw it.  Pictures are drawn with
a moving average of G's weights (--average 0.99).
The critic's scores are held near 0 by their mean square (--drift 0.001).
"""

import minigan as mg
from minigan import data, training
from minigan.condition import join, join_backward
from minigan.losses import wasserstein

LABELS, COLOURS = 2, 3


def latent(classes=("without", "with")):
    return training.Latent(32, "normal", classes=classes)


def generator(options):
    """z and code (N, 34) -> images (N, 64, 64, 3) in [-1, 1]: 728,963 parameters, 896 moving."""
    c1, c2, c3, c4 = training.channels(options, 128, 128, 128, 64)

    def activation(channels):
        return [mg.BatchNorm(channels, momentum=0.9), mg.LeakyReLU(0.2)]

    return mg.Sequential(
        [
            mg.Reshape((1, 1, 32 + LABELS)),
            mg.ConvTranspose2d(32 + LABELS, c1, 4, padding="valid", use_bias=False),  # 4 x 4
            *activation(c1),
            mg.ConvTranspose2d(c1, c2, 4, stride=2, use_bias=False),  # 8 x 8
            *activation(c2),
            mg.ConvTranspose2d(c2, c3, 4, stride=2, use_bias=False),  # 16 x 16
            *activation(c3),
            mg.ConvTranspose2d(c3, c4, 4, stride=2, use_bias=False),  # 32 x 32
            *activation(c4),
            mg.ConvTranspose2d(c4, COLOURS, 4, stride=2),  # 64 x 64
            mg.Tanh(),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def critic(options):
    """Images and planes (N, 64, 64, 5) -> scores (N, 1): 662,977 parameters."""
    c1, c2, c3, c4 = training.channels(options, 64, 128, 128, 128)
    return mg.Sequential(
        [
            mg.Conv2d(COLOURS + LABELS, c1, 4, stride=2),  # 32 x 32
            mg.LeakyReLU(0.2),
            mg.Conv2d(c1, c2, 4, stride=2),  # 16 x 16
            mg.LeakyReLU(0.3),
            mg.Dropout(0.3),
            mg.Conv2d(c2, c3, 4, stride=2),  # 8 x 8
            mg.LeakyReLU(0.2),
            mg.Dropout(0.3),
            mg.Conv2d(c3, c4, 4, stride=2),  # 4 x 4
            mg.LeakyReLU(0.2),
            mg.Dropout(0.3),
            mg.Conv2d(c4, 1, 4, padding="valid"),
            mg.Flatten(),
        ],
        name="critic",
        seed=options.seed,
        dtype=options.dtype,
    )


def critic_step(G, C, opt_c, real, code, z, options, epsilon):
    """One update of the critic C; the generated images carry the labels of the real ones.

    real: (N, 64, 64, 3); code: (N, 2); z: (N, 32); epsilon: the address of the penalty's
    random numbers.  Returns (loss, its Wasserstein part, the penalty without its weight).
    """
    xp = C.xp
    n = len(real)
    fake, _ = G.forward(join(z, code))
    C.zero_grad()
    # First the penalty, so that its caches are gone when the next ones come.  It goes between
    # images of one label, and is on the slope along the images alone.
    loss = mg.penalty.gradient_penalty(
        C, real, fake, weight=options.gp_weight, condition=code, **epsilon
    )
    images, codes = xp.concatenate([real, fake]), xp.concatenate([code, code])
    scores, cache = C.forward(join(images, codes))
    real_loss, d_real = wasserstein(scores[:n], -1)
    fake_loss, d_fake = wasserstein(scores[n:], +1)
    # Nothing in these says where the scores' zero is: they wander off, and dropout makes noise of
    # what they have in common.  Their mean square says it (Karras et al. 2018, appendix A.1).
    drift = options.drift * (scores**2).mean()
    d_drift = 2 * options.drift / len(scores) * scores
    C.backward(xp.concatenate([d_real, d_fake]) + d_drift, cache, need_dx=False)
    opt_c.step()
    distance = real_loss + fake_loss
    return distance + loss + drift, distance, loss / options.gp_weight


def generator_step(G, C, opt_g, code, z):
    """One update of G, through the critic, which stays as it is.  Returns (loss, |dfake|)."""
    fake, g_cache = G.forward(join(z, code))
    scores, c_cache = C.forward(join(fake, code))
    loss, dscores = wasserstein(scores, -1)
    dfake, _ = join_backward(C.backward(dscores, c_cache, params=False), COLOURS)
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()
    return loss, mg.norm(dfake)


def load(options):
    """The pictures, with the attribute as their label."""
    dataset = data.load(options.data, auto="digits", size=64, channels=COLOURS, limit=options.limit)
    table = options.attributes
    if table is None and dataset.files is not None:
        table = data.attributes.find(options.data)
    return data.attributes.label(dataset, options.attribute, table=table)


def main(argv=None):
    # The original took 128 images a step at a tenth of the rate, and many more steps.
    parser = training.parser(__doc__, name="cgan", epochs=20, batch_size=32, average=0.99)
    parser.add_argument(
        "--attribute",
        metavar="NAME",
        help="what tells the two kinds of pictures apart (default: the only one)",
    )
    parser.add_argument(
        "--attributes",
        metavar="FILE.csv",
        help="a table in CelebA's form (default: the one in or beside --data)",
    )
    parser.add_argument("--lr", type=training.rate, default=5e-4, help="learning rate")
    parser.add_argument(
        "--critic-steps",
        type=training.integer(1, 100),
        default=3,
        help="updates of the critic for each of G, on the same real images",
    )
    parser.add_argument(
        "--gp-weight", type=training.number(0, 1e6), default=10.0, help="of the gradient penalty"
    )
    parser.add_argument(
        "--drift",
        type=training.fraction,
        metavar="WEIGHT",
        default=1e-3,
        help="of the scores' mean square, in the critic's loss; 0: without",
    )
    options = training.parse(parser, argv)
    G, C = generator(options), critic(options)
    if options.summary:
        return training.summarize(G, C, latent())

    opt_g = mg.Adam(G, options.lr, b1=0.5, b2=0.9)
    opt_c = mg.Adam(C, options.lr, b1=0.5, b2=0.9)
    dataset = load(options)
    run = training.Run(
        options,
        dataset,
        {"generator": G, "critic": C},
        {"generator": opt_g, "critic": opt_c},
        latent=latent(dataset.classes),
    )
    of_critic, of_generator = run.recorded(critic_step), run.recorded(generator_step)
    for real, code in run:
        for i in range(options.critic_steps):
            z, epsilon = run.draw_latent(f"critic step {i}"), run.address(f"epsilon {i}")
            c_loss, c_wass, c_gp = of_critic(G, C, opt_c, real, code, z, options, epsilon)
        g_loss, norm_dfake = of_generator(G, C, opt_g, code, run.draw_latent("G step"))
        run.log(c_loss=c_loss, g_loss=g_loss, c_wass=c_wass, c_gp=c_gp, norm_dfake=norm_dfake)


if __name__ == "__main__":
    training.command(main)
