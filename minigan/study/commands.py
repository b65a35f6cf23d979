"""The command lines of the studies; each loads what it needs when it is called."""

from pathlib import Path

from ..training.options import integer


def add_commands(commands):
    """Add anatomy, lab and puzzle to the subparsers of `minigan`."""
    sub = commands.add_parser("anatomy", help="one training step taken apart, as a page")
    sub.add_argument(
        "checkpoint",
        type=Path,
        nargs="?",
        help="of any run (default: a small fully connected GAN, made for this)",
    )
    sub.add_argument(
        "--steps",
        type=integer(0),
        help="without a checkpoint: how long that is trained before (300)",
    )
    sub.add_argument("--seed", type=integer(0), default=0, help="of the batch that is shown (0)")
    sub.add_argument(
        "--data",
        metavar="mnist|cifar10|digits|PATH",
        help="its pictures (default: those of the run)",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    sub.set_defaults(run=_anatomy)

    sub = commands.add_parser("lab", help="watch a GAN learn in the plane, step inside a step")
    sub.add_argument(
        "--port",
        type=integer(0, 65535),
        default=8017,
        help="of the page on 127.0.0.1; 0: any free one (8017)",
    )
    sub.add_argument("--no-browser", dest="browser", action="store_false", help="open none")
    sub.set_defaults(run=_lab)

    sub = commands.add_parser("puzzle", help="find the fault in a copy of the plain engine")
    sub.add_argument("number", type=integer(1), nargs="?", help="which (default: list them)")
    sub.add_argument(
        "--out",
        type=Path,
        default=Path("puzzles"),
        metavar="DIR",
        help="folder of the copies (puzzles)",
    )
    action = sub.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="is the copy right now?")
    action.add_argument("--hint", type=integer(1), metavar="1|2|3", help="a hint, the third plain")
    sub.set_defaults(run=_puzzle)


def _anatomy(options):
    from .anatomy import anatomy

    return anatomy(options)


def _lab(options):
    from .lab.server import lab

    return lab(options)


def _puzzle(options):
    from .puzzle import puzzle

    return puzzle(options)
