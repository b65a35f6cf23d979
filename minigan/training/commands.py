"""The command lines of what a run has made."""

from pathlib import Path

import numpy as np

from ..atomic import replacing
from ..errors import UserError, printable, writing
from . import score_command, shortage
from .batches import things
from .checkpoint import TRAINED, Checkpoint
from .examine import diagnose
from .options import check_form, integer
from .pictures import grid, save_gif, save_png
from .rates import describe
from .report import report
from .sampling import load


def add_commands(commands):
    """Add what looks at a run, and draws with it, to the subparsers of `minigan`."""
    sub = commands.add_parser("sample", help="draw pictures with a trained generator")
    _add_checkpoint(sub)
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--count", type=integer(1), default=16, help="number of pictures (16)")
    which.add_argument(
        "--pick",
        type=integer(0),
        nargs="+",
        metavar="NUMBER",
        help="these pictures of the seed alone; its sheet counts them from 0, row by row",
    )
    _add_seed(sub)
    sub.add_argument("--label", help="of what kind, by name or number (default: each in turn)")
    sub.add_argument(
        "--out",
        type=Path,
        metavar="FILE.png|FILE.npy",
        help="a sheet, or float32 (N, H, W, C) in the generator's range",
    )
    sub.add_argument(
        "--each",
        type=Path,
        metavar="DIR",
        help="a PNG file for each, at its own size, called by its number; replaces none",
    )
    sub.set_defaults(run=sample)

    sub = commands.add_parser("interpolate", help="draw the way from picture to picture")
    _add_checkpoint(sub)
    sub.add_argument(
        "--between",
        type=integer(0),
        nargs="+",
        required=True,
        metavar="NUMBER",
        help="two pictures or more of the seed, as `sample --seed SEED` counts them, from 0",
    )
    sub.add_argument(
        "--steps",
        type=integer(2),
        default=8,
        help="pictures from each to the next, both ends among them (8)",
    )
    _add_seed(sub)
    sub.add_argument(
        "--label",
        nargs="+",
        metavar="NAME",
        help="of what kind, one for all or one for each of --between (default: as in sample)",
    )
    sub.add_argument(
        "--straight",
        action="store_true",
        help="z goes in a straight line, as uniform z always do (default of normal z: on their "
        "sphere)",
    )
    sub.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.png|FILE.gif",
        help="a row for each way, or there and back as an animation",
    )
    sub.set_defaults(run=interpolate)

    score_command.add_commands(commands)

    sub = commands.add_parser("info", help="what a checkpoint holds")
    _add_checkpoint(sub)
    sub.set_defaults(run=info)

    sub = commands.add_parser("diagnose", help="what is wrong with a run; exit 1 if something is")
    _add_folder(sub)
    sub.set_defaults(run=diagnose)

    sub = commands.add_parser("report", help="one page of a run: curves, pictures, diagnosis")
    _add_folder(sub)
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    sub.set_defaults(run=report)


def _add_checkpoint(sub):
    sub.add_argument("checkpoint", type=Path, help="the file, or the folder of its run")


def _add_folder(sub):
    sub.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run")


def _add_seed(sub):
    sub.add_argument("--seed", type=integer(0), default=0, help="other seeds, other pictures (0)")


def sample(options):
    """Write pictures of the checkpoint's generator, on a sheet, as numbers or each by itself."""
    out, each = options.out, options.each
    if out is None and each is None:
        raise UserError("where to? give --out FILE.png, --out FILE.npy or --each DIR")
    if out is not None:
        check_form(out, ".png", ".npy")
    numbers = options.pick or range(options.count)
    shortage.advice = lambda: "ask for fewer pictures with --count"
    networks = load(options.checkpoint)
    images = networks.sample(pick=numbers, seed=options.seed, label=options.label)
    numbers_alone = each is None and out.suffix.lower() == ".npy"
    levels = [] if numbers_alone else networks.pixels(images)
    files = [] if each is None else [each / f"{number:04d}.png" for number in numbers]
    for file in files:
        if file.exists():
            raise UserError(f"{file} is there already: give another folder for --each")
    for file, level in zip(files, levels):
        with writing(file):
            save_png(file, level)
    if out is not None:
        with writing(out):
            if out.suffix.lower() == ".npy":
                with replacing(out) as file:
                    np.save(file, images)
            else:
                save_png(out, grid(levels))
    print(f"{len(images)} pictures in {' and '.join(printable(p) for p in (out, each) if p)}")


def interpolate(options):
    """Write the pictures between some of the checkpoint's generator."""
    check_form(options.out, ".png", ".gif")
    if len(options.between) < 2:
        raise UserError(f"--between {options.between[0]}: give the numbers of two pictures or more")
    shortage.advice = lambda: "ask for fewer pictures with --steps"
    networks = load(options.checkpoint)
    images = networks.interpolate(
        options.between,
        options.steps,
        seed=options.seed,
        label=options.label,
        straight=options.straight,
    )
    ways = networks.pixels(images)
    with writing(options.out):
        if options.out.suffix.lower() == ".png":
            save_png(options.out, grid(ways.reshape(-1, *ways.shape[2:]), columns=options.steps))
        else:
            there = [frame for way in ways for frame in way[:-1]] + [ways[-1, -1]]
            frames = [grid(frame[None], gap=0) for frame in there]
            save_gif(options.out, frames + frames[-2:0:-1], frame_ms=100, last_ms=100)
    print(f"{len(ways)} x {options.steps} pictures in {printable(options.out)}")


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
            f"data: {data['count']:,} {things(data['shape'])} {printable(data['name'])}"
        )
        for name, value in checkpoint.run["options"].items():
            print(printable(f"  {name}: {value}"))
        for period in checkpoint.run.get("rates", []):
            print(printable(f"from step {period['step'] + 1:,} on: {describe(period)}"))
