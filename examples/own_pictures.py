"""Your own pictures: any folder, any size, one kind or many.

    python examples/own_pictures.py --data my/photos --size 64
    python examples/own_pictures.py --data my/photos --size 96x64 --channels 1 --loss hinge
    python -m minigan sample runs/own_pictures/checkpoint.npz --label horse --out horses.png

Sub-folders (my/photos/cat, my/photos/horse) are classes: then G draws the one you ask for, by the
name of its folder.  Without --data it draws the built-in digits, in colour.  docs/own_pictures.md
goes through all of it, and says when to take which loss.
"""

import argparse

import minigan as mg
from minigan import data, models, training
from minigan.condition import join, join_backward
from minigan.losses import bce_with_logits, hinge, non_saturating, sigmoid, wasserstein

LATENT = 64

# The losses, and what goes with each where nothing else is asked for.
LOSSES = {
    "bce": dict(norm="spectral", d_steps=1),
    "hinge": dict(norm="spectral", d_steps=1),
    "wgan-gp": dict(norm="none", d_steps=3, penalty=10.0),
    "r1": dict(norm="none", d_steps=1, penalty=1.0),
}
OF_LOGITS = ("bce", "r1")  # of which D's scores are, else of any number


def networks(options, classes):
    """(G, D) for pictures (H, W, channels) of so many classes, 0 where they are of one kind."""
    [width] = training.channels(options, 32)
    same = dict(
        channels=options.channels, classes=classes, width=width, seed=options.seed,
        dtype=options.dtype,
    )  # fmt: skip
    G = models.generator(sides(options.size), latent=LATENT, upsample=options.upsample, **same)
    D = models.discriminator(sides(options.size), norm=options.norm, shift=options.shift, **same)
    return G, D


def d_step(G, D, opt_d, real, code, z, options, epsilon):
    """One update of D: real images up, generated ones with the same labels down.

    real: (N, H, W, C).  code: (N, classes), or None where there is one kind.  z: (N, LATENT).
    epsilon: the address of the penalty's random numbers.
    Returns D's loss, the penalty in it, and D's mean probabilities where scores stand for such.
    """
    fake, _ = G.forward(labelled(z, code))
    D.zero_grad()
    # First the penalty, so that its caches are gone when the next ones come.
    loss, values = 0.0, {}
    if options.loss == "wgan-gp":
        loss = values["penalty"] = mg.penalty.gradient_penalty(
            D, real, fake, weight=options.penalty, condition=code, **epsilon
        )
    elif options.loss == "r1":
        loss = values["penalty"] = mg.penalty.r1(D, real, weight=options.penalty, condition=code)
    for name, images in (("d_real", real), ("d_fake", fake)):
        scores, cache = D.forward(labelled(images, code))
        part, dscores = d_loss(scores, name == "d_real", options.loss)
        D.backward(dscores, cache, need_dx=False)
        loss = loss + part
        if options.loss in OF_LOGITS:
            values[name] = sigmoid(scores).mean()
    opt_d.step()
    return dict(d_loss=loss, **values)


def g_step(G, D, opt_g, code, z, options):
    """One update of G, through D, which stays as it is.  Returns the loss, and |dfake|."""
    fake, g_cache = G.forward(labelled(z, code))
    scores, d_cache = D.forward(labelled(fake, code))
    loss, dscores = g_loss(scores, options.loss)
    dimages = D.backward(dscores, d_cache, params=False)
    dfake, _ = join_backward(dimages, options.channels)  # what reaches the planes ends there
    G.zero_grad()
    G.backward(dfake, g_cache, need_dx=False)
    opt_g.step()
    return dict(g_loss=loss, norm_dfake=mg.norm(dfake))


def labelled(x, code):
    """x with the code behind its features, where there is one."""
    return x if code is None else join(x, code)


def d_loss(scores, is_real, loss):
    """(D's loss on real or on generated images, its gradient), of their scores (N, 1)."""
    if loss in OF_LOGITS:
        return bce_with_logits(scores, 1.0 if is_real else 0.0)
    critics = hinge if loss == "hinge" else wasserstein
    return critics(scores, -1 if is_real else +1)


def g_loss(scores, loss):
    """(G's loss, its gradient), of the scores (N, 1) of its images."""
    return non_saturating(scores) if loss in OF_LOGITS else wasserstein(scores, -1)


def sides(text):
    """ "64" or "96x64", height first -> (height, width); ValueError for anything else."""
    numbers = tuple(map(int, text.lower().split("x")))
    found = numbers * 2 if len(numbers) == 1 else numbers
    models.sizes(found)
    return found


def size(text):
    """An argparse type: a text that `sides` takes."""
    try:
        sides(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not a side or HEIGHTxWIDTH, as 64 or 96x64, of "
            f"{models.SMALLEST} to {models.LARGEST} pixels each"
        ) from error
    return text


def main(argv=None):
    parser = training.parser(__doc__, name="own_pictures", steps=2000, batch_size=32, average=0.995)
    add = parser.add_argument
    add("--size", type=size, default="64", metavar="SIDE|HEIGHTxWIDTH", help="of the pictures")
    add("--channels", type=int, choices=(1, 3, 4), default=3, help="grey, colour, with alpha")
    add("--loss", choices=LOSSES, default="r1", help="what G and D play for")
    add("--norm", choices=models.NORM, help="of D's layers (default: what goes with the loss)")
    add(
        "--shift",
        type=training.fraction,
        default=0.0,
        metavar="SHARE",
        help="D sees each image, real or generated, moved aside by up to this share of its sides, "
        "0.125 say: for a few thousand pictures",
    )
    add("--upsample", choices=models.UPSAMPLE, default="transposed", help="how G enlarges")
    add("--lr", type=training.rate, default=5e-4, help="learning rate")
    add(
        "--penalty",
        type=training.number(0, 1e6),
        metavar="WEIGHT",
        help="of what wgan-gp and r1 are named after (default: 10 and 1)",
    )
    add(
        "--d-steps",
        type=training.integer(1, 100),
        help="updates of D for each of G (default: 3 of wgan-gp, else 1)",
    )
    options = training.parse(parser, argv)
    training.unless_given(options, **LOSSES[options.loss])
    dataset = data.load(
        options.data, auto="digits", size=sides(options.size), channels=options.channels,
        limit=options.limit,
    )  # fmt: skip
    latent = training.Latent(LATENT, "normal", classes=dataset.classes or ())
    G, D = networks(options, len(latent.classes))
    if options.summary:
        return training.summarize(G, D, latent)

    opt_g, opt_d = mg.Adam(G, options.lr, b1=0.5), mg.Adam(D, options.lr, b1=0.5)
    run = training.Run(
        options,
        dataset,
        {"generator": G, "discriminator": D},
        {"generator": opt_g, "discriminator": opt_d},
        latent=latent,
    )
    step_of_d, step_of_g = run.recorded(d_step), run.recorded(g_step)
    for batch in run:
        real, code = batch if latent.classes else (batch, None)
        for i in range(options.d_steps):
            z, epsilon = run.draw_latent(f"D step {i}"), run.address(f"epsilon {i}")
            of_d = step_of_d(G, D, opt_d, real, code, z, options, epsilon)
        of_g = step_of_g(G, D, opt_g, code, run.draw_latent("G step"), options)
        run.log(**of_d, **of_g)


if __name__ == "__main__":
    training.command(main)
