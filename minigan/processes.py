"""The processes that train one GAN together: who they are, and all they ever say to each other.

A batch is shared out evenly: each of P processes has N / P of its samples, and the same networks.
What is a mean over the batch is then the mean over the processes of their own means:

    losses and gradients    at every step of an optimizer
    BatchNorm's moments     in every pass, and the means that its ways back take

Everything else is a function of one sample.  Random numbers are addressed by the sample's place in
the whole batch, so that they are the same at any number of processes.

`here` is this process among the others.  Engine and run ask it, and in a single process it says
and does nothing.
"""

import numpy as np

from .arrays import get_array_module, to_host
from .kernels.plain import alone


class Alone:
    """One process, which has the whole batch.

    rank: its number, from 0.  size: how many there are.
    share: of the masks that are drawn for a batch, see `kernels.plain.runs`.
    mean: values (...) -> their mean over all processes, a new array.
    mean_of_moments: the same for BatchNorm, whose moments may also be left to each process.
    """

    rank, size, share = 0, 1, None
    mean = mean_of_moments = staticmethod(alone)

    def broadcast(self, value):
        """The value that process 0 has."""
        return value


class Together:
    """One process of several that MPI has started.

    communicator: of mpi4py.  local_moments: BatchNorm's statistics are of each process's own
    samples.
    """

    def __init__(self, communicator, *, local_moments=False):
        self._communicator = communicator
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()
        self.share = None
        self.mean_of_moments = alone if local_moments else self.mean

    def mean(self, values):
        xp = get_array_module(values)
        sums = np.empty(values.shape, values.dtype)
        self._communicator.Allreduce(np.ascontiguousarray(to_host(values)), sums)
        sums /= self.size
        return xp.asarray(sums)

    def broadcast(self, value):
        return self._communicator.bcast(value)


here = Alone()
