"""python -m minigan gradcheck | sample | info

    gradcheck   check every layer, loss and a whole network numerically; exit 1 if one fails
    sample      draw pictures with the generator of a checkpoint
    info        what a checkpoint holds
"""

from pathlib import Path

import numpy as np

from .atomic import replacing
from .errors import UserError
from .gradcheck import check_all, table
from .training.checkpoint import TRAINED, Checkpoint
from .training.command import command
from .training.latent import Latent
from .training.options import Parser, integer
from .training.pictures import grid, save_png, to_uint8

NAME = "python -m minigan"


def main(argv=None):
    parser = Parser(prog=NAME, description="Tools around minigan's networks.")
    commands = parser.add_subparsers(required=True, metavar="gradcheck | sample | info")

    sub = commands.add_parser("gradcheck", help="check all derivatives; exit 1 if one is wrong")
    sub.add_argument("--seed", type=integer(0), default=0, help="of the test values")
    sub.set_defaults(run=gradcheck)

    sub = commands.add_parser("sample", help="draw pictures with a trained generator")
    sub.add_argument("checkpoint", type=Path)
    sub.add_argument("--count", type=integer(1), default=16, help="number of pictures (16)")
    sub.add_argument("--seed", type=integer(0), default=0, help="other seeds, other pictures (0)")
    sub.add_argument("--label", help="of what kind, by name or number (default: each in turn)")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.png|FILE.npy",
                     help="a sheet, or float32 (N, H, W, C) in the generator's range")
    sub.set_defaults(run=sample)

    sub = commands.add_parser("info", help="what a checkpoint holds")
    sub.add_argument("checkpoint", type=Path)
    sub.set_defaults(run=info)

    options = parser.parse_args(argv)
    return options.run(options)


def sample(options):
    """Write `count` pictures of the checkpoint's generator."""
    form = options.out.suffix.lower()
    if form not in (".png", ".npy"):
        raise UserError(f"--out {options.out}: the name must end in .png or .npy")
    checkpoint = Checkpoint(options.checkpoint)
    images = sample_images(checkpoint, options.count, options.seed, options.label)
    try:
        if form == ".npy":
            with replacing(options.out) as file:
                np.save(file, images)
        else:
            save_png(options.out, grid(to_uint8(images, checkpoint.run["value_range"])))
    except OSError as error:
        raise UserError(f"cannot write {options.out}: {error.strerror or error}") from error
    print(f"{options.count} pictures in {options.out}")


def sample_images(checkpoint, count, seed, label=None, batch=256):
    """`count` images (N, H, W, C) of the checkpoint's generator, in its own range.

    label: of a conditional generator, the name or number of a class; of each in turn by default.
    """
    generator = checkpoint.networks().get("generator")
    if generator is None or not checkpoint.run:
        raise UserError(f"{checkpoint.path} has no generator of a run: nothing to sample from")
    latent = Latent(**checkpoint.run["latent"])
    z = latent.draw(count, seed=seed, where="sample", dtype=generator.dtype)
    if latent.classes:
        z = latent.labelled(z, _labels(label, count, latent.classes))
    elif label is not None:
        raise UserError(f"--label {label}: {checkpoint.path} draws pictures of one kind")
    parts = [
        generator.forward(z[start : start + batch], train=False)[0]
        for start in range(0, count, batch)
    ]
    return np.concatenate(parts).astype(np.float32)


def _labels(label, count, classes):
    """The labels int64 (count,) that --label asks for."""
    if label is None:
        return np.arange(count) % len(classes)
    names = [*classes, *map(str, range(len(classes)))]  # a name first, else a number
    if label not in names:
        raise UserError(f"--label {label}: this generator knows {', '.join(classes)}")
    return np.full(count, names.index(label) % len(classes))


def gradcheck(options):
    """Print the table of all checks; the exit code."""
    checks = []

    def remembered():
        for check in check_all(options.seed):
            checks.append(check)
            yield check

    for line in table(remembered()):
        print(line)
    failed = [check for check in checks if not check.ok]
    print(f"{len(checks)} checks, {len(failed)} failed")
    return 1 if failed else 0


def info(options):
    """Print the networks, the run and its step."""
    checkpoint = Checkpoint(options.checkpoint)
    for name, network in checkpoint.networks().items():
        if name != TRAINED:  # the same layers as the generator, its average
            print(network.summary(), end="\n\n")
    if checkpoint.run:
        data = checkpoint.run["data"]
        print(f"{checkpoint.run['name']}: step {checkpoint.run['step']:,}; "
              f"data: {data['count']:,} images {data['name']}")
        for name, value in checkpoint.run["options"].items():
            print(f"  {name}: {value}")


if __name__ == "__main__":
    command(main, NAME)
