"""The command lines of what a run has made; each loads what it needs when it is called."""

from pathlib import Path

from ..errors import UserError, printable
from . import shortage
from .options import integer


def add_commands(commands):
    """Add sample and info to the subparsers of `minigan`."""
    sub = commands.add_parser("sample", help="draw pictures with a trained generator")
    sub.add_argument("checkpoint", type=Path)
    sub.add_argument("--count", type=integer(1), default=16, help="number of pictures (16)")
    sub.add_argument("--seed", type=integer(0), default=0, help="other seeds, other pictures (0)")
    sub.add_argument("--label", help="of what kind, by name or number (default: each in turn)")
    sub.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.png|FILE.npy",
        help="a sheet, or float32 (N, H, W, C) in the generator's range",
    )
    sub.set_defaults(run=sample)

    sub = commands.add_parser("info", help="what a checkpoint holds")
    sub.add_argument("checkpoint", type=Path)
    sub.set_defaults(run=info)


def sample(options):
    """Write `count` pictures of the checkpoint's generator."""
    import numpy as np

    from ..atomic import replacing
    from .checkpoint import Checkpoint
    from .pictures import grid, save_png, to_uint8
    from .sampling import sample_images

    form = options.out.suffix.lower()
    if form not in (".png", ".npy"):
        raise UserError(f"--out {options.out}: the name must end in .png or .npy")
    shortage.advice = lambda: "ask for fewer pictures with --count"
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
    print(f"{options.count} pictures in {printable(options.out)}")


def info(options):
    """Print the networks, the run and its step."""
    from .checkpoint import TRAINED, Checkpoint

    shortage.advice = lambda: f"{options.checkpoint} is too large for this machine"
    checkpoint = Checkpoint(options.checkpoint)
    for name, network in checkpoint.networks().items():
        if name != TRAINED:  # the same layers as the generator, its average
            print(*map(printable, network.summary().splitlines()), sep="\n", end="\n\n")
    if checkpoint.run:
        data = checkpoint.run["data"]
        print(
            f"{printable(checkpoint.run['name'])}: step {checkpoint.run['step']:,}; "
            f"data: {data['count']:,} images {printable(data['name'])}"
        )
        for name, value in checkpoint.run["options"].items():
            print(printable(f"  {name}: {value}"))
