"""checkpoint.npz: everything a run is, as an archive of its networks.

    generator/params          as `minigan.archive` writes any network
    generator/buffers
    generator/optimizer/m     the flat state of its optimizer
    history                   the bytes of history.csv, up to here
    description               JSON: architectures, optimizer steps, the run

A run that keeps a moving average of its generator stores that as `generator`, the one to draw
with, and the one in training as `generator/trained`: a resumed run goes on with it, and
`generator/optimizer` is its optimizer.
"""

import json
from pathlib import Path

import numpy as np

from .. import archive, rebuild
from ..errors import UserError

CHECKPOINT = "checkpoint.npz"  # in the folder of a run
TRAINED = "generator/trained"


def save(path, networks, optimizers=None, run=None, history=b""):
    """Write a checkpoint, atomically: a failure leaves the old file as it was.

    networks: dict name -> Sequential.  optimizers: dict name -> Optimizer of the
    network of that name.  run: as `description.RUN` has it, to come back as `Checkpoint.run`.
    history: bytes, to come back as `Checkpoint.history`.  Raises OSError if the file cannot be
    written.
    """
    optimizers = optimizers or {}
    steps = {name: optimizer.t for name, optimizer in optimizers.items()}
    arrays = slots(optimizers)
    if history:
        arrays["history"] = np.frombuffer(history, np.uint8)
    archive.write(path, networks, arrays, optimizer_steps=steps, run=run)


def state(networks, optimizers):
    """The arrays of a checkpoint: dict name -> vector, the live ones, on their device."""
    return archive.tensors(networks) | slots(optimizers)


def slots(optimizers):
    """What is stored of optimizers: dict name -> vector."""
    return {
        f"{name}/optimizer/{slot}": vector
        for name, optimizer in optimizers.items()
        for slot, vector in optimizer.state.items()
    }


class Checkpoint:
    """A checkpoint file that has been read and checked.

    path: of the file, which is looked for where a folder is given.  arrays: dict name -> array.
    description: the JSON text, parsed; run: what the run stored; history: bytes, none in an early
    or an old checkpoint.  Raises UserError if the file is missing, damaged, not a checkpoint, or
    holds pickled objects.
    """

    def __init__(self, path):
        self.path = Path(path)
        if self.path.is_dir():
            self.path /= CHECKPOINT
        self.arrays, self.description = rebuild.read(self.path)
        self.run = self.description["run"]
        self.history = self.arrays.pop("history", np.empty(0)).tobytes()

    def networks(self, custom=()):
        """Rebuild the networks: dict name -> Sequential."""
        return rebuild.networks(self.path, self.arrays, self.description, custom)

    def restore(self, networks, optimizers):
        """Write the stored values into networks and optimizers built as before."""
        for name, network in networks.items():
            stored = self.description["networks"].get(name)
            if stored != json.loads(json.dumps(archive.describe(network))):
                raise UserError(f"{self.path} holds another {name} than this program builds")
        for name, optimizer in optimizers.items():
            optimizer.t = self.description["optimizer_steps"].get(name, 0)
        rebuild.fill(self.path, state(networks, optimizers), self.arrays)
