"""Three implementations of one list of functions, and the one place that chooses.

    plain    every formula in NumPy, one file: to read, to study, to judge the others by
    cpu      the same on all cores: blocks, minimal filtering, neighbours in one pass
    gpu      the same as CUDA kernels and cuBLAS products

A `Kernels` says which module works on which arrays: `FAST` takes cpu for NumPy's and gpu for
CuPy's, `PLAIN` takes plain for both.  Layers, losses, optimizers and penalties look their functions
up by the array they are given:

    k = self.kernels[type(x)]
    y = k.dense(x, self.weight, self.bias)
"""

import importlib
import sys

import numpy as np

from . import cpu, plain
from .geometry import Geometry, geometry, settings, transposed_geometry

__all__ = [
    "FAST", "PLAIN", "Geometry", "choose", "geometry", "settings", "transposed_geometry", "use",
]  # fmt: skip


class Kernels(dict):
    """Array type -> module of functions for such arrays.

    name: "fast" or "plain".  Raises TypeError for what is no NumPy or CuPy array.
    """

    def __init__(self, name):
        super().__init__()
        self.name = name

    def __missing__(self, kind):
        if not _is_array(kind):
            raise TypeError(f"expected a NumPy or CuPy array, got {kind.__name__}")
        if self.name == "plain":
            self[kind] = plain
        elif issubclass(kind, (np.ndarray, np.generic)):
            self[kind] = cpu
        else:
            self[kind] = importlib.import_module(".gpu", __name__)
        return self[kind]

    def __reduce__(self):
        return choose, (self.name,)


def _is_array(kind):
    if issubclass(kind, (np.ndarray, np.generic)):
        return True
    module = sys.modules.get(kind.__module__.partition(".")[0])
    return kind is getattr(module, "ndarray", None)


FAST, PLAIN = Kernels("fast"), Kernels("plain")
default = FAST  # of networks that name none, and of losses, which belong to no network


def choose(name=None):
    """The Kernels of that name, "fast" or "plain"; the default ones without.

    Raises ValueError for another name.
    """
    if name is None:
        return default
    for kernels in (FAST, PLAIN):
        if kernels.name == name:
            return kernels
    raise ValueError(f"kernels {name!r} are not 'fast' or 'plain'")


def use(name):
    """Make the Kernels of that name the default, before the networks are built."""
    global default
    default = choose(name)
