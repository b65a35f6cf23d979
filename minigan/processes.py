"""The processes that train one GAN together: who they are, and all they ever say to each other.

A batch is shared out evenly: each of P processes has N / P of its samples, and the same networks.
What is a mean over the batch is then the mean over the processes of their own means:

    losses and gradients    at every step of an optimizer
    BatchNorm's moments     in every pass, and the means that its ways back take

Everything else is a function of one sample.  Random numbers are addressed by the sample's place in
the whole batch, so that they are the same at any number of processes.

`here` is this process among the others.  Engine and run ask it, and in a single process it says
and does nothing.  Nor does it `by_itself`, where one process works and the others wait.
"""

import contextlib
import time

import numpy as np

from .arrays import get_array_module, to_host
from .kernels.plain import alone


class Alone:
    """One process, which has the whole batch.

    rank: its number, from 0.  size: how many there are.
    neighbours: the communicator of the processes on this machine, None where there are no others.
    share: (n, rank, size) within a training step, where this process has n rows of a batch of
    n * size; None where it has all rows.
    """

    rank, size, neighbours, share = 0, 1, None, None

    mean = mean_of_moments = staticmethod(alone)

    def average(self, values):
        """Write the mean of an array over all processes into it."""

    def first(self, value):
        """What process 0 has."""
        return value

    def begin_batch(self, samples):
        """Share out batches of so many samples from now on."""

    def end_batch(self):
        """No more: what is drawn is drawn whole."""

    def rows(self, whole):
        """Those rows of an array of the whole batch (N, ...) that are of this process."""
        return whole

    def whole(self, rows):
        """The array of which each process has these rows of its own: the inverse of `rows`."""
        return rows

    def keep_moments(self):
        """Leave BatchNorm's moments to each process from now on."""

    def largest(self, number):
        """The largest of an integer over all processes."""
        return number


class Together:
    """One process of several.

    communicator: of mpi4py; neighbours: that of the processes on the same machine; ending: a
    second one of all, for those that end.
    way, total: how arrays are added up: its name, and a function (array) -> its sum over all
    processes, a new array.  At first it is MPI's, of arrays in the host's memory.
    since: when this process began to wait for the others, by time.monotonic(); None if it does not.
    """

    def __init__(self, communicator, neighbours=None, ending=None):
        self.communicator, self.neighbours, self.ending = communicator, neighbours, ending
        self.rank, self.size, self.share = communicator.Get_rank(), communicator.Get_size(), None
        self.way, self.total, self.since = "MPI", self._total_on_the_host, None
        self.mean_of_moments = self.mean

    def mean(self, values):
        """The mean of an array over all processes: a new array, the same on all of them."""
        total = self.total(values)
        total /= self.size
        return total

    def average(self, values):
        values[...] = self.mean(values)

    @contextlib.contextmanager
    def _waiting(self):
        self.since = time.monotonic()
        try:
            yield self.communicator
        finally:
            self.since = None

    def first(self, value):
        with self._waiting() as communicator:
            return communicator.bcast(value)

    def _total_on_the_host(self, values):
        mine, total = np.ascontiguousarray(to_host(values)), np.empty(values.shape, values.dtype)
        with self._waiting() as communicator:
            communicator.Allreduce(mine, total)
        return get_array_module(values).asarray(total)

    def keep_moments(self):
        self.mean_of_moments = alone

    def begin_batch(self, samples):
        n, rest = divmod(samples, self.size)
        if rest or not n:
            fits = [count * self.size for count in (n, n + 1) if count]
            raise ValueError(
                f"a batch of {samples} cannot be shared out evenly among {self.size} processes: "
                f"take {' or '.join(map(str, fits))}"
            )
        self.share = n, self.rank, self.size

    def end_batch(self):
        self.share = None

    def rows(self, whole):
        if self.share is None:
            return whole
        n, rank, size = self.share
        parts = whole.reshape(-1, size, n, *whole.shape[1:])
        return parts[:, rank].reshape(-1, *whole.shape[1:])

    def whole(self, rows):
        if self.share is None:
            return rows
        n, rank, size = self.share
        mine, xp = rows.reshape(-1, n, *rows.shape[1:]), get_array_module(rows)
        parts = xp.zeros((len(mine), size, *mine.shape[1:]), rows.dtype)
        parts[:, rank] = mine
        return self.total(parts).reshape(-1, *rows.shape[1:])

    def largest(self, number):
        with self._waiting() as communicator:
            return max(communicator.allgather(number))


here = Alone()


@contextlib.contextmanager
def by_itself():
    """Within the block this process has no others: for what one does for all.

    It may then load data and train networks of its own, where the others would not answer.
    """
    global here
    others, here = here, Alone()
    try:
        yield
    finally:
        here = others
