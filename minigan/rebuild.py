"""Networks out of an archive: its description is a list of layers, its vectors fill them."""

import numpy as np

from . import archive, init, layers
from .arrays import get_array_module
from .condition import ByClass
from .description import check
from .errors import UserError
from .network import Sequential

NETWORKS = {"Sequential": Sequential, "ByClass": ByClass}


def read(path):
    """(arrays, description) of an archive, the description checked.

    Raises UserError with one line if the file is missing, damaged, of another kind, or holds
    pickled objects.
    """
    arrays, description = archive.read(path)
    try:
        check(description)
    except ValueError as error:
        raise UserError(f"{path} is damaged or forged: {error}") from error
    return arrays, description


def networks(path, arrays, description, custom=()):
    """The networks of what `read(path)` has returned: dict name -> Sequential, on the CPU.

    custom: layer and initialiser classes of your own that the networks use.  Raises UserError
    where they do not fit what is stored.
    """
    built = {}
    for name, described in description["networks"].items():
        try:
            _check_sizes(described, custom, arrays, name)
            with np.errstate(all="ignore"):  # of initial values, which are written over
                built[name] = rebuild(described, custom)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # a class of one's own may refuse arguments as it likes
            raise UserError(f"{path}: cannot rebuild its {name}: {error}") from error
    fill(path, archive.tensors(built), arrays)
    return built


def _check_sizes(described, custom, arrays, name):
    """ValueError unless a network has the sizes of its vectors, before anything is allocated."""
    layers = list(_layers(described, custom))
    for vector, count in (
        ("params", sum(layer.param_count for layer in layers)),
        ("buffers", sum(layer.buffer_count for layer in layers)),
    ):
        stored = arrays.get(f"{name}/{vector}", np.empty(0)).size
        if count != stored:
            raise ValueError(f"it has {count} {vector}, stored are {stored}")


def _layers(described, custom):
    """Yields the layers of a description that are no networks, unbuilt."""
    for layer in described["layers"]:
        if layer["class"] in NETWORKS:
            yield from _layers(layer, custom)
        else:
            yield rebuild(layer, custom)


def fill(path, vectors, arrays):
    """Write stored arrays into the vectors of the same names; UserError unless they fit."""
    for name, vector in vectors.items():
        stored = arrays.get(name)
        if stored is None or stored.shape != vector.shape or stored.dtype != vector.dtype:
            found = "nothing" if stored is None else f"{stored.dtype} {stored.shape}"
            raise UserError(
                f"{path} does not fit: {name} should be {vector.dtype} {vector.shape}, "
                f"found {found}"
            )
        vector[...] = get_array_module(vector).asarray(stored)


def rebuild(description, custom=()):
    """The inverse of `archive.describe`, with tuples for its lists.

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
    classes = {cls.__name__: cls for cls in (*own, *NETWORKS.values(), *custom)}
    if name not in classes:
        raise UserError(f"unknown class {name!r}: give your own as load(path, custom=[{name}])")
    return classes[name](**arguments)
