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

from ...arrays import get_array_module

WORKSPACE_BYTES = 2**25  # what NVIDIA recommends for its largest GPUs
TF32_MATH = 3  # CUBLAS_TF32_TENSOR_OP_MATH

_C_INT, _C_LONG, _C_POINTER = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
_MATRIX, _STACK = (_C_POINTER, _C_INT), (_C_POINTER, _C_INT, _C_LONG)  # address, row, matrix
_FACTOR = {"float32": ctypes.c_float, "float64": ctypes.c_double}
_LETTER = {"float32": "S", "float64": "D"}


def matmul(a, b, out=None, add=False):
    """a @ b, written to `out` or added to what it holds; a new array without.

    a (..., M, K), b (..., K, N), out (..., M, N) in rows: matrices, or stacks of as many.
    """
    if out is None:
        out = get_array_module(a).empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    if a.size and b.size:
        _cublas(get_array_module(out), out.data.device_id).multiply(a, b, out, add)
    elif not add:
        out.fill(0)
    return out


@cache
def _cublas(xp, device):
    """What multiplies on a device, made at its first product."""
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
        self.matmul = xp.matmul

    def multiply(self, a, b, out, add):
        if add:
            out += self.matmul(a, b)
        else:
            self.matmul(a, b, out=out)


class _Cublas:
    """A handle of cuBLAS, with memory of its own to work in."""

    def __init__(self, xp, library):
        self.xp, self.library, self.handle, self.stream = xp, library, _C_POINTER(), None
        self.workspace = xp.empty(WORKSPACE_BYTES, "uint8")
        self.call("cublasCreate_v2", ctypes.byref(self.handle))
        if int(os.environ.get("CUPY_TF32", 0)):
            self.call("cublasSetMathMode", self.handle, TF32_MATH)
        self.gemm = {dtype: self.functions(dtype) for dtype in _LETTER}

    def functions(self, dtype):
        """The products of a dtype, {number of axes: function}, and addresses of 0 and 1."""
        letter, numbers = _LETTER[dtype], [_FACTOR[dtype](number) for number in (0, 1)]
        of_two = self.library[f"cublas{letter}gemm_v2"]
        of_stacks = self.library[f"cublas{letter}gemmStridedBatched"]
        for function, operand, last in ((of_two, _MATRIX, ()), (of_stacks, _STACK, (_C_INT,))):
            sizes = _C_INT, _C_INT, _C_INT, _C_INT, _C_INT
            function.argtypes = (
                _C_POINTER, *sizes, _C_POINTER, *operand, *operand, _C_POINTER, *operand, *last
            )  # fmt: skip
        return {2: of_two, 3: of_stacks}, [ctypes.pointer(number) for number in numbers]

    def multiply(self, a, b, out, add):
        stream = self.xp.cuda.get_current_stream().ptr
        if stream != self.stream:
            self.use(stream)
        a, a_operation, a_operand = self.operand(a)
        b, b_operation, b_operand = self.operand(b)
        out_there, transposed, out_operand = self.operand(out)
        if out_there is not out or transposed or not a.dtype == b.dtype == out.dtype:
            raise ValueError(f"cannot write {a.dtype} @ {b.dtype} to {out.dtype}, or not in rows")
        functions, (zero, one) = self.gemm[out.dtype.name]
        status = functions[out.ndim](
            self.handle, b_operation, a_operation, out.shape[-1], out.shape[-2], a.shape[-1],
            one, *b_operand, *a_operand, one if add else zero, *out_operand, *out.shape[:-2],
        )  # fmt: skip
        if status:
            raise RuntimeError(f"cuBLAS fails with status {status} for {a.shape} @ {b.shape}")

    def use(self, stream):
        """Work on another stream, which gives the workspace back."""
        self.call("cublasSetStream_v2", self.handle, _C_POINTER(stream))
        address = _C_POINTER(self.workspace.data.ptr)
        self.call("cublasSetWorkspace_v2", self.handle, address, ctypes.c_size_t(WORKSPACE_BYTES))
        self.stream = stream

    def operand(self, x):
        """(x or a copy of it in rows, is it in columns?, its address and strides)."""
        size, strides, (rows, columns) = x.itemsize, x.strides, x.shape[-2:]
        row, column = strides[-2:]  # of an axis of length 1 it may be anything
        if (column == size or columns == 1) and (row >= size * columns or rows == 1):
            in_columns, step = 0, row if rows > 1 else size * columns
        elif (row == size or rows == 1) and column >= size * rows:
            in_columns, step = 1, column
        else:
            return self.operand(self.xp.ascontiguousarray(x))
        return x, in_columns, (x.data.ptr, step // size, *[s // size for s in strides[:-2]])

    def call(self, name, *arguments):
        status = self.library[name](*arguments)
        if status:
            raise RuntimeError(f"cuBLAS: {name} fails with status {status}")
