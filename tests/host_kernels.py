"""CuPy's ElementwiseKernel for the stand-in: the same C, compiled for the CPU and run there.

A kernel's body is put into a loop and compiled by the C++ compiler at hand.  It runs from the
last index to the first, since on a GPU no order is certain, and an index outside of an array
is an error, which on a GPU is silent.  As in CuPy, an array of another dtype than declared is
a TypeError, and numbers take the declared type.
"""

import atexit
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

COMPILER = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
FOLDER = "MINIGAN_TEST_KERNELS"
NO_COMPILER = "no C++ compiler (c++, g++ or $CXX) to run the GPU's kernels on the CPU"

FRAME = """
#include <cmath>
#include <cstddef>
using namespace std;
typedef unsigned char uint8;
typedef int int32;
typedef unsigned int uint32;
typedef long long int64;
typedef float float32;
typedef double float64;
{types}
static bool outside;
template <class E> struct raw {{
    E* data; ptrdiff_t size; E spare;
    E& operator[](ptrdiff_t k) {{
        if (k >= 0 && k < size) return data[k];
        outside = true;
        return spare;
    }}
}};
extern "C" bool run(ptrdiff_t n, void** arguments, ptrdiff_t* sizes) {{
    outside = false;
    {arguments}
    for (ptrdiff_t i = n; i-- > 0;) {{
        {elements}
        {body}
    }}
    return outside;
}}
"""


class Parameter:
    """One declaration, such as "raw T x"."""

    def __init__(self, text, is_output):
        *words, self.type, self.name = text.split()
        self.raw, self.is_output = words == ["raw"], is_output

    def dtype(self, types):
        return np.dtype(types.get(self.type, self.type))

    def argument(self, k, is_array):
        if self.raw:
            return f"raw<{self.type}> {self.name} = {{({self.type}*)arguments[{k}], sizes[{k}]}};"
        if is_array:
            return f"{self.type}* _{self.name} = ({self.type}*)arguments[{k}];"
        return f"const {self.type} {self.name} = *({self.type}*)arguments[{k}];"

    def element(self):
        const = "" if self.is_output else "const "
        return f"{const}{self.type}& {self.name} = _{self.name}[i];"


class HostKernel:
    """run(*memory, size) -> list of outputs; memory are NumPy arrays and numbers."""

    def __init__(self, inputs, outputs, body):
        self.inputs, self.outputs = (
            [Parameter(text, is_output) for text in texts.split(",")]
            for texts, is_output in ((inputs, False), (outputs, True))
        )
        self.parameters = self.inputs + self.outputs
        self.body = body

    def run(self, *memory, size=None):
        if len(memory) not in (len(self.inputs), len(self.parameters)):
            raise TypeError(f"{len(memory)} arguments for {len(self.parameters)} parameters")
        types = self._types(memory)
        shapes = [
            value.shape
            for p, value in zip(self.parameters, memory, strict=False)
            if isinstance(value, np.ndarray) and not p.raw
        ]
        if bool(shapes) == (size is not None):
            raise ValueError("size is for kernels of raw arrays alone, and they need it")
        shape = np.broadcast_shapes(*shapes) if shapes else (size,)
        given = dict(enumerate(memory))
        made = [
            given[k] if k in given else nobody_has_written(shape, p.dtype(types))
            for k, p in enumerate(self.outputs, len(self.inputs))
        ]
        for p, array in zip(self.outputs, made, strict=False):
            if not p.raw and array.shape != shape:
                raise ValueError(f"{p.name} has shape {array.shape}, the loop has {shape}")
        flat = [
            self._flat(p, value, shape, types)
            for p, value in zip(self.parameters, [*memory[: len(self.inputs)], *made], strict=False)
        ]
        is_array = tuple(isinstance(value, np.ndarray) and value.ndim == 1 for value in flat)
        if compiled(self._source(types, is_array))(
            int(np.prod(shape)),
            (ctypes.c_void_p * len(flat))(*(value.ctypes.data for value in flat)),
            (ctypes.c_ssize_t * len(flat))(*(value.size for value in flat)),
        ):
            raise IndexError("a raw array was read or written outside of its bounds")
        for array, result in zip(made, flat[len(self.inputs) :], strict=False):
            array[...] = result.reshape(array.shape)
        return made

    def _types(self, memory):
        """Type letter -> dtype, from the arrays; TypeError where two disagree."""
        types = {}
        for p, value in zip(self.parameters, memory, strict=False):
            if isinstance(value, np.ndarray):
                wanted = types.setdefault(p.type, value.dtype) if len(p.type) == 1 else p.type
                if np.dtype(wanted) != value.dtype:
                    raise TypeError(f"{p.name} is {value.dtype}, declared {p.type}, {wanted}")
        return types

    def _flat(self, p, value, shape, types):
        if not isinstance(value, np.ndarray):
            return np.array(value, p.dtype(types))
        if not p.raw:
            value = np.broadcast_to(value, shape)
        return np.array(value).reshape(-1)  # a copy: outputs never alias inputs

    def _source(self, types, is_array):
        parameters = list(zip(self.parameters, is_array, strict=False))
        return FRAME.format(
            types="".join(
                f"typedef {dtype} {letter};" for letter, dtype in types.items() if len(letter) == 1
            ),
            arguments="\n".join(p.argument(k, array) for k, (p, array) in enumerate(parameters)),
            elements="\n".join(p.element() for p, array in parameters if array and not p.raw),
            body=self.body,
        )


def nobody_has_written(shape, dtype):
    """What must not reach a result: not a number, or 99."""
    return spoil(np.empty(shape, dtype))


def spoil(array):
    array[...] = np.nan if array.dtype.kind == "f" else 99
    return array


@functools.cache
def compiled(source):
    """The function `run` of C++ source."""
    assert COMPILER, NO_COMPILER
    library = folder() / f"{hashlib.sha256(source.encode()).hexdigest()}.so"
    if not library.exists():
        begun = library.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [COMPILER, "-x", "c++", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-Wall",
             "-Werror", "-Wno-unused-variable", "-o", begun, "-"],
            input=source, text=True, check=True,
        )  # fmt: skip
        begun.rename(library)
    run = ctypes.CDLL(str(library)).run
    pointers, sizes = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_ssize_t)
    run.argtypes = ctypes.c_ssize_t, pointers, sizes
    run.restype = ctypes.c_bool
    return run


def folder():
    """Where the compiled kernels are while the tests run: one for all the processes of a run."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="minigan-kernels-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return Path(os.environ[FOLDER])
