"""Going on with a run: what its checkpoint says must be what is here."""

import argparse
import json

from ..errors import UserError
from .batches import things
from .rates import CONSTANT

# A resumed run may change these and its learning rates, which it keeps a record of; everything
# else is part of what it computes.
# (--data may say the same pictures differently: the pictures themselves are compared.)
FREE = {
    "out", "resume", "device", "data", "epochs", "steps", "sample_every", "score_every", "keep",
    "keep_best", "lr_schedule",
}  # fmt: skip


def bring_in(parser, checkpoint, options, given):
    """Take the stored options of a run, except those given on the command line.

    parser: of the program; it judges stored values as those that somebody types.  given: dict
    name -> value.  Raises UserError for the run of another program, a value that the parser
    would not take, and one that differs from the one given, unless it is free to change.
    """
    run, path = checkpoint.run, checkpoint.path
    if run is None or run["name"] != options.name:
        raise UserError(f"{path} was not written by this program: give --out of one of its runs")
    before = {  # of a run without them
        "average": 0.0, "kernels": "fast", "mirror": False, "local_batchnorm": False,
        "lr_schedule": CONSTANT, "init_from": None, "original": True, "bound": 0,
        "shift": 0.0, "drift": 0.0,
    }  # fmt: skip
    actions = {action.dest: action for action in parser._actions}
    stored = {name: before[name] for name in before.keys() & actions.keys()} | run["options"]
    for name, value in stored.items():
        problem = _problem(actions.get(name), value)
        if problem:
            raise UserError(f"{path} says {name} is {str(value)[:60]!r}: {problem}")
    if given.get("init_from", stored["init_from"]) != stored["init_from"]:
        raise UserError(
            f"--init-from {given['init_from']} is for a run that begins, and {path} has begun: "
            "leave it out, or give another --out without --resume"
        )
    check_same(stored, given, path, parser.free)
    for name in stored.keys() - given.keys():
        setattr(options, name, stored[name])
    if options.epochs is None and options.steps is None:
        raise UserError(f"{path} does not say how long the run is: give --epochs or --steps")


def check_same(stored, here, path, free):
    """UserError naming each option that differs between two dicts, and is not free to."""
    differing = [
        f"{name} is {stored[name]} there, {here[name]} here"
        for name in stored.keys() & here.keys() - free
        if here[name] != stored[name]
    ]
    if differing:
        raise UserError(
            f"cannot resume {path} with another configuration: {'; '.join(sorted(differing))}"
        )


def check_data(checkpoint, here, total_steps):
    """UserError unless a checkpoint is of the data with this fingerprint, and not further."""
    run, path = checkpoint.run, checkpoint.path
    there = run["data"]
    if there != here:
        if there["shape"] == here["shape"]:
            difference = ", but with other pixels or labels"
        else:
            shapes = ("x".join(map(str, data["shape"])) for data in (there, here))
            difference = ": of {} there, {} here".format(*shapes)
        raise UserError(
            f"cannot resume {path} with other data: {there['count']} {things(there['shape'])} "
            f"{there['name']} there, {here['count']} {things(here['shape'])} {here['name']} "
            f"here{difference}"
        )
    if total_steps < run["step"]:
        raise UserError(
            f"cannot resume {path} up to step {total_steps}: it is at step "
            f"{run['step']} already; give more --epochs or --steps"
        )


def check_drawn(checkpoint, here):
    """UserError unless a checkpoint is of the z, the classes and the range of pictures `here`.

    here: dict name -> value, that of the latent and value_range.  The data may be the same and a
    class have another name, that of its folder.
    """
    run = checkpoint.run
    there = run["latent"] | {"value_range": run["value_range"]}
    check_same(there, json.loads(json.dumps(here)), checkpoint.path, set())


def _problem(action, value):
    """What is wrong with a stored value of an option; None where nothing is."""
    if action is None or action.dest in ("help", "out", "resume", "summary"):
        return "no option of this program"
    if action.nargs == 0:
        return None if type(value) is bool else "expected true or false"
    if value is None:
        unset = action.default is None or action.dest in ("epochs", "steps")
        return None if unset else "expected a value"
    for one in value if action.nargs and isinstance(value, list) else [value]:
        if type(one) is bool or not isinstance(one, (str, int, float)):
            return "expected a number or a text"
        if action.type is None and type(one) is not str:
            return "expected a text"
        if action.choices is not None and one not in action.choices:
            return f"expected one of {', '.join(action.choices)}"
        try:
            read = (action.type or str)(str(one))
        except (argparse.ArgumentTypeError, ValueError) as error:
            return str(error)
        if isinstance(read, str) != isinstance(one, str) and isinstance(read, (str, int, float)):
            return f"expected a {'text' if isinstance(read, str) else 'number'}"
    return None
