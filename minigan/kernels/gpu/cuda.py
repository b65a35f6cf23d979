"""CUDA kernels from a few lines of C, made when they are first called.

A `Kernel` is CuPy's ElementwiseKernel: its body runs once for each element, or for each
i in range(size), in any order and thousands at a time, and may write only what belongs to
its own i.  No CuPy is imported here: the module comes with the arrays, which is also how
the tests run every body on the CPU.

The bodies are plain C: `T` is the arrays' float type, a "raw" array is indexed by hand, by
its flat index; others stand for the element at i.
"""

from ...arrays import get_array_module


class Kernel:
    """A function of arrays on the GPU, in one launch.

    name: of the CUDA function, which profilers show.  inputs, outputs: declarations such as
    "T x, raw T w, int32 n".  body: the C of one element.

    Calling it takes the inputs, an array first, then the outputs to be written (new ones of
    the inputs' shape where left out, returned either way); size: how many i there are where
    all arrays are raw.  Raises TypeError where an array has another dtype than declared.
    """

    def __init__(self, name, inputs, outputs, body):
        self.name, self.inputs, self.outputs, self.body = name, inputs, outputs, body
        self._made = {}  # type of array -> its kernel

    def __call__(self, *arrays, **size):
        kernel = self._made.get(type(arrays[0])) or self._make(arrays[0])
        return kernel(*arrays, **size)

    def _make(self, array):
        make = get_array_module(array).ElementwiseKernel
        kernel = self._made[type(array)] = make(self.inputs, self.outputs, self.body, self.name)
        return kernel


def in_chunks(chunks, *arrays):
    """For each range (i, j) of the images: (i, each of the arrays' images i to j).

    A slice takes the host as long as a launch does, so an array that is one chunk is not sliced.
    """
    for i, j in chunks:
        yield i, *(array if j - i >= len(array) else array[i:j] for array in arrays)


def constants(sizes):
    """The C declaration of integer constants, given as a dict of names."""
    return "const int " + ", ".join(f"{name} = {size}" for name, size in sizes.items()) + ";"
