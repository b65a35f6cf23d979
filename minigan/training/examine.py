"""minigan diagnose RUN: a run in a folder, looked at from outside."""

from pathlib import Path

import numpy as np

from ..errors import UserError, printable
from . import diagnosis
from .checkpoint import Checkpoint
from .history import History
from .latent import Latent
from .results import CHECKPOINT, HISTORY
from .sheet import draw


def diagnose(options):
    """Print the verdicts on the run in `options.folder`; the exit code, 1 where one is ill."""
    _, _, verdicts = examine(options.folder)
    for verdict in verdicts:
        first, last = verdict.steps
        print(printable(f"{verdict.name}: {verdict.evidence}"))
        print(f"    steps {first:,} to {last:,}; {verdict.page}")
    return int(any(verdict.ill for verdict in verdicts))


def examine(folder):
    """(name, columns, verdicts) of a run, with its checkpoint or without one.

    The name is that of its example, None without a checkpoint.  Raises UserError where there is
    no history, or a file is damaged.
    """
    folder = Path(folder)
    try:
        columns = History.read(folder / HISTORY)
    except OSError as error:
        raise UserError(
            f"cannot read {folder / HISTORY}: {error.strerror or error}; give the folder of a run"
        ) from error
    if not (folder / CHECKPOINT).exists():
        return None, columns, diagnosis.diagnose(columns)
    checkpoint = Checkpoint(folder / CHECKPOINT)
    networks, run = checkpoint.networks(), checkpoint.run
    if run is None:
        raise UserError(f"{checkpoint.path} is of networks, not of a run")
    latent = Latent(**run["latent"])
    try:
        with np.errstate(all="ignore"):  # what is not finite shows in the pictures
            images = draw(networks["generator"], latent, seed=run["options"]["seed"], xp=np)
    except (LookupError, TypeError, ValueError) as error:  # of a file that no run has written
        raise UserError(f"{checkpoint.path}: its generator does not draw: {error}") from error
    found = diagnosis.diagnose(columns, images, run["value_range"], checkpoint.arrays)
    return run["name"], columns, found
