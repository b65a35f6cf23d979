"""Matrix products on a GPU: cuBLAS called directly, through ctypes.

CuPy's own products copy a stack of matrices that is not in rows, never use TF32 for one, and take
the host several times longer.  Here a matrix is given to cuBLAS as it lies, in rows or in columns,
one or a stack of them in one call, on CuPy's current stream.  Float32 products use TF32 where the
environment says CUPY_TF32=1, as CuPy's do.

cuBLAS counts matrices in columns, so it is asked for out^T = b^T a^T: what lies in rows here lies
transposed there.
"""

import ctypes
import os
from functools import cache

from ...arrays import module_of

WORKSPACE_BYTES = 2**25  # what NVIDIA recommends for its largest GPUs
TF32_MATH = 3  # CUBLAS_TF32_TENSOR_OP_MATH

_C_INT, _C_LONG, _C_POINTER = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_TYPES = {"float32": ("S", ctypes.c_float), "float64": ("D", ctypes.c_double)}


def matmul(a, b, out=None, add=False):
    """a @ b, written to `out` or added to what it holds; a new array without.

    a (..., M, K), b (..., K, N), out (..., M, N) in rows: matrices, or stacks of as many.
    """
    multiplier = _multiplier(type(a), a.data.device_id)
    if out is None:
        out = multiplier.xp.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    if a.size and b.size:
        multiplier.multiply(a, b, out, add)
    elif not add:
        out.fill(0)
    return out


@cache
def _multiplier(kind, device):
    """What multiplies arrays of a type on a device, made at their first product."""
    xp = module_of(kind)
    library = _library(xp)
    return _CuPy(xp) if library is None else _Cublas(xp, library)


def _library(xp):
    """The cuBLAS that CuPy has loaded; None where it has another name, as on Windows."""
    xp.cuda.device.get_cublas_handle()  # loads it
    version = xp.cuda.runtime.runtimeGetVersion() // 1000
    try:
        return ctypes.PyDLL(f"libcublas.so.{version}", mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    except (AttributeError, OSError):
        return None


class _CuPy:
    """CuPy's products."""

    def __init__(self, xp):
        self.xp = xp

    def multiply(self, a, b, out, add):
        if add:
            out += self.xp.matmul(a, b)
        else:
            self.xp.matmul(a, b, out=out)


class _Cublas:
    """A handle of cuBLAS, with memory of its own to work in."""

    def __init__(self, xp, library):
        self.xp, self.library, self.handle, self.stream = xp, library, _C_POINTER(), None
        self.workspace = xp.empty(WORKSPACE_BYTES, "uint8")
        self.call("cublasCreate_v2", ctypes.byref(self.handle))
        if int(os.environ.get("CUPY_TF32", 0)):
            self.call("cublasSetMathMode", self.handle, _C_INT(TF32_MATH))
        self.calls = {}  # how three arrays lie -> the call for such arrays

    def multiply(self, a, b, out, add):
        stream = self.xp.cuda.get_current_stream().ptr
        if stream != self.stream:
            self.use(stream)
        key = (
            a.shape,
            a.strides,
            a.dtype,
            b.shape,
            b.strides,
            b.dtype,
            out.strides,
            out.dtype,
            add,
        )
        call = self.calls.get(key)
        if call is None:
            a, b, call = self.prepare(a, b, out, add)
            if key[1] == a.strides and key[4] == b.strides:
                self.calls[key] = call
        status = call(a.data.ptr, b.data.ptr, out.data.ptr)
        if status:
            raise RuntimeError(f"cuBLAS fails with status {status} for {a.shape} @ {b.shape}")

    def use(self, stream):
        """Work on another stream, which gives the workspace back."""
        self.call("cublasSetStream_v2", self.handle, _C_POINTER(stream))
        address = _C_POINTER(self.workspace.data.ptr)
        self.call("cublasSetWorkspace_v2", self.handle, address, ctypes.c_size_t(WORKSPACE_BYTES))
        self.stream = stream

    def prepare(self, a, b, out, add):
        """(a, b, the product of what lies as they do); a and b are copies where they must be.

        The call's constant arguments are made once: to convert them takes longer than the call.
        """
        a, a_operation, a_steps = self.layout(a)
        b, b_operation, b_steps = self.layout(b)
        itself, in_columns, out_steps = self.layout(out)
        if itself is not out or in_columns or not a.dtype == b.dtype == out.dtype:
            raise ValueError(f"cannot write {a.dtype} @ {b.dtype} to {out.dtype}, or not in rows")
        letter, number = _TYPES[out.dtype.name]
        name = "gemm_v2" if out.ndim == 2 else "gemmStridedBatched"
        product, handle = self.library[f"cublas{letter}{name}"], self.handle
        sizes = out.shape[-1], out.shape[-2], a.shape[-1]
        head = *map(_C_INT, (b_operation, a_operation, *sizes)), ctypes.pointer(number(1))
        kept, count = ctypes.pointer(number(add)), [_C_INT(n) for n in out.shape[:-2]]

        def call(a, b, out):  # addresses
            return product(
                handle, *head, _C_POINTER(b), *b_steps, _C_POINTER(a), *a_steps, kept,
                _C_POINTER(out), *out_steps, *count,
            )  # fmt: skip

        return a, b, call

    def layout(self, x):
        """(x or a copy of it in rows, does it lie in columns?, its steps from line to line, and
        from matrix to matrix)."""
        size, strides, (rows, columns) = x.itemsize, x.strides, x.shape[-2:]
        row, column = strides[-2:]  # of an axis of length 1 it may be anything
        if (column == size or columns == 1) and (row >= size * columns or rows == 1):
            in_columns, step = 0, row if rows > 1 else size * columns
        elif (row == size or rows == 1) and column >= size * rows:
            in_columns, step = 1, column
        else:
            return self.layout(self.xp.ascontiguousarray(x))
        return x, in_columns, (_C_INT(step // size), *[_C_LONG(s // size) for s in strides[:-2]])

    def call(self, name, *arguments):
        status = self.library[name](*arguments)
        if status:
            raise RuntimeError(f"cuBLAS: {name} fails with status {status}")
