"""Memory of the process: keep what is freed, refuse what the machine does not have.

A training step allocates the same arrays over and over.  glibc hands large ones back to
the system as soon as they are free, and the next step then pays for every page anew:
4,200 page faults a step, a quarter of its time, for M1 at batch 128.

Linux promises more memory than there is, and ends a process that takes the promise at its word.
A limit makes it refuse instead, which Python raises as MemoryError.
"""

import contextlib
import ctypes

from ..machine import usable_memory

UNLIMITED = -1  # resource.RLIM_INFINITY, of a module that Windows lacks
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # mallopt's parameters, from malloc.h


def keep_freed_memory():
    """Tell glibc to keep what is freed; does nothing where the C library is another.

    Holds for the whole process, whose memory then stays at its peak.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no such library
        return
    mallopt(TRIM_THRESHOLD, 2**31 - 1)
    mallopt(MMAP_MAX, 0)  # no pages of an array's own, which would go back with it


def refuse_what_does_not_fit():
    """Limit the process's own memory to what the machine or container holds, where that can be."""
    _limit(lambda soft, hard: min({usable_memory(), soft, hard} - {None, UNLIMITED}, default=soft))


def take_what_fits_elsewhere():
    """Lift that limit: what a GPU's driver maps counts as memory of the process."""
    _limit(lambda soft, hard: hard)


def _limit(choose):
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (choose(soft, hard), hard))
