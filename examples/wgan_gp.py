"""M7: a WGAN-GP learns to draw small colour pictures (Gulrajani et al. 2017).

    python examples/wgan_gp.py --data FOLDER             at 64x64, best on a GPU
    python examples/wgan_gp.py --width 0.25              small enough to watch on a CPU
    python examples/wgan_gp.py --r1 10                   R1 in place of the gradient penalty
    python examples/wgan_gp.py --clip 0.01               the first WGAN: clipped weights, RMSProp

A critic gives any number for a score; the difference of its means on real and generated
images, at slopes of at most one, is the Wasserstein distance that G is to make small.  A
penalty on the slopes sees to that: docs/gradient_penalty.md derives its gradient.  Pictures are
drawn with a moving average of G's weights (--average 0.99).
The critic's scores are held near 0 by their mean square (--drift 0.001).
"""

import minigan as mg
from minigan import data, training
from minigan.losses import wasserstein

LATENT = training.Latent(128, "normal")


def generator(options):
    """z (N, 128) -> images (N, 64, 64, 3) in [-1, 1]: 3,806,083 parameters, 1,920 moving."""
    c1, c2, c3, c4 = training.channels(options, 512, 256, 128, 64)

    def activation(channels):
        return [mg.BatchNorm(channels, momentum=0.9), mg.LeakyReLU(0.2)]

    return mg.Sequential(
        [
            mg.Reshape((1, 1, 128)),
            mg.ConvTranspose2d(128, c1, 4, padding="valid", use_bias=False),  # 4 x 4
            *activation(c1),
            mg.ConvTranspose2d(c1, c2, 4, stride=2, use_bias=False),  # 8 x 8
            *activation(c2),
            mg.ConvTranspose2d(c2, c3, 4, stride=2, use_bias=False),  # 16 x 16
            *activation(c3),
            mg.ConvTranspose2d(c3, c4, 4, stride=2, use_bias=False),  # 32 x 32
            *activation(c4),
            mg.ConvTranspose2d(c4, 3, 4, stride=2),  # 64 x 64
            mg.Tanh(),
        ],
        name="generator",
        seed=options.seed,
        dtype=options.dtype,
    )


def critic(options):
    """Images (N, 64, 64, 3) -> scores (N, 1): 2,764,737 parameters.

    No BatchNorm: the penalty is on the slope of each sample's own score.
    """
    c1, c2, c3, c4 = training.channels(options, 64, 128, 256, 512)
    return mg.Sequential(
        [
            mg.Conv2d(3, c1, 4, stride=2),  # 32 x 32
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


def critic_step(G, C, opt_c, real, z, options, epsilon):
    """One update of the critic C: real images up, generated ones down, slopes towards one.

    real: (N, 64, 64, 3); z: (N, 128); epsilon: the address of the penalty's random numbers.
    Returns (loss, its Wasserstein part, the penalty without its weight).
    """
    xp = C.xp
    n = len(real)
    fake, _ = G.forward(z)
    C.zero_grad()
    # First the penalty, so that its caches are gone when the next ones come.
    loss, plain = penalty(C, real, fake, options, epsilon)
    scores, cache = C.forward(xp.concatenate([real, fake]))
    real_loss, d_real = wasserstein(scores[:n], -1)
    fake_loss, d_fake = wasserstein(scores[n:], +1)
    # Nothing in these says where the scores' zero is: they wander off, and dropout makes noise of
    # what they have in common.  Their mean square says it (Karras et al. 2018, appendix A.1).
    drift = options.drift * (scores**2).mean()
    d_drift = 2 * options.drift / len(scores) * scores
    C.backward(xp.concatenate([d_real, d_fake]) + d_drift, cache, need_dx=False)
    opt_c.step()
    if options.clip:
        mg.penalty.clip_weights(C, options.clip)
    distance = real_loss + fake_loss
    return distance + loss + drift, distance, plain


def penalty(C, real, fake, options, epsilon):
    """(the penalty, the same without its weight); adds its gradient to C's."""
    if options.clip:
        return 0.0, 0.0
    if options.r1:
        loss = mg.penalty.r1(C, real, weight=options.r1)
        return loss, loss / options.r1
    weight = options.gp_weight
    loss = mg.penalty.gradient_penalty(C, real, fake, weight=weight, **epsilon)
    return loss, loss / weight


def generator_step(G, C, opt_g, z):
    """One update of G, through the critic, which stays as it is.  Returns (loss, |dfake|)."""
    fake, g_cache = G.forward(z)
    scores, c_cache = C.forward(fake)
    loss, dscores = wasserstein(scores, -1)
    dfake = C.backward(dscores, c_cache, params=False)
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()
    return loss, mg.norm(dfake)


def optimizer(network, options):
    if options.clip:  # as Arjovsky et al. 2017: momentum made their critic unstable
        return mg.RMSProp(network, options.lr or 5e-5)
    return mg.Adam(network, options.lr or 2e-4, b1=0.5, b2=0.9)


def main(argv=None):
    # The original took 512 images a step; 64 learn as well and fit any machine.
    parser = training.parser(__doc__, name="wgan_gp", epochs=25, batch_size=64, average=0.99)
    parser.add_argument(
        "--lr", type=training.rate, help="learning rate (default: 2e-4, with --clip 5e-5)"
    )
    parser.add_argument(
        "--critic-steps",
        type=training.integer(1, 100),
        default=3,
        help="updates of the critic for each of G, on the same real images",
    )
    regularizer = parser.add_mutually_exclusive_group()
    regularizer.add_argument(
        "--gp-weight", type=training.number(0, 1e6), default=10.0, help="of the gradient penalty"
    )
    regularizer.add_argument(
        "--r1",
        type=training.number(0, 1e6),
        metavar="WEIGHT",
        help="R1 in place of the gradient penalty (default: off)",
    )
    regularizer.add_argument(
        "--clip",
        type=training.number(0, 1e6),
        metavar="LIMIT",
        help="clip the weights in place of a penalty (default: off)",
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
        return training.summarize(G, C, LATENT)

    opt_g, opt_c = optimizer(G, options), optimizer(C, options)
    run = training.Run(
        options,
        data.load(options.data, auto="digits", size=64, channels=3, limit=options.limit),
        {"generator": G, "critic": C},
        {"generator": opt_g, "critic": opt_c},
        latent=LATENT,
    )
    of_critic, of_generator = run.recorded(critic_step), run.recorded(generator_step)
    for real in run:
        for i in range(options.critic_steps):
            z, epsilon = run.draw_latent(f"critic step {i}"), run.address(f"epsilon {i}")
            c_loss, c_wass, c_gp = of_critic(G, C, opt_c, real, z, options, epsilon)
        g_loss, norm_dfake = of_generator(G, C, opt_g, run.draw_latent("G step"))
        run.log(c_loss=c_loss, g_loss=g_loss, c_wass=c_wass, c_gp=c_gp, norm_dfake=norm_dfake)


if __name__ == "__main__":
    training.command(main)
