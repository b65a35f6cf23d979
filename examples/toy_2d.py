"""Two small networks learn a distribution in the plane, where everything can be seen.

    python examples/toy_2d.py                               a WGAN-GP on a ring of eight
    python examples/toy_2d.py --world grid                  twenty-five
    python examples/toy_2d.py --loss non-saturating --penalty none       and see what it loses
    python examples/toy_2d.py --data points.csv             your own points, two numbers a line

samples.gif shows D's score over the plane, the real points, G's, and arrows of -dfake, the way
that D's gradient sends them.  history.csv has for each step, of as many samples as a batch, how
many modes they find and the share of good ones, within three standard deviations of a mode.

The training step is `Duel.stages` in minigan/study/duel.py.  It reads like that of the other
examples, and is there because the laboratory stops between its parts: written here too, the two
would have to be kept the same.  Networks so small are fastest on the plain kernels and always run
on them; --kernels is for the losses alone.
"""

import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, processes, training
from minigan.errors import UserError
from minigan.losses import sigmoid
from minigan.regular import open_regular
from minigan.study import plane, worlds
from minigan.study.duel import ACTIVATIONS, GAMES, PENALTIES, Duel, Settings

POINTS = 25_600  # of a world: a hundred steps an epoch


def world_of(options):
    """The `World` that the options name."""
    if options.data in ("auto", options.world):
        return worlds.WORLDS[options.world]
    path = Path(options.data)
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file, which has no points
            points = np.loadtxt(file, delimiter="," if path.suffix == ".csv" else None, ndmin=2)
        return worlds.given(points)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--data {path}: {getattr(error, 'strerror', None) or error}; "
            "wanted is a text file with two numbers a line"
        ) from error


def dataset_of(world, options):
    """So many points of a world as a dataset, or --limit."""
    points = world.sample(options.limit or POINTS, seed=options.seed, dtype="float64")
    return data.Dataset(points, None, world.name, "drawn at random")


def duel_of(options):
    """The `Duel` of the options that are its settings."""
    names = {field.name for field in fields(Settings)} & vars(options).keys()
    chosen = {name: getattr(options, name) for name in names}
    g_width, d_width = training.channels(options, Settings.g_width, Settings.d_width)
    chosen |= dict(g_width=g_width, d_width=d_width, average=0.0)  # the run has its own
    return Duel(Settings(**chosen))


def main(argv=None):
    parser = training.parser(
        __doc__, name="toy_2d", epochs=30, batch_size=256, average=Settings.average
    )
    add = parser.add_argument
    add("--world", choices=worlds.WORLDS, default="ring", help="what to learn")
    add("--loss", choices=GAMES, default=Settings.loss, help="the game")
    add("--penalty", choices=PENALTIES, default=Settings.penalty, help="on D")
    add(
        "--strength",
        type=training.number(0, 1e6),
        default=Settings.strength,
        help="weight of the penalty, or the limit of clipped weights",
    )
    add("--activation", choices=ACTIVATIONS, default=Settings.activation, help="of both networks")
    add("--g-lr", type=training.rate, default=Settings.g_lr, help="of G")
    add("--d-lr", type=training.rate, default=Settings.d_lr, help="of D")
    add("--d-steps", type=training.integer(1, 100), default=Settings.d_steps, help="for one of G")
    options = training.parse(parser, argv)
    duel = duel_of(options)
    if options.summary:
        return training.summarize(duel.G, duel.D, duel.latent)

    world = world_of(options)
    dataset = dataset_of(world, options)

    def picture(generator):
        fake = duel.samples(generator)
        caption = f"{world.name}, step {run.step:,}"
        if len(world.centres):
            modes, good = world.quality(fake)
            caption += f": {modes:.0f} of {len(world.centres)} modes, {good:.0%} of samples good"
        return plane.picture(duel.D, duel.game, dataset.images, fake, caption)

    run = training.Run(
        options,
        dataset,
        {"generator": duel.G, "discriminator": duel.D},
        {"generator": duel.opt_g, "discriminator": duel.opt_d},
        latent=duel.latent,
        picture=picture,
    )
    for real in run:
        made = duel.step(real, run.step)
        if len(world.centres):
            drawn, _ = run.generator.forward(made["z"], train=False)
            made["modes"], made["good"] = world.quality(processes.here.whole(drawn))
        made["norm_dfake"] = mg.norm(made["dfake"])
        if duel.game.fake[0] == "bce_with_logits":  # scores are logits: D's probabilities
            for kind in ("real", "fake"):
                made[f"d_{kind}"] = sigmoid(made[f"{kind}_scores"]).mean()
        names = "d_loss g_loss penalty d_real d_fake modes good norm_dfake".split()
        run.log(**{name: made[name] for name in names if name in made})


if __name__ == "__main__":
    training.command(main)
