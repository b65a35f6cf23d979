"""How arrays on GPUs are added up over the processes: three ways, the first that is there.

NCCL              from GPU to GPU, as CuPy provides it
CUDA-aware MPI    the same, by an MPI that was built so
the host          from GPU to host, MPI's sum there, and back
"""

import contextlib
import ctypes


def on_gpus(here, xp):
    """(name of the way, function (array of xp) -> its sum over all processes, a new one).

    here: a `processes.Together`.  xp: cupy.  The function is None for the host, which
    `Together` knows itself.
    """
    nccl = _nccl(here, xp)
    if nccl is not None:
        return "NCCL", _by_nccl(nccl, xp)
    if _is_cuda_aware():
        return "CUDA-aware MPI", _by_mpi(here.communicator, xp)
    return "the host", None


def _nccl(here, xp):
    """A communicator of NCCL, or None unless all processes have the library."""
    with contextlib.suppress(ImportError):
        from cupy.cuda import nccl
    found = "nccl" in locals() and nccl.available
    if not all(here.communicator.allgather(found)):
        return None
    identity = here.first(nccl.get_unique_id() if here.rank == 0 else None)
    return nccl.NcclCommunicator(here.size, identity, here.rank)


def _by_nccl(communicator, xp):
    from cupy.cuda import nccl

    kinds = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}

    def total(values):
        values = xp.ascontiguousarray(values)
        sums, stream = xp.empty_like(values), xp.cuda.get_current_stream()
        communicator.allReduce(
            values.data.ptr, sums.data.ptr, values.size, kinds[values.dtype.name],
            nccl.NCCL_SUM, stream.ptr,
        )  # fmt: skip
        return sums

    return total


def _by_mpi(communicator, xp):
    def total(values):
        values = xp.ascontiguousarray(values)
        sums = xp.empty_like(values)
        xp.cuda.get_current_stream().synchronize()  # MPI knows nothing of streams
        communicator.Allreduce(values, sums)
        return sums

    return total


def _is_cuda_aware():
    """Whether the MPI that is loaded says that it takes arrays on GPUs, as Open MPI can."""
    from mpi4py import MPI

    try:
        return bool(ctypes.CDLL(MPI.__file__).MPIX_Query_cuda_support())
    except (AttributeError, OSError):
        return False
