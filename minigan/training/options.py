"""The command line that all examples share.

`parser` makes an argument parser with the common options, to which an example
adds its own; `parse` reads it and brings in what a resumed run has stored.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from ..arrays import DEVICES, FLOAT_TYPES
from ..errors import UserError
from .checkpoint import Checkpoint

CHECKPOINT = "checkpoint.npz"

# A resumed run may change these; everything else is part of what it computes.
# (--data may say the same pictures differently: the pictures themselves are compared.)
FREE_ON_RESUME = {"out", "resume", "device", "data", "epochs", "steps"}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


def parser(description, *, name, epochs, batch_size):
    """The parser of an example with the options that all examples take.

    description: text for --help.  name: the folder of its runs.  epochs, batch_size:
    the defaults.
    """
    formatter = argparse.ArgumentDefaultsHelpFormatter
    result = Parser(description=description, formatter_class=formatter)
    result.set_defaults(name=name)
    add = result.add_argument
    add("--device", choices=(*DEVICES, "auto"), default="cpu", help="where to train")
    add("--data", default="auto", metavar="auto|mnist|digits|PATH",
        help="training images; auto is MNIST if it can be had, else the built-in digits")
    add("--out", type=Path, metavar="DIR", help=f"folder for all results (default: runs/{name})")
    add("--epochs", type=integer(1), default=epochs, help="passes over the data")
    add("--steps", type=integer(1), help="stop after this many steps in all (default: no limit)")
    add("--batch-size", type=integer(1), default=batch_size, help="images a step")
    add("--seed", type=integer(0), default=0, help="of everything random")
    add("--limit", type=integer(1), help="use the first so many images only (default: all)")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--dtype", choices=FLOAT_TYPES, default="float32", help="precision of the arithmetic")
    return result


def parse(parser, argv=None):
    """The options of this run: defaults, then a resumed run's, then the command line's.

    argv: list of words; the process's own where None.  Adds `command`, the
    words that go on with this run.  Raises UserError where --out holds a run and
    --resume is absent, where --resume finds none, or finds one with another
    configuration (naming what differs).
    """
    argv = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(argv)
    options.out = options.out or _default_folder(parser.get_default("name"), options.resume)
    path = options.out / CHECKPOINT
    if options.resume:
        _bring_in(Checkpoint(path).run, options, _given(parser, argv), path)
    elif path.exists():
        raise UserError(
            f"{options.out} holds a run already: add --resume to go on with it, "
            "or give another --out"
        )
    options.command = shlex.join(["python", sys.argv[0], "--resume", "--out", str(options.out)])
    _check_folder(options.out)
    return options


def configuration(options):
    """What of the options a checkpoint keeps, as JSON-ready data."""
    left_out = ("out", "resume", "command", "name")
    return {key: value for key, value in vars(options).items() if key not in left_out}


def integer(low):
    """An argparse type: an integer of at least `low`."""

    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {low}")
        return value

    return convert


def number(low, high):
    """An argparse type: a number x with low < x <= high."""

    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low < value <= high:  # false for a NaN too
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above {low} up to {high}")
        return value

    return convert


def _given(parser, argv):
    """The options that stand on the command line, without the defaults."""
    unset = object()
    destinations = vars(parser.parse_args(argv))
    given = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(destinations, unset)))
    return {key: value for key, value in vars(given).items() if value is not unset}


def _bring_in(run, options, given, path):
    """Take the stored options of a run, except those given now."""
    stored = run["options"] if isinstance(run, dict) and "options" in run else None
    if stored is None or run["name"] != options.name:
        raise UserError(f"{path} was not written by this program: give the --out of one of its runs")
    differing = [
        f"{key} is {stored[key]} there, {given[key]} here"
        for key in stored.keys() & given.keys() - FREE_ON_RESUME
        if given[key] != stored[key]
    ]
    if differing:
        raise UserError(
            f"cannot resume {path} with another configuration: {'; '.join(sorted(differing))}"
        )
    for key in stored.keys() - given.keys():
        setattr(options, key, stored[key])
    if "epochs" in given and "steps" not in given:
        options.steps = None  # a limit of the first run would hide the new number of epochs


def _default_folder(name, resume):
    """runs/NAME, or with a number where that is taken; the last one taken to resume."""
    number, folder = 1, Path("runs", name)
    last_taken = folder
    while (folder / CHECKPOINT).exists():
        last_taken, number = folder, number + 1
        folder = Path("runs", f"{name}-{number}")
    return last_taken if resume else folder


def _check_folder(folder):
    """Make the folder of results; UserError in one line where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"--out {folder} is, or lies under, a file: give a folder") from error
    except OSError as error:
        raise UserError(f"cannot make --out {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out {folder} is not writable: give another folder")
