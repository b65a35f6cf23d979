"""Weights of another run to begin with: all that fit by their name and shape."""

import numpy as np

from ..data.status import few
from ..errors import UserError
from .checkpoint import TRAINED, Checkpoint


def init_from(networks, path, custom=()):
    """Take the weights and moving statistics of the networks of the same names in a file.

    networks: dict name -> Sequential, on any device.  path: of a checkpoint or a saved network, or
    of the folder of a run.  custom: layer and initialiser classes of your own that it uses.
    A tensor is taken where one of its name, such as "0.dense.weight", is there with its shape; the
    numbers become those of our dtype.  All others stay as they are.

    Where the run has a moving average, the generator in training is taken: it is the one that the
    discriminator there has learnt to answer, and the two are to go on together.  A new run's own
    average forgets its beginning within some ten steps.

    Returns a line that says how many were taken and names those that were not, with both shapes.
    Raises UserError, and writes nothing, if the file is missing, damaged or no checkpoint, if
    nothing in it fits, and for numbers that are not finite.
    """
    checkpoint = Checkpoint(path)
    path, there = checkpoint.path, checkpoint.networks(custom)
    if TRAINED in there:
        there["generator"] = there.pop(TRAINED)
    taken, left = [], []
    for name, network in networks.items():
        if name not in there:
            left.append(f"all of {name}, there none")
            continue
        found = dict(there[name].named_state())
        for place, tensor in network.named_state():
            stored = found.get(place)
            if stored is not None and stored.shape == tensor.shape:
                with np.errstate(over="ignore"):
                    values = stored.astype(network.dtype)
                if not np.isfinite(values).all():
                    raise UserError(f"{path}: its {name} {place} is not finite")
                taken.append((tensor, network.xp.asarray(values)))
            else:
                shape = "none" if stored is None else stored.shape
                left.append(f"{name} {place} {tensor.shape}, there {shape}")
    if not taken:
        raise UserError(f"nothing in {path} fits this run: {few(left, 3)}")
    for tensor, values in taken:
        tensor[...] = values
    rest = f"; not taken: {'; '.join(left)}" if left else ""
    return f"begins with {len(taken)} tensors from {path}{rest}"
