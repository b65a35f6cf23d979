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

A stream that captures does nothing of that: new arrays hold garbage, what was there stays as it
is, and a graph does it all when it is launched, on the same memory.  What waits or uploads is then
refused, as CUDA refuses it.
"""

import contextlib
import sys
import types
import typing

import host_kernels
import numpy as np

host_traffic = []
launches = []
graph = None  # what is being captured


def _do(name, compute, out=None):
    """The memory that compute(out) has written, a new array where out is None: now, or whenever
    the graph that is being captured is launched."""
    launches.append(name)
    if graph is None:
        return compute(out)
    if out is None:
        with np.errstate(all="ignore"):
            like = compute(None)  # for its shape and dtype
        out = host_kernels.nobody_has_written(np.shape(like), like.dtype)
    graph.steps.append(lambda: compute(out))
    graph.kept.append(out)
    return out


def _copied(function):
    """The `compute` of a function that only gives new arrays."""

    def compute(out):
        if out is None:
            return function()
        np.copyto(out, function(), casting="same_kind")
        return out

    return compute


def _crosses(what):
    host_traffic.append(what)
    if graph is not None:
        raise CUDARuntimeError(900)


class ndarray:
    """An array in "device memory", which is a NumPy array that nobody else sees."""

    __module__ = "cupy"  # by which minigan finds the module of an array
    __hash__ = None

    def __init__(self, memory):
        self._memory = np.asarray(memory)
        if graph is not None:
            graph.kept.append(self._memory)

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
        _crosses("get")
        return self._memory.copy()

    def __float__(self):
        _crosses("float")
        return float(self._memory)

    def __int__(self):
        _crosses("int")
        return int(self._memory)

    def __bool__(self):
        _crosses("bool")
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
            return ndarray(_do("copy", _copied(lambda: self._memory.reshape(*shape))))
        return ndarray(view)

    def transpose(self, *axes):
        return ndarray(self._memory.transpose(*axes))

    def repeat(self, repeats, axis=None):
        return repeat(self, repeats, axis)

    def take(self, indices, axis):
        indices = _device(indices)
        return ndarray(_do("take", _copied(lambda: self._memory.take(indices, axis))))

    def swapaxes(self, axis1, axis2):
        return ndarray(self._memory.swapaxes(axis1, axis2))

    def astype(self, dtype, copy=True):
        if not copy and dtype == self.dtype:
            return self
        return ndarray(_do("astype", _copied(lambda: self._memory.astype(dtype))))

    def view(self, dtype):
        return ndarray(self._memory.view(dtype))

    def copy(self):
        return ndarray(_do("copy", _copied(self._memory.copy)))

    def clip(self, low, high, out=None):
        return clip(self, low, high, out)

    def fill(self, value):
        value = _scalar(value)
        _do("fill", lambda memory: memory.fill(value), self._memory)

    # Indices: integers, slices, ..., None and integer device arrays.  CuPy also takes host
    # arrays, which it uploads, and boolean ones, for which it reads a count: both refused.

    def __getitem__(self, key):
        key = _indices(key)
        if not any(item is ... for item in key):
            key = (*key, ...)  # NumPy then gives a 0-d view in place of a scalar, as CuPy does
        if any(isinstance(item, np.ndarray) for item in key):
            return ndarray(_do("take", _copied(lambda: self._memory[_wrapped(key, self.shape)])))
        return ndarray(self._memory[key])

    def __setitem__(self, key, value):
        key, value = _indices(key), _operand(value)
        _do("copy", lambda memory: memory.__setitem__(key, value), self._memory)

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
        return ndarray(_do(name, _copied(lambda: np.asarray(getattr(self._memory, name)(**how)))))


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


def _wrapped(key, shape):
    """An index with ..., its arrays wrapped around as CuPy does where NumPy raises IndexError."""
    axes, result = list(shape), []
    for place, item in enumerate(key):
        if item is ...:
            rest = sum(other is not None for other in key[place + 1 :])
            axes = axes[len(axes) - rest :]
        elif item is not None:
            size = axes.pop(0)
            item = item % max(1, size) if isinstance(item, np.ndarray) else item
        result.append(item)
    return tuple(result)


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
        memory = [_operand(operand) for operand in operands]

        def compute(out):
            return np.asarray(function(*memory, out=out, dtype=dtype))

        result = _do(function.__name__, compute, None if out is None else _device(out))
        return ndarray(result) if out is None else out

    return apply


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power",
    "mod": "remainder", "and": "bitwise_and", "xor": "bitwise_xor", "rshift": "right_shift",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
    "ne": "not_equal",
}  # fmt: skip
_UFUNCS = ("absolute", "exp", "isfinite", "log", "log1p", "maximum", "minimum", "negative", "sqrt",
           "tanh", "divide", *_OPERATORS.values())  # fmt: skip
globals().update({name: _elementwise(getattr(np, name)) for name in _UFUNCS})
abs = globals()["absolute"]


def where(condition, x, y):
    condition, x, y = _device(condition), _operand(x), _operand(y)
    return ndarray(_do("where", _copied(lambda: np.where(condition, x, y))))


def clip(a, low, high, out=None):
    a, low, high = _device(a), _operand(low), _operand(high)
    memory = None if out is None else _device(out)
    result = _do("clip", lambda memory: np.clip(a, low, high, out=memory), memory)
    return ndarray(result) if out is None else out


def matmul(a, b, out=None):
    if graph is not None:  # cublas.pyx
        raise NotImplementedError("cuBLAS through CuPy cannot be captured")
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
        memory, given = [_operand(value) for value in args], args[len(self._kernel.inputs) :]
        if graph is None or not given:
            made = self._kernel.run(*memory, size=size)
        if graph is not None:
            outputs = [] if given else made
            for output in outputs:
                host_kernels.spoil(output)
            graph.steps.append(lambda: self._kernel.run(*memory, *outputs, size=size))
        results = given or tuple(ndarray(memory) for memory in made)
        return results[0] if len(results) == 1 else results


# New arrays.


def asarray(a, dtype=None):
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    _crosses("upload")
    return ndarray(np.array(a, dtype=dtype))


def ascontiguousarray(a):
    if _device(a).flags.c_contiguous:
        return a
    return ndarray(_do("copy", _copied(lambda: np.ascontiguousarray(a._memory))))


def empty(shape, dtype=float):
    return ndarray(host_kernels.nobody_has_written(shape, dtype))


def empty_like(a, dtype=None, shape=None):
    return empty(*_like(a, dtype, shape))


def zeros(shape, dtype=float):
    return full(shape, 0, dtype)


def zeros_like(a, dtype=None, shape=None):
    return zeros(*_like(a, dtype, shape))


def ones_like(a, dtype=None, shape=None):
    return full_like(a, 1, dtype, shape)


def full_like(a, value, dtype=None, shape=None):
    shape, dtype = _like(a, dtype, shape)
    return full(shape, value, dtype)


def _like(a, dtype, shape):
    memory = _device(a)
    return memory.shape if shape is None else shape, dtype or memory.dtype


def full(shape, value, dtype=None):
    value = _scalar(value)
    return ndarray(_do("fill", _copied(lambda: np.full(shape, value, dtype))))


def arange(stop, dtype=None):
    return ndarray(_do("arange", _copied(lambda: np.arange(stop, dtype=dtype))))


def broadcast_to(a, shape):
    return ndarray(np.broadcast_to(_device(a), shape))


def repeat(a, repeats, axis=None):
    a = _device(a)
    return ndarray(_do("repeat", _copied(lambda: np.repeat(a, repeats, axis=axis))))


def pad(a, pad_width, mode="constant"):
    a = _device(a)
    launches.append("fill")
    return ndarray(_do("copy", _copied(lambda: np.pad(a, pad_width, mode))))


def einsum(subscripts, *operands):
    operands = [_device(each) for each in operands]
    return ndarray(_do("einsum", _copied(lambda: np.einsum(subscripts, *operands))))


def concatenate(arrays, axis=0):
    arrays = [_device(each) for each in arrays]
    return ndarray(_do("concatenate", _copied(lambda: np.concatenate(arrays, axis=axis))))


def stack(arrays, axis=0):
    arrays = [_device(each) for each in arrays]
    return ndarray(_do("concatenate", _copied(lambda: np.stack(arrays, axis))))


uint32 = np.uint32


# The CUDA runtime, as far as minigan asks it for a device.


class CUDARuntimeError(RuntimeError):
    """As CuPy's: `status` is CUDA's error code, the message its name and text."""

    MESSAGES: typing.ClassVar = {
        35: "cudaErrorInsufficientDriver: "
        "CUDA driver version is insufficient for CUDA runtime version",
        100: "cudaErrorNoDevice: no CUDA-capable device is detected",
        900: "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing",
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


class Graph:
    """What was captured: launch() does it again."""

    def __init__(self):
        self.steps, self.kept = [], []

    def launch(self):
        launches.append("graph")
        for step in self.steps:
            step()


class Stream:
    def __init__(self, non_blocking=False):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin_capture(self):
        global graph
        graph = Graph()

    def end_capture(self):
        global graph
        captured, graph = graph, None
        return captured


cuda = types.SimpleNamespace(
    Stream=Stream,
    MemoryPool=lambda: types.SimpleNamespace(malloc=None),
    using_allocator=lambda malloc: contextlib.nullcontext(),
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
