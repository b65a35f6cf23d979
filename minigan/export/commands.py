"""The commands `minigan export` and `minigan import`."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np

from .. import archive
from ..atomic import replacing
from ..errors import UserError, printable, writing
from ..regular import open_regular
from ..training.checkpoint import TRAINED, Checkpoint
from ..training.options import check_form
from .named import LAYOUTS, fill, tensors
from .onnx_file import OPSET, write_onnx


def add_commands(commands):
    """Add export and import to the subparsers of `minigan`."""
    sub = commands.add_parser("export", help="a network for use elsewhere")
    sub.add_argument("checkpoint", type=Path)
    sub.add_argument("--to", choices=("onnx", "npz"), required=True, help="the kind of file")
    sub.add_argument("--network", default="generator", metavar="NAME", help="which (generator)")
    sub.add_argument(
        "--layout", choices=LAYOUTS, help="of --to npz: whose names and axes (minigan)"
    )
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.onnx|FILE.npz")
    sub.set_defaults(run=_export)

    sub = commands.add_parser("import", help="a checkpoint with the tensors of an exported .npz")
    sub.add_argument("tensors", type=Path, metavar="FILE.npz", help="of export, in either layout")
    sub.add_argument(
        "--into", type=Path, required=True, metavar="CHECKPOINT", help="what all else is taken from"
    )
    sub.add_argument("--out", type=Path, required=True, metavar="NEW.npz")
    sub.set_defaults(run=_import)


def _export(options):
    path, name, out = options.checkpoint, options.network, options.out
    check_form(out, f".{options.to}")
    if options.to == "onnx" and options.layout:
        raise UserError(f"--layout {options.layout} is for --to npz; ONNX has a layout of its own")
    checkpoint = Checkpoint(path)
    network = _named_network(checkpoint, name)
    with writing(out), _fitting(f"cannot export {name} of {path}"):
        if options.to == "onnx":
            shape = _input_shape(checkpoint, name)
            made = write_onnx(out, network, shape, _metadata(checkpoint.run))
            sizes = " -> ".join(f"({', '.join(map(str, ('N', *s)))})" for s in (shape, made))
            what = f"{name}, {sizes}, opset {OPSET},"
        else:
            layout = options.layout or "minigan"
            shape = _input_shape(checkpoint, name) if layout == "torch" else None
            found = tensors(network, layout, shape)
            with replacing(out) as file:
                np.savez(file, **{f"{name}.{tensor}": array for tensor, array in found.items()})
            what = f"{len(found)} tensors of {name}, layout {layout},"
    print(printable(f"{what} in {out}"))


def _import(options):
    """Write a checkpoint that is another one but for the tensors of a file."""
    path, out = options.tensors, options.out
    check_form(out, ".npz")
    if os.path.lexists(out):  # perhaps the checkpoint of a run
        raise UserError(f"--out {out} is there already: give the name of a new file")
    checkpoint, stored = Checkpoint(options.into), _read(path)
    networks = checkpoint.networks()
    strange = [t for t in stored if not t.startswith(tuple(f"{name}." for name in networks))]
    if strange or not stored:
        what = f"{strange[0]} is of none of" if strange else "it is empty;"
        raise UserError(f"{path}: {what} {', '.join(networks)}, which {options.into} has")
    for name, network in networks.items():
        prefix = f"{name}."
        own = {t.removeprefix(prefix): a for t, a in stored.items() if t.startswith(prefix)}
        if own:
            shape = _input_shape(checkpoint, name) if checkpoint.run else None
            with _fitting(f"{path} does not fit {name} of {options.into}"):
                fill(network, own, shape)
                if not all(np.isfinite(tensor).all() for _, tensor in network.named_state()):
                    raise UserError(f"{path}: a number of its {name} is not finite")
    arrays = checkpoint.arrays | archive.tensors(networks)
    if checkpoint.history:
        arrays["history"] = np.frombuffer(checkpoint.history, np.uint8)
    with writing(out):
        archive.write(
            out, networks, arrays,
            optimizer_steps=checkpoint.description["optimizer_steps"], run=checkpoint.run,
        )  # fmt: skip
    print(printable(f"{options.into} with {len(stored)} tensors of {path} in {out}"))


@contextlib.contextmanager
def _fitting(what):
    """What does not fit, in a file perhaps forged, is one line."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{what}: {error}") from error


def _named_network(checkpoint, name):
    networks = checkpoint.networks()
    if name not in networks:
        raise UserError(f"--network {name}: {checkpoint.path} has {', '.join(networks)}")
    return networks[name]


def _input_shape(checkpoint, name):
    """The shape of a sample that a network of a run reads, its label's code or planes included."""
    run = checkpoint.run
    if run is None:
        raise UserError(
            f"{checkpoint.path} is of no run, and does not say what size {name} reads: "
            "in Python, minigan.export takes it"
        )
    codes = len(run["latent"].get("classes", ()))
    if name in ("generator", TRAINED):
        return (run["latent"]["size"] + codes,)
    *size, channels = run["data"]["shape"]
    return (*size, channels + codes)


def _metadata(run):
    """What one needs to know to draw, as texts."""
    return {name: json.dumps(run[name]) for name in ("latent", "value_range")}


def _read(path):
    """dict name -> array of a file written by `numpy.savez`."""
    try:
        with open_regular(path) as file:
            return archive.read_arrays(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError:
        raise
    except Exception as error:  # zipfile and NumPy have a dozen ways to refuse
        raise UserError(
            f"{path} is damaged, or not what numpy.savez writes of float32 or float64 arrays: "
            f"{str(error)[:200]}"
        ) from error
