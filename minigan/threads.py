"""Share work out over the cores: each thread does the whole job for its part.

NumPy's element-wise operations run on one core.  Its matrix products run on all of
them, but OpenBLAS's threads go on spinning for some 25 ms after each product, on the
very cores that other threads of ours would use.  So minigan shares out everything
itself: a range of images, of rows or of elements falls into contiguous parts, one a
core or more, NumPy releases the interpreter lock, and the BLAS keeps to the thread that
calls it.

That needs a hold on the BLAS's number of threads, which NumPy does not offer;
its wheels carry OpenBLAS, whose function is found through ctypes.  With another
BLAS the work runs in the calling thread and the BLAS uses the cores as it likes.

Parts depend on the count, the longest one allowed and the number of cores, not on which
core takes which, so results repeat bit for bit.  The number of cores is OpenBLAS's own:
OPENBLAS_NUM_THREADS sets it.
"""

import _signal  # signal's own functions look up enums, at ten times the price
import collections
import contextlib
import contextvars
import ctypes
import os
import sys
import threading
import time
from signal import SIGINT

FEW = 2**18  # elements that one core has done by the time another is at it
SPIN_SECONDS = 0.01  # how long a worker waits for the next task before it sleeps


def parallel(work, count, elements, most=None):
    """The list of work(start, stop) over ranges that cover range(count), one range a core.

    elements: how many the work goes over; few are left to the calling thread.
    most: the longest range allowed.  Where that makes more ranges than cores, they are a multiple
    of the cores, and a core takes the next one whenever it is free.
    An exception in any range is raised here, after every range has ended; Ctrl-C waits for that
    too.  Called from within such a range, or while another thread's ranges run, it takes the
    ranges one after the other.
    """
    with InterruptsWait(), _blas.single_threaded() as cores:
        pieces = -(-count // most) if most else min(1, count)
        if elements > FEW:
            pieces = min(count, -(-pieces // cores) * cores)
        ranges = [(i * count // pieces, (i + 1) * count // pieces) for i in range(pieces)]
        alone = cores < 2 or elements <= FEW or pieces < 2
        if alone or not _one_at_a_time.acquire(blocking=False):
            return [work(*each) for each in ranges]
        try:
            return _team(cores).share_out(work, ranges)
        finally:
            _one_at_a_time.release()


def calling_thread_alone():
    """A context for many small products: in it the BLAS wakes no other threads.

    A product of a few thousand numbers is over before they are there, and where other programs are
    at work, they keep each other waiting for a hundred times as long as the product takes.
    """
    return _blas.single_threaded()


def core_count():
    """How many cores `parallel` shares out over."""
    with InterruptsWait(), _blas.single_threaded() as cores:
        return cores


def use_cores(count):
    """Share out over so many cores from now on, as far as the BLAS can be told."""
    with InterruptsWait():
        _blas.use(count)


class InterruptsWait:
    """Inside, Ctrl-C is noted; it strikes when everything is as it was before.

    An exception can come between any two calls of the main thread, and no `finally` is safe from
    the next one.  One there would leave a lock held, a worker out of step, the thread on one core
    or the BLAS on one thread.
    """

    def __enter__(self):
        self.handler = None
        if threading.get_ident() != threading.main_thread().ident:
            return  # handlers run in the main thread alone
        handler = _signal.getsignal(SIGINT)
        if callable(handler) and handler is not _note:
            _noted.clear()
            _signal.signal(SIGINT, _note)
            self.handler = handler

    def __exit__(self, *_):
        if self.handler:
            _signal.signal(SIGINT, self.handler)
            if _noted:
                self.handler(*_noted[0])


_noted = []  # what the handler of Ctrl-C is to be called with


def _note(*signal_and_frame):
    _noted.append(signal_and_frame)


class _Team:
    """The calling thread and a worker for each further core.

    While they work, each keeps to a core of its own, where the system lets it choose and they
    are as many as the cores: the scheduler tends to wake a thread on the core of the one that
    wakes it, and takes milliseconds to part the two.
    """

    def __init__(self, size):
        cores = _affinity() or set()
        self.homes = [{core} for core in sorted(cores)] if len(cores) == size else [None] * size
        self.workers = [_Worker(home, i) for i, home in enumerate(self.homes[1:], start=1)]
        self.calls = 0
        self.watching = threading.Event()
        _start_thread(self._watch, "minigan-watch")

    def share_out(self, work, ranges):
        """The list of work(*each) for each of the ranges."""
        results, errors = [None] * len(ranges), {}
        turns = collections.deque(range(len(ranges)))

        def take_turns():
            while True:
                try:
                    i = turns.popleft()
                except IndexError:
                    return
                try:
                    results[i] = work(*ranges[i])
                except BaseException as error:
                    errors[i] = error

        before = _affinity()
        _set_affinity(self.homes[0])
        begun, ended = [], 0
        try:
            try:
                for worker in self.workers[: len(ranges) - 1]:
                    worker.begin(take_turns)
                    begun.append(worker)
                take_turns()
            finally:
                turns.clear()
                for worker in begun:
                    worker.end()
                    ended += 1
        finally:
            if ended < min(len(self.workers), len(ranges) - 1):
                _teams.clear()  # another signal's handler has raised: some worker is out of step
            _set_affinity(before)
            self.calls += 1
            self.watching.set()
        try:
            if errors:
                raise errors[min(errors)]
        finally:
            errors.clear()  # whose tracebacks hold this frame, and with it the errors
        return results

    def _watch(self):
        """Put the workers to sleep when there is nothing to do for a while."""
        while self.watching.wait():
            before = self.calls
            time.sleep(SPIN_SECONDS)
            # Not while the team works, nor between its workers' beginnings.
            if self.calls == before and _one_at_a_time.acquire(blocking=False):
                self.watching.clear()
                for worker in self.workers:
                    worker.park()
                _one_at_a_time.release()


class _Worker:
    """A thread that does one task after another.

    Between tasks it spins for a while, as OpenBLAS's threads and OpenMP's do: to wake a
    thread that sleeps takes 50 us and more, most of all on a virtual machine.
    """

    def __init__(self, home, index):
        self._orders, self._parked = collections.deque(), False
        self._begun, self._ended, self._awake = _spin_lock(), _spin_lock(), threading.Lock()
        for lock in (self._begun, self._ended, self._awake):
            lock.acquire()
        _start_thread(self._loop, f"minigan-{index}", home)

    def begin(self, task):
        """Let it call task() in a copy of the caller's context, which has its np.errstate."""
        self._orders.append((contextvars.copy_context().run, task))
        (self._awake if self._parked else self._begun).release()
        self._parked = False

    def end(self):
        """Wait for the task begun last."""
        self._ended.acquire()

    def park(self):
        """Let the worker sleep until the next task."""
        if not self._parked:
            self._parked = True
            self._orders.append(None)
            self._begun.release()

    def _loop(self, home):
        _set_affinity(home)
        while True:
            self._begun.acquire()
            order = self._orders.popleft()
            if order is None:
                self._awake.acquire()
                order = self._orders.popleft()
            run, task = order
            try:
                run(task)
            finally:
                del run, task, order  # which hold large arrays
                self._ended.release()


class _SpinLock:
    """The C library's spin lock, with acquire() and release() as threading.Lock has them."""

    def __init__(self, waiting, instant):
        # The library once such that calls let go of the interpreter lock, once not.
        self._waiting, self._instant = waiting, instant
        self._lock = ctypes.c_int()
        self._address = ctypes.byref(self._lock)
        instant.pthread_spin_init(self._address, 0)

    def acquire(self):
        if self._instant.pthread_spin_trylock(self._address):
            self._waiting.pthread_spin_lock(self._address)

    def release(self):
        self._instant.pthread_spin_unlock(self._address)


def _spin_lock():
    """A lock to wait for without sleeping; a plain one where the system has no such lock."""
    try:
        return _SpinLock(ctypes.CDLL(None), ctypes.PyDLL(None))
    except (TypeError, AttributeError):  # Windows; macOS
        return threading.Lock()


def _start_thread(function, name, *args):
    threading.Thread(target=function, args=args, name=name, daemon=True).start()


def _affinity():
    """The set of cores that the calling thread may use; None where the system has no such thing."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _set_affinity(cores):
    if cores:
        with contextlib.suppress(OSError):  # cores may have been taken away meanwhile
            os.sched_setaffinity(0, cores)


class _Blas:
    """OpenBLAS's number of threads, or 1 where NumPy's BLAS is another."""

    def __init__(self):
        self._get, self._set = _openblas_functions()
        self._lock = threading.Lock()
        self._users = 0
        self._cores = 1

    def single_threaded(self):
        """A context: inside, the BLAS runs on the calling thread; gives how many cores it had."""
        return self

    def __enter__(self):
        with self._lock:
            if self._users == 0 and self._get:
                self._cores = self._get()
                self._set(1)
            self._users += 1
        return self._cores

    def __exit__(self, *_):
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._get:
                self._set(self._cores)

    def use(self, cores):
        """Let it have so many threads, where nobody is within."""
        if self._set:
            self._set(cores)

    def forget_users(self):
        """What a forked child does: those who were using it are threads of its parent."""
        self._lock = threading.Lock()
        if self._users and self._set:
            self._set(self._cores)
        self._users = 0


def _openblas_functions():
    """OpenBLAS's (get, set) of the number of threads, or (None, None)."""
    extension = sys.modules.get("numpy._core._multiarray_umath")
    try:
        # Finds symbols of what it links to as well; calls keep the interpreter lock, being short.
        library = ctypes.PyDLL(extension.__file__)
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
_one_at_a_time = threading.Lock()
_teams = {}  # size -> team


def _team(cores):
    """The team for so many cores, made at its first use."""
    if cores not in _teams:
        _teams[cores] = _Team(cores)
    return _teams[cores]


def _start_afresh():
    """In a forked child: no worker has come along, and nobody is there to let go of a lock."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()
    _teams.clear()
    _blas.forget_users()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
