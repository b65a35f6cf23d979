"""Processes that train together, as threads of one: a communicator for tests without MPI."""

import threading

import numpy as np

from minigan import processes


class Communicator:
    """What mpi4py's has, among threads; slots and barrier are shared by all of them."""

    def __init__(self, rank, slots, barrier):
        self._rank, self._slots, self._barrier = rank, slots, barrier

    def Get_rank(self):
        return self._rank

    def Get_size(self):
        return len(self._slots)

    def allgather(self, value):
        self._slots[self._rank] = value
        self._barrier.wait()
        found = list(self._slots)
        self._barrier.wait()
        return found

    def Allreduce(self, values, total):
        total[...] = sum(self.allgather(values.copy()), np.zeros_like(total))


class _Here(threading.local):
    """Another process in every thread."""

    process = processes.Alone()

    def __getattr__(self, name):
        return getattr(self.process, name)


def together(monkeypatch, size, work):
    """[work() of each of `size` processes], which begin together."""
    here, slots, barrier = _Here(), [None] * size, threading.Barrier(size, timeout=60)
    monkeypatch.setattr(processes, "here", here)
    results, failures = [None] * size, []

    def run(rank):
        here.process = processes.Together(Communicator(rank, slots, barrier))
        try:
            results[rank] = work()
        except Exception as error:
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failures:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return results
