"""checkpoint.npz: everything a run is, as plain arrays and one JSON text.

    generator/params          the flat vectors of each network
    generator/buffers
    generator/optimizer/m     the flat state of its optimizer
    description               JSON (uint8): architectures, optimizer steps, the run

A run that keeps a moving average of its generator stores that as `generator`, the one to draw
with, and the one in training as `generator/trained`: a resumed run goes on with it, and
`generator/optimizer` is its optimizer.

The architectures are data too, so a checkpoint alone rebuilds its networks.
Nothing is pickled: a file from a stranger can hold wrong numbers, but no code.
"""

import json
from pathlib import Path

import numpy as np

from .. import init, layers
from ..arrays import get_array_module, to_host
from ..atomic import replacing
from ..errors import UserError
from ..init import Initializer
from ..network import Layer, Sequential

FORMAT = "minigan checkpoint"
VERSION = 1
TRAINED = "generator/trained"
ZIP_MAGIC = b"PK\x03\x04"


def save(path, networks, optimizers=None, run=None):
    """Write a checkpoint, atomically: a failure leaves the old file as it was.

    networks: dict name -> Sequential.  optimizers: dict name -> Optimizer of the
    network of that name.  run: anything JSON can hold, to come back as `Checkpoint.run`.
    Raises OSError if the file cannot be written.
    """
    optimizers = optimizers or {}
    description = {
        "format": FORMAT,
        "version": VERSION,
        "networks": {name: describe(network) for name, network in networks.items()},
        "optimizer_steps": {name: optimizer.t for name, optimizer in optimizers.items()},
        "run": run,
    }
    text = json.dumps(description).encode()
    with replacing(path) as file:
        np.savez(
            file,
            description=np.frombuffer(text, np.uint8),
            **{name: to_host(array) for name, array in state(networks, optimizers).items()},
        )


def state(networks, optimizers):
    """The arrays of a checkpoint: dict name -> vector, the live ones, on their device."""
    arrays = {}
    for name, network in networks.items():
        arrays |= {f"{name}/params": network.params, f"{name}/buffers": network.buffers}
    for name, optimizer in optimizers.items():
        arrays |= {f"{name}/optimizer/{slot}": v for slot, v in optimizer.state.items()}
    return arrays


def load(path, custom=()):
    """The networks in a checkpoint: dict name -> Sequential, on the CPU.

    custom: layer and initialiser classes of your own that the networks use.
    Raises UserError if the file is missing, damaged or not a checkpoint.
    """
    return Checkpoint(path).networks(custom)


class Checkpoint:
    """A checkpoint file that has been read and checked.

    path: of the file.  arrays: dict name -> array.  description: the JSON text, parsed;
    run: what the run stored.  Raises UserError if the file is missing, damaged, not a
    checkpoint, or holds pickled objects.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.arrays = _read_arrays(self.path)
        try:
            self.description = json.loads(self.arrays.pop("description").tobytes())
            known = self.description["format"] == FORMAT
            version = self.description["version"]
        except (KeyError, ValueError, TypeError):
            known = False
        if not known:
            raise UserError(f"{self.path} is not a minigan checkpoint: it has no description")
        if version != VERSION:
            raise UserError(
                f"{self.path} has format version {version}, this minigan reads {VERSION}: "
                "update minigan"
            )
        self.run = self.description["run"]

    def networks(self, custom=()):
        """Rebuild the networks: dict name -> Sequential."""
        networks = {}
        for name, description in self.description["networks"].items():
            try:
                networks[name] = rebuild(description, custom)
            except UserError:
                raise
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{self.path}: cannot rebuild its {name}: {error}") from error
        self._copy_into(networks, {})
        return networks

    def restore(self, networks, optimizers):
        """Write the stored values into networks and optimizers built as before."""
        for name, network in networks.items():
            stored = self.description["networks"].get(name)
            if stored != json.loads(json.dumps(describe(network))):
                raise UserError(f"{self.path} holds another {name} than this program builds")
        for name, optimizer in optimizers.items():
            optimizer.t = self.description["optimizer_steps"].get(name, 0)
        self._copy_into(networks, optimizers)

    def _copy_into(self, networks, optimizers):
        for name, vector in state(networks, optimizers).items():
            stored = self.arrays.get(name)
            if stored is None or stored.shape != vector.shape or stored.dtype != vector.dtype:
                found = "nothing" if stored is None else f"{stored.dtype} {stored.shape}"
                raise UserError(
                    f"{self.path} does not fit: {name} should be {vector.dtype} {vector.shape}, "
                    f"found {found}"
                )
            vector[...] = get_array_module(vector).asarray(stored)


def describe(value):
    """A layer, an initialiser or an argument of theirs as JSON-ready data."""
    if isinstance(value, Layer):
        arguments = value.config()
    elif isinstance(value, Initializer):
        arguments = vars(value)
    elif isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    else:
        return value
    return {"class": type(value).__name__} | {
        name: describe(argument) for name, argument in arguments.items()
    }


def rebuild(description, custom=()):
    """The inverse of `describe`, with tuples for its lists.

    Raises UserError for a class it does not know.
    """
    if isinstance(description, list):
        return tuple(rebuild(item, custom) for item in description)
    if not isinstance(description, dict):
        return description
    arguments = {name: rebuild(item, custom) for name, item in description.items()}
    name = arguments.pop("class")
    own = [getattr(layers, key) for key in layers.__all__]
    own += [value for value in vars(init).values() if isinstance(value, type)]
    classes = {cls.__name__: cls for cls in (*own, Sequential, *custom)}
    if name not in classes:
        raise UserError(f"unknown class {name!r}: give your own as load(path, custom=[{name}])")
    return classes[name](**arguments)


def _read_arrays(path):
    """All arrays of an .npz file; UserError with one line if that cannot be had."""
    try:
        with open(path, "rb") as file:
            if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
                raise UserError(f"{path} is not a minigan checkpoint, or was cut off at its start")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                return {name: np.asarray(stored[name]) for name in stored.files}
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(
            f"no checkpoint at {path}: a run writes one when it begins and after each epoch"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile, zlib and NumPy have a dozen ways to refuse damage
        if "allow_pickle" in str(error):
            raise UserError(
                f"{path} holds pickled Python objects, which could run any code: refused"
            ) from error
        raise UserError(
            f"{path} is truncated or damaged ({error}): restore a copy, or start a new run"
        ) from error
