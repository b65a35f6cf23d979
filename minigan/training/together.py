"""Several processes, one training: begun by an MPI launcher, ended together.

    mpiexec -n 4 python examples/dcgan.py --data FOLDER

All of them run the same program.  Process 0 reports, draws and writes; the others are silent, and
speak up only where one of them fails alone.
"""

import contextlib
import math
import os
import sys
import threading
import time

import numpy as np

from .. import processes, threads
from ..errors import UserError
from . import exchange

RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")  # as MPICH, Slurm and Open MPI set them
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
PATIENCE = 5.0  # seconds that a process which has failed leaves the others to end as well
LAST_WORDS = 0.5  # seconds that a launcher has to pass them on
SILENCE = 3600.0  # seconds to wait for the others: they may be writing, or scoring what they have


def join():
    """Become one of the processes that a launcher has started, if one has.

    Sets `processes.here`.  Raises UserError where mpi4py is missing, or is of another MPI than the
    launcher: each process would take itself for the only one.
    """
    if processes.here.size > 1 or not any(name in os.environ for name in RANKS):
        return
    rank = next(os.environ[name] for name in RANKS if name in os.environ)
    if rank != "0":
        _fall_silent()
    try:
        with threads.InterruptsWait():  # half an MPI can neither be used nor be left
            _meet()
    except ImportError as error:
        raise UserError(
            "this was started by an MPI launcher, and mpi4py is not installed: "
            f"pip install 'minigan[mpi]', or start it without the launcher ({error})"
        ) from error


def _meet():
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if world.Get_size() > 1:
        neighbours = world.Split_type(MPI.COMM_TYPE_SHARED)
        processes.here = processes.Together(world, neighbours, world.Dup())
        _share_cores(neighbours)
        threading.Thread(target=_watch, args=(processes.here,), daemon=True).start()
        return
    started = next((os.environ[name] for name in SIZES if name in os.environ), "1")
    if started != "1":
        raise UserError(
            f"the launcher has started {started} processes, and to MPI this one is alone: launcher "
            "and mpi4py have to be of one MPI, as pip install 'minigan[mpi]' brings them"
        )


def _watch(here):
    """End this process when the others have been silent for too long.

    MPI ends all where one process dies.  Of a machine that leaves the network it hears nothing.
    """
    while True:
        time.sleep(SILENCE / 10)
        since = here.since
        if since is not None and time.monotonic() - since > SILENCE:
            minutes = SILENCE / 60
            abort(1, f"no word from the others for {minutes:.0f} minutes: is a machine gone?")


def _fall_silent():
    sys.stdout = sys.stderr = open(os.devnull, "w")


def _share_cores(neighbours):
    """Take this process's part of the cores of its machine, which it would else take all of.

    neighbours: the communicator of the processes on it.  A launcher may have given each of them
    cores of its own; OPENBLAS_NUM_THREADS says how many each shall take.
    """
    cores = neighbours.allgather(usable_cores())
    mine = cores[neighbours.Get_rank()]
    sharing = sum(not mine.isdisjoint(others) for others in cores)
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        threads.use_cores(max(1, len(mine) // sharing))


def usable_cores():
    """The numbers of the cores that this process may run on, a set."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on this system
        return set(range(os.cpu_count() or 1))


def take_device(xp):
    """On GPUs: take one of its own for this process, and the fastest way to exchange arrays.

    Raises UserError where a machine has fewer GPUs than processes.
    """
    here = processes.here
    if here.size == 1 or xp is np:
        return
    rank, count = here.neighbours.Get_rank(), xp.cuda.runtime.getDeviceCount()
    if here.neighbours.Get_size() > count:
        raise UserError(
            f"{here.neighbours.Get_size()} processes on a machine with {count} "
            f"GPU{'s' * (count != 1)}: start one for each GPU"
        )
    xp.cuda.Device(rank).use()
    here.way, total = exchange.on_gpus(here, xp)
    here.total = total or here.total


def check_batch(samples):
    """UserError unless a batch can be shared out evenly."""
    try:
        processes.here.begin_batch(samples)
    except ValueError as error:
        raise UserError(f"--batch-size {samples}: {error}") from error
    processes.here.end_batch()


def description():
    """One line on who trains together; None of a process by itself."""
    here = processes.here
    if here.size == 1:
        return None
    cores = threads.core_count()
    means = f"means through {here.way}"
    return f"{here.size} processes, {cores} core{'s' * (cores > 1)} each, {means}"


def check_alike(values):
    """UserError unless all processes have the same values: dict name -> what can be compared.

    A name that another program does not know has the value None there.
    """
    here = processes.here
    if here.size == 1:
        return
    for rank, others in enumerate(here.communicator.allgather(values)):
        for name, value in values.items():
            if others.get(name) != value:
                raise UserError(
                    f"process {rank} has {name} {others.get(name)}, process {here.rank} has "
                    f"{value}: start all with the same command, in the same environment"
                )


def leave(code, line):
    """End with the others: what is left to say, None where another process says it.

    code: of this process's end, 0 where all is well.  Where it has failed and the others have
    not, they are ended as well, after `PATIENCE`, and this does not return.
    """
    here = processes.here
    if here.size == 1:
        return line
    codes = _gathered(code, PATIENCE if code else math.inf)
    if codes is None:
        abort(code, line)
    if here.rank != (codes != 0).argmax():  # the first that has failed, or process 0
        return None
    sys.stderr = sys.__stderr__
    return line


def all_are_here():
    """Whether all processes have left the loop, and not this one alone."""
    return processes.here.size == 1 or _gathered(0, PATIENCE) is not None


def _gathered(code, patience):
    """Everyone's codes, or None where someone else has none after so many seconds."""
    here, since = processes.here, time.monotonic()
    codes = np.empty(here.size, int)
    # Between those that end: the others may still be at a mean.
    request = here.ending.Iallgather(np.array(code), codes)
    while not request.Test():
        if time.monotonic() - since > patience:
            return None
        time.sleep(0.001)
    return codes


def abort(code, line):
    """End all processes now."""
    here = processes.here
    with contextlib.suppress(OSError):
        print(f"process {here.rank} of {here.size}: {line}", file=sys.__stderr__, flush=True)
    time.sleep(LAST_WORDS)  # it ends all at once, and drops what it has not read by then
    here.communicator.Abort(code)
    os._exit(code)  # the launcher ends all, and may take its time
