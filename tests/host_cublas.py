"""cuBLAS for the stand-in: its functions, with the signatures of cublas_api.h, on host memory.

`minigan.kernels.gpu.cublas` calls them through ctypes as it calls the real ones, so what it
passes is converted twice, by its own declarations and by these.  NumPy multiplies.  As in cuBLAS
matrices are in columns, and sizes that cannot be are answered with a status.
"""

import ctypes

import numpy as np

INT, LONG, POINTER, SIZE = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p, ctypes.c_size_t
SIZES = (INT,) * 5  # operations of a and b, m, n, k
INVALID_VALUE = 7
TF32_MATH = 3
LEAST_WORKSPACE = 2**22


class HostCublas:
    """The library.  do: called with a name, a product to be done and its result's memory."""

    def __init__(self, do):
        self.do, self.math, self.stream, self.workspace = do, 0, None, 0
        self.functions = {
            "cublasCreate_v2": ctypes.CFUNCTYPE(INT, POINTER)(self.create),
            "cublasSetMathMode": ctypes.CFUNCTYPE(INT, POINTER, INT)(self.set_math_mode),
            "cublasSetStream_v2": ctypes.CFUNCTYPE(INT, POINTER, POINTER)(self.set_stream),
            "cublasSetWorkspace_v2":
                ctypes.CFUNCTYPE(INT, POINTER, POINTER, SIZE)(self.set_workspace),
        }  # fmt: skip
        for letter, dtype in (("S", "float32"), ("D", "float64")):
            self.functions[f"cublas{letter}gemm_v2"] = ctypes.CFUNCTYPE(
                INT, POINTER, *SIZES, POINTER, POINTER, INT, POINTER, INT, POINTER, POINTER, INT
            )(self.product(dtype))
            self.functions[f"cublas{letter}gemmStridedBatched"] = ctypes.CFUNCTYPE(
                INT, POINTER, *SIZES, POINTER, POINTER, INT, LONG, POINTER, INT, LONG,
                POINTER, POINTER, INT, LONG, INT,
            )(self.stacked_product(dtype))  # fmt: skip

    def __getitem__(self, name):
        return self.functions[name]

    def create(self, handle):
        POINTER.from_address(handle).value = id(self)
        return 0

    def set_math_mode(self, handle, mode):
        self.math = mode
        return self.known(handle)

    def set_stream(self, handle, stream):
        self.stream, self.workspace = stream, 0
        return self.known(handle)

    def set_workspace(self, handle, address, size):
        self.workspace = size
        return self.known(handle)

    def known(self, handle):
        return 0 if handle == id(self) else 1  # CUBLAS_STATUS_NOT_INITIALIZED

    def product(self, dtype):
        def gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
            sizes = handle, op_a, op_b, m, n, k
            return self.multiply(dtype, *sizes, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1)

        return gemm

    def stacked_product(self, dtype):
        return lambda *arguments: self.multiply(dtype, *arguments)

    def multiply(
        self, dtype, handle, op_a, op_b, m, n, k, alpha, a, lda, a_step, b, ldb, b_step, beta,
        c, ldc, c_step, count,
    ):  # fmt: skip
        """c = alpha op(a) op(b) + beta c, for each of `count`."""
        (rows_a, rows_b), last = ((k if op_a else m), (n if op_b else k)), (m, n, k, count)
        fits = lda >= max(1, rows_a) and ldb >= max(1, rows_b) and ldc >= max(1, m)
        if self.known(handle) or not fits or min(last) < 1 or self.workspace < LEAST_WORKSPACE:
            return INVALID_VALUE
        left = stack(dtype, a, (m, k), op_a, lda, a_step, count)
        right = stack(dtype, b, (k, n), op_b, ldb, b_step, count)
        result = stack(dtype, c, (m, n), 0, ldc, c_step, count)
        in_tf32 = self.math == TF32_MATH and dtype == "float32"
        convert = as_tf32 if in_tf32 else np.asarray
        number = ctypes.c_float if dtype == "float32" else ctypes.c_double
        factor, kept = (number.from_address(address).value for address in (alpha, beta))

        def work(_):
            product = factor * (convert(left) @ convert(right))
            result[...] = product + kept * result if kept else product  # 0 * NaN counts as 0

        self.do("product", work, result)
        return 0


def stack(dtype, address, shape, transposed, ld, step, count):
    """The matrices (count, *shape) at an address, they or their transposes in columns."""
    rows, columns = reversed(shape) if transposed else shape
    size = np.dtype(dtype).itemsize
    length = (ld * (columns - 1) + rows + step * (count - 1)) * size
    memory = (ctypes.c_byte * length).from_address(address)
    strides = (step * size, size, ld * size)
    matrices = np.ndarray((count, rows, columns), dtype, memory, strides=strides)
    return matrices.swapaxes(1, 2) if transposed else matrices


def as_tf32(x):
    """float32 numbers with the 10 bits of mantissa that TF32 has."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
