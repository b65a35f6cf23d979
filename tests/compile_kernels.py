"""Every kernel of the GPU through NVIDIA's own compiler, which needs no GPU and no driver.

    pip install nvidia-cuda-nvrtc-cu12        the compiler, as CuPy uses it
    python tests/compile_kernels.py           for the GPUs named below; exit 1 where it complains

The tests run the same C on the CPU, through another compiler: this one is stricter in some
things and knows what a GPU has.  Each body is put into a loop as CuPy's ElementwiseKernel does,
in both float types, for the convolutions of all the models.
"""

import ctypes
import importlib
import math
import pkgutil
import sys
import time
from pathlib import Path

import host_kernels
import numpy as np
import parity
from test_models import COUNTS

import minigan as mg
from minigan.kernels import gpu
from minigan.kernels.gpu import im2col, minimal
from minigan.kernels.gpu.cuda import Kernel

GPUS = ("sm_75", "sm_90", "sm_100")
MODELS = [*COUNTS, ("wgan_gp", []), ("cgan", [])]

FRAME = """
typedef unsigned char uint8;
typedef int int32;
typedef unsigned int uint32;
typedef long long int64;
typedef float float32;
typedef double float64;
template <class E> struct raw {
    E* data;
    __device__ E& operator[](ptrdiff_t k) const { return data[k]; }
};
"""
KERNEL = """
namespace {space} {{
typedef {dtype} T;
__global__ void {name}({parameters}, ptrdiff_t number_of_elements) {{
    for (ptrdiff_t i = blockIdx.x * (ptrdiff_t)blockDim.x + threadIdx.x; i < number_of_elements;
         i += (ptrdiff_t)blockDim.x * gridDim.x) {{
        {elements}
        {body}
    }}
}}
}}
"""


def kernels():
    """All Kernels: those of the modules, and those of each convolution of the models."""
    for info in pkgutil.iter_modules(gpu.__path__):
        module = importlib.import_module(f"{gpu.__name__}.{info.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Kernel))
    convolutions = {each for script, words, *_ in MODELS for each in geometries(script, words)}
    for geometry, channels, filters in sorted(convolutions, key=repr):
        if minimal.applies(geometry):
            yield from minimal._kernels(geometry, channels, filters).values()
        yield im2col._windows_kernel(geometry, channels)
        yield im2col._pixels_kernel(geometry, channels)


def geometries(script, words):
    """(Geometry, C, K) of every convolution of an example's networks."""
    module = parity.example(script)
    options = parity.example_options(original="--original" in words)
    G = module.generator(options)
    D = getattr(module, "discriminator", None) or module.critic
    first = G.layers[0]
    sample = (first.inputs,) if isinstance(first, mg.Dense) else (math.prod(first.shape),)
    for network in (G, D(options)):
        for layer in network.layers:
            if isinstance(layer, (mg.Conv2d, mg.ConvTranspose2d)):
                yield layer.geometry(np.empty((1, *sample))), *layer.weight.shape[2:]
            sample = layer.output_shape(sample)


def source(kernel, number, dtype):
    """The CUDA C++ of a kernel."""
    parameters = [
        host_kernels.Parameter(text, is_output)
        for texts, is_output in ((kernel.inputs, False), (kernel.outputs, True))
        for text in texts.split(",")
    ]
    return KERNEL.format(
        space=f"k{number}_{dtype}", dtype=dtype, name=kernel.name, body=kernel.body,
        parameters=", ".join(
            f"raw<{p.type}> {p.name}" if p.raw else f"{p.type}* _{p.name}" for p in parameters
        ),
        elements="\n".join(p.element() for p in parameters if not p.raw),
    )  # fmt: skip


class Compiler:
    """NVRTC, out of its wheel or as the system finds it."""

    def __init__(self):
        found = [
            path for folder in sys.path for path in Path(folder).glob("nvidia/*/lib/*nvrtc*.so*")
        ]
        found = [path for path in found if ".alt." not in path.name]
        for path in sorted(found, key=lambda path: "builtins" not in path.name):
            self.library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)  # builtins first
        if not found:
            self.library = ctypes.CDLL("libnvrtc.so")

    def version(self):
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def compile(self, text, gpu):
        """(does it compile?, what the compiler says)."""
        program, size = ctypes.c_void_p(), ctypes.c_size_t()
        options = [b"--std=c++17", b"--diag-suppress=177", f"--gpu-architecture={gpu}".encode()]
        self.library.nvrtcCreateProgram(
            ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None
        )
        array = (ctypes.c_char_p * len(options))(*options)
        status = self.library.nvrtcCompileProgram(program, len(options), array)
        self.library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.library.nvrtcGetProgramLog(program, log)
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return status == 0, log.value.decode().strip()


def main():
    compiler = Compiler()
    every = list(dict.fromkeys(kernels()))
    assert not compiler.compile(FRAME + "__global__ void k() { no_such_name = 1; }", GPUS[0])[0]
    text = FRAME + "".join(
        source(kernel, number, dtype)
        for number, kernel in enumerate(every) for dtype in ("float", "double")
    )  # fmt: skip
    faults = 0
    for each in GPUS:
        start = time.perf_counter()
        compiles, log = compiler.compile(text, each)
        faults += not compiles or bool(log)
        print(
            f"NVRTC {compiler.version()}, {each}: {len(every)} kernels in float and double, "
            f"{time.perf_counter() - start:.0f} s: {log or 'ok'}",
            flush=True,
        )
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
