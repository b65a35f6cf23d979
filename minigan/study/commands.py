"""The command lines of the studies; each loads what it needs when it is called."""

from pathlib import Path

from ..training.options import integer


def add_commands(commands):
    """Add anatomy to the subparsers of `minigan`."""
    sub = commands.add_parser("anatomy", help="one training step taken apart, as a page")
    sub.add_argument("checkpoint", type=Path, nargs="?",
                     help="of any run (default: a small fully connected GAN, made for this)")
    sub.add_argument("--steps", type=integer(0),
                     help="without a checkpoint: train it so long before (0)")
    sub.add_argument("--seed", type=integer(0), default=0, help="of the batch that is shown (0)")
    sub.add_argument("--data", metavar="mnist|cifar10|digits|PATH",
                     help="its pictures (default: those of the run)")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    sub.set_defaults(run=_anatomy)


def _anatomy(options):
    from .anatomy import anatomy

    return anatomy(options)
