"""Share work out over the cores: each thread does the whole job for its part.

NumPy's element-wise operations run on one core, and its matrix products on all
of them, each thread waiting for the slowest at the end of every product.  A
convolution is a chain of both, so here it is cut the other way: the batch falls
into one contiguous range a core, a thread takes its range from input to output
(NumPy releases the interpreter lock), and nobody waits until the end.  Meanwhile
the matrix products keep to the thread that calls them.

That needs a hold on the BLAS's number of threads, which NumPy does not offer;
its wheels carry OpenBLAS, whose function is found through ctypes.  With another
BLAS the work runs in the calling thread and the BLAS uses the cores as it likes.

Ranges depend on the count and the number of cores alone, so results repeat bit
for bit.  The number of cores is OpenBLAS's own: OPENBLAS_NUM_THREADS sets it.
"""

import ctypes
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


def parallel(work, count):
    """The list of work(start, stop) over ranges that cover range(count), one range a core.

    An exception in any range is raised here, after every range has ended.
    """
    if count < 2:  # nothing to share out: the BLAS may as well have all cores
        return [work(0, count)] if count else []
    with _blas.single_threaded() as cores:
        pieces = min(cores, count)
        ranges = [(i * count // pieces, (i + 1) * count // pieces) for i in range(pieces)]
        others = [_pool(cores).submit(work, *other) for other in ranges[1:]]
        try:
            results = [work(*ranges[0])]
        finally:
            errors = [other.exception() for other in others]  # waits
        for error in errors:
            if error is not None:
                raise error
        return results + [other.result() for other in others]


class _Blas:
    """OpenBLAS's number of threads, or 1 where NumPy's BLAS is another."""

    def __init__(self):
        self._get, self._set = _openblas_functions()
        self._lock = threading.Lock()
        self._users = 0
        self._cores = 1

    @contextmanager
    def single_threaded(self):
        """Inside, the BLAS runs on the calling thread; gives how many cores it had."""
        with self._lock:
            if self._users == 0 and self._get:
                self._cores = self._get()
                self._set(1)
            self._users += 1
        try:
            yield self._cores
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._get:
                    self._set(self._cores)


def _openblas_functions():
    """OpenBLAS's (get, set) of the number of threads, or (None, None)."""
    extension = sys.modules.get("numpy._core._multiarray_umath")
    try:
        library = ctypes.CDLL(extension.__file__)  # finds symbols of what it links to as well
    except (AttributeError, OSError):
        return None, None
    for name in (
        "scipy_openblas_{}_num_threads64_",
        "scipy_openblas_{}_num_threads",
        "openblas_{}_num_threads64_",
        "openblas_{}_num_threads",
    ):
        if hasattr(library, name.format("set")):
            return tuple(getattr(library, name.format(what)) for what in ("get", "set"))
    return None, None


_blas = _Blas()
_pools = {}


def _pool(cores):
    """Threads for all ranges but the caller's, made at their first use in this process."""
    key = os.getpid(), cores  # a forked child has the pool object but not its threads
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(cores - 1, thread_name_prefix="minigan-kernels")
    return _pools[key]
