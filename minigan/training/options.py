"""The command line that all examples share.

`parser` makes an argument parser with the common options, to which an example
adds its own; `parse` reads it and brings in what a resumed run has stored.  `settings` does
both where there is no command line.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from .. import kernels, processes
from ..arrays import DEVICES, FLOAT_TYPES
from ..errors import UserError
from ..score import FIGURES
from . import shortage, together
from .checkpoint import Checkpoint
from .memory import refuse_what_does_not_fit, take_what_fits_elsewhere
from .prompt import at_a_prompt
from .rates import CONSTANT, SCHEDULES
from .results import CHECKPOINT, check_unused, is_untrained
from .resume import FREE, bring_in

LARGEST = 2**53  # of whole numbers: further, a float cannot tell them apart
SMALLEST = 2.0**-126  # normal number of float32
LONGEST = 1000  # characters of a name


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are UserErrors, of one line: a prompt lives on after one."""

    def parse_known_args(self, args=None, namespace=None):
        # argparse itself stumbles over "--lr=--", in one way or another, by its version.
        try:
            found, rest = super().parse_known_args(args, namespace)
        except UserError:
            raise
        except (IndexError, TypeError, ValueError):
            words = sys.argv[1:] if args is None else args
            self.error(f"an option without its value: {command_line(words)}")
        for action in self._actions:
            if action.nargs != "*" and getattr(found, action.dest, None) == []:
                self.error(f"argument {'/'.join(action.option_strings)}: expected a value")
        return found, rest

    @property
    def free(self):
        """Names of the options that a resumed run may change; what it does is recorded."""
        return FREE | {action.dest for action in self._actions if action.type is rate}

    def error(self, message):
        raise UserError(message)


class Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the line breaks of a description, and tells the defaults where they tell something."""

    def _get_help_string(self, action):
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


def parser(
    description, *, name, batch_size, epochs=None, steps=None, average=0.0, lr_schedule=CONSTANT
):
    """The parser of an example with the options that all examples take.

    description: text for --help.  name: the folder of its runs.  batch_size, and epochs or
    steps, and average and lr_schedule (None: the example decides): the defaults.
    """
    result = Parser(description=description, formatter_class=Formatter)
    result.set_defaults(name=name)
    result._optionals.title = "of this example"  # what it adds itself, and --help

    add = result.add_argument_group("the run").add_argument
    add("--epochs", type=integer(1), default=epochs, help="passes over the data")
    add("--steps", type=integer(1), default=steps, help="in all, whatever --epochs says")
    add("--batch-size", type=integer(1), default=batch_size, help="images a step")
    add("--seed", type=integer(0, 2**64 - 1), default=0, help="of everything random")
    add(
        "--lr-schedule",
        choices=(CONSTANT, *SCHEDULES),
        default=lr_schedule,
        help="of the learning rates over the run's steps: linear and cosine go to zero",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --out, without it with the one that was saved last",
    )

    add = result.add_argument_group("the data").add_argument
    add(
        "--data",
        type=path,
        default="auto",
        metavar="auto|mnist|cifar10|digits|PATH",
        help="training images, a PATH is a folder or archive of pictures or a file of arrays; "
        "auto is the example's own if they can be had, else the built-in digits",
    )
    add(
        "--limit",
        type=integer(1),
        help="use the first so many images only, of class folders as many of each (default: all)",
    )
    add("--mirror", action="store_true", help="turn half of the images left to right, at random")

    add = result.add_argument_group("the networks").add_argument
    add("--width", type=number(0, 16), default=1.0, help="scales the channels of both networks")
    add(
        "--init-from",
        type=path,
        metavar="CHECKPOINT",
        help="begin with the weights of another run, those that fit; a file, or a run's folder",
    )
    add("--summary", action="store_true", help="print both networks and exit")

    add = result.add_argument_group("the results").add_argument
    add(
        "--out",
        type=lambda text: Path(path(text)),
        metavar="DIR",
        help=f"folder for all results (default: runs/{name})",
    )
    add(
        "--average",
        type=fraction,
        default=average,
        metavar="DECAY",
        help="draw with the moving average of the generator's weights over about the last "
        "1 / (1 - DECAY) steps, fewer at first; 0: with the generator as it is",
    )
    add(
        "--sample-every",
        type=integer(1),
        metavar="STEPS",
        help="draw pictures this often, besides after each epoch",
    )
    add(
        "--score-every",
        type=integer(1),
        metavar="EPOCHS",
        help="score the pictures this often (docs/scores.md), as columns of the history",
    )
    add(
        "--keep-best",
        choices=FIGURES,
        help="keep the checkpoint with the best score of --score-every as best.npz",
    )
    add(
        "--keep",
        type=integer(1),
        metavar="N",
        help="keep the checkpoints of the last N epochs, as checkpoint_0007.npz",
    )

    add = result.add_argument_group("the machine").add_argument
    add("--device", choices=(*DEVICES, "auto"), default="cpu", help="where to train")
    add("--dtype", choices=FLOAT_TYPES, default="float32", help="precision of the arithmetic")
    add(
        "--cuda-graph",
        action="store_true",
        help="on a GPU: record the training step once, then launch it as a whole",
    )
    add(
        "--kernels",
        choices=("fast", "plain"),
        default="fast",
        help="plain: every formula as minigan/kernels/plain.py has it, to read, change and watch",
    )
    add(
        "--local-batchnorm",
        action="store_true",
        help="of several processes under MPI: BatchNorm's statistics are of each one's own images",
    )
    return result


def parse(parser, argv=None):
    """The options of this run: defaults, then a resumed run's, then the command line's.

    argv: list of words; the program's own where None, none at a prompt.  Adds `command`, the
    words that go on with this run.  Raises UserError for words that are no options, where --out
    holds a run and --resume is absent, where --resume finds none, or finds one with another
    configuration (naming what differs).
    """
    together.join()
    program = [] if at_a_prompt() else ["python", sys.argv[0]]
    if argv is None:
        argv = sys.argv[1:] if program else []
    options = parser.parse_args(argv)
    if options.summary:
        return options
    shortage.advice = shortage.before_the_run
    given, options.free = _given(parser, argv), parser.free
    if options.out is None:
        name = parser.get_default("name")
        options.out = (options.resume and _last_saved(name)) or _free_folder(name)
    options.out = processes.here.first(options.out)  # or each would find another one free
    if on_cpu := options.device == "cpu":
        refuse_what_does_not_fit()
    if options.resume:
        bring_in(parser, Checkpoint(options.out / CHECKPOINT), options, given)
    else:
        check_unused(options.out)
        if options.init_from:  # before the data are read, which may take minutes
            Checkpoint(options.init_from)
    if options.keep_best and not options.score_every:
        raise UserError(f"--keep-best {options.keep_best} needs --score-every EPOCHS")
    if on_cpu and options.device != "cpu":  # as the checkpoint said
        take_what_fits_elsewhere()
    if "epochs" in given and "steps" not in given:
        options.steps = None  # a number that nobody asked for now would hide that of epochs
    options.command = command_line([*program, "--resume", "--out", options.out])
    _check_folder(options.out)
    kernels.use(options.kernels)
    return options


def unless_given(options, **values):
    """Set those options that the command line has left open, at None; values: by name."""
    for name, value in values.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def settings(name, *, out=None, resume=False, **values):
    """The options of a run that has no command line, as in a notebook; `sys.argv` is not read.

        training.settings("mine", epochs=20, batch_size=64, device="auto")

    name: of the run.  out: its folder, runs/NAME by default.  resume: go on with the run in there
    if there is one, so that a cell may be run again; else that is an error.  One whose first step
    has failed is begun anew.  values: the other
    options of `parser`, by default ten epochs and batches of 64.  Raises UserError as `parse`.
    """
    out = Path("runs", name) if out is None else Path(out)
    stored = out / CHECKPOINT
    resume = resume and os.path.exists(stored) and not is_untrained(stored)
    if not resume:
        check_unused(out, "give resume=True to go on with it, or another out")
    words = [f"--out={out}"]
    for key, value in (values | {"resume": resume}).items():
        word = f"--{key.replace('_', '-')}"
        if value is not None and value is not False:
            words.append(word if value is True else f"{word}={value}")
    result = parse(parser("", name=name, epochs=10, batch_size=64), words)
    result.command = "settings(..., resume=True)"
    return result


def configuration(options):
    """What of the options a checkpoint keeps, as JSON-ready data."""
    left_out = ("out", "resume", "command", "name", "summary", "free", "cuda_graph")
    return {key: value for key, value in vars(options).items() if key not in left_out}


def channels(options, *counts):
    """Numbers of channels times --width, rounded, at least 1: a list."""
    return [max(1, round(count * options.width)) for count in counts]


def summarize(generator, discriminator, latent):
    """Print both networks with the shapes and parameters of their layers, for --summary."""
    codes = len(latent.classes)  # what conditional networks read behind z and behind the colours
    *size, colours = generator.output_shape((latent.size + codes,))
    print(generator.summary((latent.size + codes,)), end="\n\n")
    print(discriminator.summary((*size, colours + codes)))


def command_line(words):
    """Words as one line to paste into a shell: of this system, and quoted where need be."""
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(map(str, words))


def check_form(out, *forms):
    """UserError unless the name of a file for --out ends in one of these, such as ".png"."""
    if out.suffix.lower() not in forms:
        raise UserError(f"--out {out}: the name must end in {' or '.join(forms)}")


def path(text):
    """An argparse type: a word that can name a file."""
    if not text or "\0" in text or len(text) > LONGEST:
        raise argparse.ArgumentTypeError(f"{_short(text)} is no name of a file or folder")
    return text


def integer(low, high=LARGEST):
    """An argparse type: an integer from `low` to `high`."""

    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < low:
            raise argparse.ArgumentTypeError(f"{_short(text)} is not an integer of at least {low}")
        if value > high:
            raise argparse.ArgumentTypeError(f"{_short(text)} is above {high}")
        return value

    return convert


def number(low, high):
    """An argparse type: a number x with low < x <= high, which float32 can tell from 0."""

    def convert(text):
        value = _float(text)
        if not low < value <= high:  # false for a NaN too
            raise argparse.ArgumentTypeError(
                f"{_short(text)} is not a number above {low} up to {high}"
            )
        if abs(value) < SMALLEST:
            raise argparse.ArgumentTypeError(f"{_short(text)} is 0 in float32")
        return value

    return convert


def rate(text):
    """An argparse type: a learning rate, above 0 up to 1.  A resumed run may have another one."""
    return number(0, 1)(text)


def fraction(text):
    """An argparse type: a number x with 0 <= x < 1, such as the betas of Adam.

    The limit is that of a rate of dropout, 1 - 2^-16.
    """
    value = _float(text)
    if not 0 <= value < 1 - 2**-16:
        raise argparse.ArgumentTypeError(
            f"{_short(text)} is not a number from 0 to below 1 (0.99998 at most)"
        )
    return value


def _float(text):
    """The number that `text` says, NaN where it says none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _short(text):
    return repr(text) if len(text) <= 60 else f"{text[:40]!r}... ({len(text)} characters)"


def _given(parser, argv):
    """The options that stand on the command line, without the defaults."""
    unset = object()
    destinations = vars(parser.parse_args(argv))
    given = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(destinations, unset)))
    return {key: value for key, value in vars(given).items() if value is not unset}


def _free_folder(name):
    """runs/NAME, or with a number where that is taken."""
    number, folder = 1, Path("runs", name)
    while os.path.exists(folder / CHECKPOINT):
        number += 1
        folder = Path("runs", f"{name}-{number}")
    return folder


def _last_saved(name):
    """The folder runs/NAME or runs/NAME-NUMBER whose checkpoint is the newest; None if none has."""
    folders = [Path("runs", name), *Path("runs").glob(f"{name}-[0-9]*")]
    saved = [folder for folder in folders if os.path.exists(folder / CHECKPOINT)]
    return max(saved, key=lambda folder: os.path.getmtime(folder / CHECKPOINT), default=None)


def _check_folder(folder):
    """Make the folder of results; UserError in one line where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"--out {folder} is, or lies under, a file: give a folder") from error
    except OSError as error:
        raise UserError(f"cannot make --out {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out {folder} is not writable: give another folder")
