"""What a run says when it cannot go on: one line with the cause, what is safe, and the way on."""

import numpy as np

from ..errors import RunFailed, UserError
from . import shortage
from .checkpoint import state


def not_finite(run, step, values):
    """The RunFailed of a step: `values` or, if all of them are finite, the results are not."""
    losses = [f"{name} is {value}" for name, value in values.items() if not np.isfinite(value)]
    tensors = _tensors(run.networks, run.optimizers)
    where = next((name for name, array in tensors if not run.xp.isfinite(array).all()), None)
    return RunFailed(
        f"step {step}: {', '.join(losses) or 'the result is not finite'}; "
        + (f"first tensor that is not finite: {where}" if where else "all tensors are finite")
        + f"; {_last_good(run)}; a lower learning rate may help"
    )


def cannot_write(run, error):
    """The UserError of an OSError: a full disk, a folder that is gone."""
    return UserError(
        f"cannot write {error.filename or run.folder}: {error.strerror or error}; "
        f"{_last_good(run)}{_go_on(run)}"
    )


def out_of_memory(run):
    """What to do after a MemoryError, which has ended the run."""
    batch = shortage.batch_that_fits(run.networks, run.latent, run.batch_size, run.xp)
    fits = f"--batch-size {batch} would fit" if batch else "not even one image at a time fits"
    return f"{fits}; {_last_good(run)}{_go_on(run) if run.saved_step else ''}"


def _tensors(networks, optimizers):
    """Yields (name, array) of everything that training writes, the finest names first."""
    for name, network in networks.items():
        for tensor, param, grad in network.named_tensors():
            yield f"{name} {tensor} (parameter)", param
            yield f"{name} {tensor} (gradient)", grad
    yield from state(networks, optimizers).items()


def _last_good(run):
    if run.saved_step is None:
        return "no checkpoint was written yet"
    return f"the last good checkpoint is that of step {run.saved_step}"


def _go_on(run):
    return "" if run.saved_step is None else f"; go on with: {run.options.command}"
