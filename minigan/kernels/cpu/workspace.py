"""Scratch memory of the kernels: bounded, and used again from call to call.

A fast convolution wants room for rearranged copies of its input.  Taking that
room anew each time would cost page faults and cache misses, so every thread
keeps one flat buffer per use (a short name) and dtype, and hands out views of
it.  A convolution works through its images in chunks of `CHUNK_BYTES` of
matrices, or twice its weights where these are larger, so the buffers grow with the layer and never
with the batch.  Within a chunk, a thread moves groups of images of `GROUP_BYTES`.
"""

import math
import threading
import weakref

import numpy as np

from ...threads import FEW, parallel

# A chunk: large enough for efficient GEMMs, small enough for a last-level cache.
CHUNK_BYTES = 64 * 2**20
# A group: smaller ones wait too often for the interpreter lock, larger ones leave the cache and the
# sizes that OpenBLAS multiplies straight from memory.
GROUP_BYTES = 7 * 2**19


class _Buffers(dict):
    """A thread's buffers, (use, dtype) -> flat array, as long as the thread lives."""


_own = threading.local()
_all = weakref.WeakValueDictionary()  # thread -> its buffers


def take(use, shape, dtype):
    """An array of `shape` and `dtype`, its content whatever the last `use` left there.

    The same thread's next `take` of the same `use` hands out the same memory.
    """
    try:
        own = _own.buffers
    except AttributeError:
        own = _own.buffers = _all[threading.get_ident()] = _Buffers()
    key = use, np.dtype(dtype)
    count = math.prod(shape)
    if key not in own or own[key].size < count:
        own.pop(key, None)  # let go of the old one first
        own[key] = np.empty(count, dtype)
    return own[key][:count].reshape(shape)


def release():
    """Give back every thread's buffers; the next call takes new ones."""
    for own in list(_all.values()):
        own.clear()


def held_bytes():
    """How much the buffers of all threads hold."""
    return sum(array.nbytes for own in list(_all.values()) for array in list(own.values()))


def chunks(count, bytes_each, bytes_once=0):
    """Cut range(count) into ranges of even length, within CHUNK_BYTES each.

    bytes_each: of one item.  bytes_once: what a chunk reads and writes besides, whatever its
    length: weights.  Where these are large, chunks are larger, to go over them less often.
    The cuts depend on sizes alone, so sums over chunks come out the same in every run.
    """
    return cut(count, max(CHUNK_BYTES, 2 * bytes_once), bytes_each)


def over_images(work, count, bytes_each, cores):
    """work(i, j) for groups of range(count), an image each, of about GROUP_BYTES, by all cores.

    cores: how many; each has equally many groups to do, unless one is held up.
    """
    elements = count * bytes_each // 4  # of float32
    groups = -(-count * bytes_each // GROUP_BYTES)
    if elements > FEW:
        groups = min(count, -(-groups // cores) * cores)

    def one(group, _):
        work(group * count // groups, (group + 1) * count // groups)

    parallel(one, groups, elements, most=1)


def cut(count, most_bytes, bytes_each):
    """Cut range(count) into ranges of even length, within most_bytes each."""
    most = max(1, most_bytes // max(1, bytes_each))
    pieces = -(-count // most)
    for i in range(pieces):
        yield i * count // pieces, (i + 1) * count // pieces
