"""One copy of the pictures for all processes of a machine, read or made by one of them."""

import contextlib
import functools
import shutil
from dataclasses import fields

import numpy as np

from .. import processes
from ..errors import UserError
from .dataset import Dataset

SHARED = "/dev/shm"
_windows = []  # what holds the memory that they share, to the end


def once_a_machine(load):
    """A function that returns what load() does, or raises what it does, in every process."""

    @functools.wraps(load)
    def load_once(*args, **options):
        neighbours = processes.here.neighbours
        if neighbours is None:
            return load(*args, **options)
        return _handed_on(neighbours, lambda: load(*args, **options))

    return load_once


def _handed_on(neighbours, load):
    """The `Dataset` that the first of the neighbours loads."""
    first, dataset, error = neighbours.Get_rank() == 0, None, None
    if first:
        try:
            dataset = load()
            _check_room(dataset.images.nbytes)
        except Exception as found:
            error = found
    error = neighbours.bcast(error)
    if error is not None:
        raise error
    about = first and {f.name: getattr(dataset, f.name) for f in fields(dataset)}
    images = about.pop("images") if first else np.empty(0)
    about, shape, dtype = neighbours.bcast((about, images.shape, images.dtype))
    shared = _shared(neighbours, shape, dtype)
    if first:
        shared[...] = images
    neighbours.Barrier()
    return Dataset(shared, **about)


def _check_room(size):
    """UserError where the memory that processes share has not so many bytes left.

    It is a file system of its own on Linux: who writes more into it than there is, is killed.
    """
    with contextlib.suppress(OSError):  # another system
        room = shutil.disk_usage(SHARED).free
        if size > room:
            raise UserError(
                f"the pictures take {size / 1e6:,.0f} MB of the memory that processes share, "
                f"{SHARED} has {room / 1e6:,.0f} MB left: enlarge it (docker run --shm-size), "
                "or use fewer with --limit"
            )


def _shared(neighbours, shape, dtype):
    """An array that all processes of a machine see."""
    from mpi4py import MPI

    size = dtype.itemsize * int(np.prod(shape)) if neighbours.Get_rank() == 0 else 0
    _windows.append(MPI.Win.Allocate_shared(size, comm=neighbours))
    memory, _ = _windows[-1].Shared_query(0)
    return np.ndarray(shape, dtype, memory)
