"""Elementwise formulas of several lines, in cache-sized blocks on all cores.

In one pass over whole arrays every line of a formula would fetch its operands from
memory again.  A block's operands stay in the cache from one line to the next, and the
cores share out the blocks.  Besides, what other elementwise work needs: samples shared out,
and rows worked on where they lie.
"""

import contextlib

import numpy as np

from ...threads import parallel

BLOCK = 2**18  # elements: a MB of float32; smaller ones cost more in Python than they gain


def blockwise(formula, *arrays):
    """formula(y, *arrays) for a new array y like the first; returns y.

    formula: writes the elements of y, given the same elements of the arrays, whose shape is
    the first's.
    """
    y = np.empty_like(arrays[0])
    in_blocks(formula, y, *arrays)
    return y


def in_blocks(formula, *arrays):
    """formula(*arrays), block by block where the arrays are contiguous and large."""
    size = arrays[0].size
    if not all(array.flags.c_contiguous for array in arrays):
        formula(*arrays)
        return
    flat = [array.reshape(-1) for array in arrays]

    def work(start, stop):
        formula(*(array[start:stop] for array in flat))

    parallel(work, size, size, BLOCK)


def over_samples(work, x):
    """work(start, stop) for ranges of the samples of x (N, ...), by all cores."""
    parallel(work, len(x), x.size)


@contextlib.contextmanager
def unbuffered():
    """Inside, NumPy's elementwise operations work on rows where they lie.

    By default they copy rows apart from each other into buffers of 8,192 elements first, and
    the results back: a third of the speed for rows of 1,024.  It pays for short rows alone.
    """
    before = np.setbufsize(16)  # the least that NumPy takes
    try:
        yield
    finally:
        np.setbufsize(before)
