"""The array-module switch: the same code on NumPy (CPU) or CuPy (GPU).

Engine code asks an array which module it belongs to (`xp = get_array_module(x)`)
and calls that module; nothing is global and nothing moves between host and
device unless `to_device` says so.  CuPy is imported only when someone asks for
"gpu", so a machine that has CuPy but no GPU trains on its CPU as if CuPy were
not there.
"""

import importlib
import sys
from functools import cache

import numpy as np

from .errors import UserError

DEVICES = ("cpu", "gpu")
FLOAT_TYPES = ("float32", "float64")
NO_DEVICE = 100  # cudaErrorNoDevice: how CUDA counts zero devices


def get_array_module(x):
    """The module whose functions work on array `x`: numpy or cupy.

    Raises TypeError for anything that is not an array of a module already imported.
    """
    return module_of(type(x))


@cache
def module_of(kind):
    """The same of a type of arrays."""
    if issubclass(kind, (np.ndarray, np.generic)):
        return np
    module = sys.modules.get(kind.__module__.partition(".")[0])
    if module is None or not hasattr(module, "ndarray"):
        raise TypeError(f"expected a NumPy or CuPy array, got {kind.__name__}")
    return module


def on_gpu(x):
    """Is array `x` on a GPU?"""
    return get_array_module(x) is not np


def array_module(device):
    """numpy for "cpu", cupy for "gpu".

    Raises UserError when the GPU cannot be used, saying what is missing: CuPy, the
    driver, the device or the CUDA toolkit.
    """
    if device == "cpu":
        return np
    if device != "gpu":
        raise UserError(f"unknown device {device!r}: use 'cpu' or 'gpu'")
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise UserError(
            "no GPU: CuPy is not installed; pip install 'minigan[gpu]' (or the CuPy "
            f"build for your CUDA), or use --device cpu ({_first_line(error)})"
        ) from error
    runtime = cupy.cuda.runtime
    try:
        devices = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        if getattr(error, "status", None) != NO_DEVICE:
            raise UserError(
                "no GPU: CuPy found no working NVIDIA driver; install one that nvidia-smi "
                f"can talk to, or use --device cpu ({_first_line(error)})"
            ) from error
        devices = 0
    if devices == 0:
        raise UserError(
            "no GPU: the driver lists no device; check nvidia-smi and "
            "CUDA_VISIBLE_DEVICES, or use --device cpu"
        )
    try:
        cupy.cuda.nvrtc.getVersion()  # loads the compiler, which CuPy's wheels do not contain
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            "no GPU: CuPy finds no CUDA toolkit; pip install 'minigan[gpu]' brings one, "
            f"or use --device cpu ({_first_line(error)})"
        ) from error
    return cupy


def resolve_device(device):
    """ "cpu", "gpu" or "auto" -> "cpu" or "gpu"; auto takes the GPU where one works."""
    if device != "auto":
        array_module(device)
        return device
    try:
        array_module("gpu")
    except UserError:
        return "cpu"
    return "gpu"


def to_device(x, device):
    """Array `x` on "cpu" or "gpu"; `x` itself where it is there already."""
    if device == "cpu":
        return to_host(x)
    return array_module(device).asarray(x)


def to_host(x):
    """Array `x` as a NumPy array (waits for the GPU)."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.get() if hasattr(x, "get") else x)


def norm(x):
    """The Euclidean norm of all elements of array `x`, a 0-d array where x is: nothing waits."""
    flat = x.reshape(-1)
    if on_gpu(x):  # CuPy's own product cannot be part of a CUDA graph
        return np.sqrt((flat * flat).sum())
    return np.sqrt(flat @ flat)


def float_type(dtype):
    """`dtype` as a NumPy dtype.  Raises ValueError unless it is float32 or float64."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = dtype
    if name not in FLOAT_TYPES:
        raise ValueError(f"dtype {name!r} is not one of {', '.join(FLOAT_TYPES)}")
    return np.dtype(name)


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
