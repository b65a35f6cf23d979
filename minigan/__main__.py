"""minigan gradcheck | sample | score | info | export | import | ..., or python -m minigan ...

gradcheck   check every layer, loss, penalty and whole networks; exit 1 if one fails
sample      draw pictures with the generator of a checkpoint
score       how good the pictures of a run are
info        what a checkpoint holds
export      a network for use elsewhere: ONNX, or named tensors, also in PyTorch's layout
import      such tensors back into a checkpoint
anatomy     one training step taken apart, as a page for the browser
puzzle      the engine with a fault, for you to find
"""

import sys
from pathlib import Path

import numpy as np

from .atomic import replacing
from .errors import UserError, printable
from .export import commands as export
from .gradcheck import Table, all_cases, select
from .study import commands as study
from .training import score_command as score
from .training import shortage
from .training.checkpoint import TRAINED, Checkpoint
from .training.command import command
from .training.memory import refuse_what_does_not_fit
from .training.options import Parser, integer
from .training.pictures import grid, save_png, to_uint8
from .training.sampling import sample_images

# As it was called: by the command that pip installs, or as a module.
NAME = "minigan" if Path(sys.argv[0]).stem == "minigan" else "python -m minigan"


def main(argv=None):
    parser = Parser(prog=NAME, description="Tools around minigan's networks.")
    commands = parser.add_subparsers(metavar="gradcheck | sample | score | info | export | ...")

    sub = commands.add_parser("gradcheck", help="check all derivatives; exit 1 if one is wrong")
    sub.add_argument(
        "names",
        nargs="*",
        metavar="NAME|module:Class",
        help="what to check (default: everything), such as Conv2d, hinge or a layer "
        "of your own with its arguments, 'mine:Scale(10)'",
    )
    sub.add_argument("--seed", type=integer(0), default=0, help="of the test values")
    sub.set_defaults(run=gradcheck)

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

    score.add_commands(commands)

    sub = commands.add_parser("info", help="what a checkpoint holds")
    sub.add_argument("checkpoint", type=Path)
    sub.set_defaults(run=info)

    export.add_commands(commands)
    study.add_commands(commands)

    options = parser.parse_args(argv)
    if "run" not in options:
        parser.print_help()
        return 0
    refuse_what_does_not_fit()
    return options.run(options)


def sample(options):
    """Write `count` pictures of the checkpoint's generator."""
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


def gradcheck(options):
    """Print the table of the checks; the exit code."""
    chosen = select(options.names, options.seed) if options.names else all_cases(options.seed)
    table, failed = Table(chosen), 0
    print(table.head)
    for case in chosen:
        check = case.check()
        print(table.row(check))
        failed += not check.ok
    print(f"{len(chosen)} checks, {failed} failed")
    return 1 if failed else 0


def info(options):
    """Print the networks, the run and its step."""
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


def program():
    """The command `minigan`."""
    command(main, NAME)


if __name__ == "__main__":
    program()
