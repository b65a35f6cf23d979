"""A strict stand-in for CuPy, so that the GPU's rules can be checked without a GPU.

    monkeypatch.setitem(sys.modules, "cupy", strict_array_module)

NumPy does the arithmetic.  What this module adds is refusal: where CuPy (14) differs
from NumPy it does as CuPy does, and where CuPy would copy between host and device
without a word it raises TypeError, since such a copy costs more than the arithmetic.
It has the functions that the engine uses and no others, so a new one is noticed: it
must exist in CuPy, and is then added here.

NumPy's functions and operators hand themselves over to those here, as they do to CuPy's:
np.exp(x) is exp(x), np.concatenate([x, y]) is concatenate([x, y]).  What is not here, NumPy
refuses, and each function refuses host arrays among device arrays.

`host_traffic` lists what crossed between host and device: "upload", and the reads, each
of which waits until the GPU has finished: "get", "float", "int", "bool".  `launches` lists what a
GPU would be told to do: kernels, functions, operators, products and reductions, by name.
"""

import sys
import types
import typing

import host_kernels
import numpy as np

host_traffic = []
launches = []


class ndarray:
    """An array in "device memory", which is a NumPy array that nobody else sees."""

    __module__ = "cupy"  # by which minigan finds the module of an array
    __hash__ = None

    def __init__(self, memory):
        self._memory = np.asarray(memory)

    # core.pyx: the function of the same name takes over, with `out` itself in place of NumPy's
    # tuple.  Of a ufunc's methods (reduce, at, ...) the engine uses none.

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        function = getattr(sys.modules[__name__], ufunc.__name__, None)
        if function is None or method != "__call__":
            return NotImplemented
        if out is not None:
            [kwargs["out"]] = out
        return function(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        ours = getattr(sys.modules[__name__], function.__name__, None)
        known = function.__module__ == "numpy" and set(types) <= {ndarray, np.ndarray}
        return ours(*args, **kwargs) if ours and known else NotImplemented

    def __array__(self, *args, **kwargs):
        # cupy/_core/core.pyx: never an implicit copy to the host.
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    # Reads, each of which waits for the GPU (core.pyx: int, float and bool call get).

    def get(self):
        host_traffic.append("get")
        return self._memory.copy()

    def __float__(self):
        host_traffic.append("float")
        return float(self._memory)

    def __int__(self):
        host_traffic.append("int")
        return int(self._memory)

    def __bool__(self):
        host_traffic.append("bool")
        return bool(self._memory)

    # Shape and dtype; cupy's dtypes are NumPy's.

    shape = property(lambda self: self._memory.shape)
    ndim = property(lambda self: self._memory.ndim)
    size = property(lambda self: self._memory.size)
    dtype = property(lambda self: self._memory.dtype)
    strides = property(lambda self: self._memory.strides)
    itemsize = property(lambda self: self._memory.itemsize)
    T = property(lambda self: ndarray(self._memory.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self._memory.ctypes.data, device_id=0))

    def __len__(self):
        return len(self._memory)

    def reshape(self, *shape):
        view = self._memory.reshape(*shape)
        if not np.shares_memory(view, self._memory):
            launches.append("copy")
        return ndarray(view)

    def transpose(self, *axes):
        return ndarray(self._memory.transpose(*axes))

    def repeat(self, repeats, axis=None):
        launches.append("repeat")
        return ndarray(self._memory.repeat(repeats, axis=axis))

    def take(self, indices, axis):
        launches.append("take")
        return ndarray(self._memory.take(_device(indices), axis))

    def swapaxes(self, axis1, axis2):
        return ndarray(self._memory.swapaxes(axis1, axis2))

    def astype(self, dtype, copy=True):
        if not copy and dtype == self.dtype:
            return self
        launches.append("astype")
        return ndarray(self._memory.astype(dtype))

    def copy(self):
        launches.append("copy")
        return ndarray(self._memory.copy())

    def clip(self, low, high, out=None):
        return clip(self, low, high, out)

    def fill(self, value):
        launches.append("fill")
        self._memory.fill(_scalar(value))

    # Indices: integers, slices, ..., None and integer device arrays.  CuPy also takes host
    # arrays, which it uploads, and boolean ones, for which it reads a count: both refused.

    def __getitem__(self, key):
        key = _indices(key)
        if any(isinstance(item, np.ndarray) for item in key):
            launches.append("take")
        if not any(item is ... for item in key):
            key = (*key, ...)  # NumPy then gives a 0-d view in place of a scalar, as CuPy does
        return ndarray(self._memory[key])

    def __setitem__(self, key, value):
        launches.append("copy")
        self._memory[_indices(key)] = _operand(value)

    # Reductions: a 0-d array where NumPy returns a scalar.

    def sum(self, axis=None, dtype=None, keepdims=False):
        return self._reduced("sum", axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis=None, dtype=None, keepdims=False):
        return self._reduced("mean", axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis=None, keepdims=False):
        return self._reduced("max", axis=axis, keepdims=keepdims)

    def min(self, axis=None, keepdims=False):
        return self._reduced("min", axis=axis, keepdims=keepdims)

    def argmax(self, axis=None, keepdims=False):
        return self._reduced("argmax", axis=axis, keepdims=keepdims)

    def all(self, axis=None, keepdims=False):
        return self._reduced("all", axis=axis, keepdims=keepdims)

    def _reduced(self, name, **how):
        launches.append(name)
        return ndarray(getattr(self._memory, name)(**how))


def _operand(value):
    """The NumPy value of an operand; cupy/_core/_kernel.pyx refuses all but these types.

    Python numbers take the array's dtype, NumPy scalars keep theirs (NEP 50, as in CuPy 14),
    so a stray np.float64 widens a float32 array here as it does there.
    """
    return value._memory if isinstance(value, ndarray) else _scalar(value)


def _scalar(value):
    # _scalar.pyx: exactly these types are scalars.  A host array of one element is none.
    if type(value) in (bool, int, float) or isinstance(value, np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _device(value):
    """The NumPy array of a device array; TypeError for anything else."""
    if isinstance(value, ndarray):
        return value._memory
    raise TypeError(f"expected a device array, got {type(value)}")


def _indices(key):
    """An index as a tuple that NumPy understands."""
    key = key if isinstance(key, tuple) else (key,)
    return tuple(_index(item) for item in key)


def _index(item):
    if isinstance(item, (int, slice, np.integer, type(...), type(None))):
        return item
    if _device(item).dtype.kind in "iu":
        return item._memory
    raise TypeError("a boolean index has to be counted on the host")


# Elementwise functions: device arrays and scalars in, a device array out.  Lists and host
# arrays are refused (CuPy: "ufuncs do not take array-likes").


def _elementwise(function):
    def apply(*operands, out=None, dtype=None):
        launches.append(function.__name__)
        memory = [_operand(operand) for operand in operands]
        result = function(*memory, out=None if out is None else _device(out), dtype=dtype)
        return ndarray(result) if out is None else out

    return apply


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power",
    "xor": "bitwise_xor", "rshift": "right_shift", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_UFUNCS = ("absolute", "exp", "isfinite", "log", "log1p", "maximum", "minimum", "negative", "sqrt",
           "tanh", "divide", *_OPERATORS.values())  # fmt: skip
globals().update({name: _elementwise(getattr(np, name)) for name in _UFUNCS})
abs = globals()["absolute"]


def where(condition, x, y):
    launches.append("where")
    return ndarray(np.where(_device(condition), _operand(x), _operand(y)))


def clip(a, low, high, out=None):
    launches.append("clip")
    memory = None if out is None else _device(out)
    result = np.clip(_device(a), _operand(low), _operand(high), out=memory)
    return ndarray(result) if out is None else out


def matmul(a, b, out=None):
    launches.append("matmul")
    # _routines_linalg.pyx: one matrix may be transposed, of a batch a copy is made.
    launches.extend("copy" for x in (a, b) if x.ndim > 2 and not _device(x).flags.c_contiguous)
    result = np.matmul(_device(a), _device(b), out=None if out is None else _device(out))
    return ndarray(result) if out is None else out


def _add_operators():
    def add(name, function):
        def in_place(self, other):
            return function(self, other, out=self)

        setattr(ndarray, f"__{name}__", function)
        setattr(ndarray, f"__r{name}__", lambda self, other: function(other, self))
        setattr(ndarray, f"__i{name}__", in_place)

    for name, ufunc in _OPERATORS.items():
        add(name, globals()[ufunc])
    add("matmul", matmul)
    ndarray.__neg__ = globals()["negative"]


_add_operators()


class ElementwiseKernel:
    """A kernel from a string of C, which is compiled for the CPU: see host_kernels."""

    def __init__(self, in_params, out_params, operation, name="kernel"):
        self.name = name
        self._kernel = host_kernels.HostKernel(in_params, out_params, operation)

    def __call__(self, *args, size=None):
        launches.append(self.name)
        made = self._kernel.run(*(_operand(value) for value in args), size=size)
        given = args[len(self._kernel.inputs) :]
        results = given or tuple(ndarray(memory) for memory in made)
        return results[0] if len(results) == 1 else results


# New arrays.


def asarray(a, dtype=None):
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    host_traffic.append("upload")
    return ndarray(np.array(a, dtype=dtype))


def ascontiguousarray(a):
    if _device(a).flags.c_contiguous:
        return a
    launches.append("copy")
    return ndarray(np.ascontiguousarray(a._memory))


def empty(shape, dtype=float):
    return ndarray(host_kernels.nobody_has_written(shape, dtype))


def empty_like(a, dtype=None, shape=None):
    return empty(*_like(a, dtype, shape))


def zeros(shape, dtype=float):
    launches.append("fill")
    return ndarray(np.zeros(shape, dtype))


def zeros_like(a, dtype=None, shape=None):
    return zeros(*_like(a, dtype, shape))


def ones_like(a, dtype=None, shape=None):
    return full_like(a, 1, dtype, shape)


def full_like(a, value, dtype=None, shape=None):
    launches.append("fill")
    shape, dtype = _like(a, dtype, shape)
    return ndarray(np.full(shape, _scalar(value), dtype))


def _like(a, dtype, shape):
    memory = _device(a)
    return memory.shape if shape is None else shape, dtype or memory.dtype


def full(shape, value):
    launches.append("fill")
    return ndarray(np.full(shape, _scalar(value)))


def arange(stop, dtype=None):
    launches.append("arange")
    return ndarray(np.arange(stop, dtype=dtype))


def broadcast_to(a, shape):
    return ndarray(np.broadcast_to(_device(a), shape))


def repeat(a, repeats, axis=None):
    launches.append("repeat")
    return ndarray(np.repeat(_device(a), repeats, axis=axis))


def pad(a, pad_width, mode="constant"):
    launches.extend(["fill", "copy"])
    return ndarray(np.pad(_device(a), pad_width, mode))


def einsum(subscripts, *operands):
    launches.append("einsum")
    return ndarray(np.einsum(subscripts, *map(_device, operands)))


def concatenate(arrays, axis=0):
    launches.append("concatenate")
    return ndarray(np.concatenate([_device(array) for array in arrays], axis=axis))


def stack(arrays):
    launches.append("concatenate")
    return ndarray(np.stack([_device(array) for array in arrays]))


uint32 = np.uint32


# The CUDA runtime, as far as minigan asks it for a device.


class CUDARuntimeError(RuntimeError):
    """As CuPy's: `status` is CUDA's error code, the message its name and text."""

    MESSAGES: typing.ClassVar = {
        35: "cudaErrorInsufficientDriver: "
        "CUDA driver version is insufficient for CUDA runtime version",
        100: "cudaErrorNoDevice: no CUDA-capable device is detected",
    }

    def __init__(self, status):
        self.status = status
        super().__init__(self.MESSAGES[status])


class OutOfMemoryError(MemoryError):
    """As CuPy's: of the bytes asked for and those that it has."""

    def __init__(self, size, total):
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes)."
        )


cuda = types.SimpleNamespace(
    device=types.SimpleNamespace(get_cublas_handle=lambda: 1),
    get_current_stream=lambda: types.SimpleNamespace(ptr=0),
    runtime=types.SimpleNamespace(
        getDeviceCount=lambda: 1,
        runtimeGetVersion=lambda: 12090,
        memGetInfo=lambda: (2**33, 2**34),  # free and total
        CUDARuntimeError=CUDARuntimeError,
    ),
    memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    nvrtc=types.SimpleNamespace(getVersion=lambda: (12, 9)),
)
