"""Keep freed memory in the process: the next step will want it again.

A training step allocates the same arrays over and over.  glibc hands large ones back to
the system as soon as they are free, and the next step then pays for every page anew:
4,200 page faults a step, a quarter of its time, for M1 at batch 128.
"""

import ctypes

# mallopt's parameters, from malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # the largest glibc accepts


def keep_freed_memory():
    """Tell glibc to keep what is freed; does nothing where the C library is another.

    Holds for the whole process, whose memory then stays at its peak.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no such library
        return
    mallopt(TRIM_THRESHOLD, 2**31 - 1)
    mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
