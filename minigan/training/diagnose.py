"""minigan diagnose RUN: what the history and the checkpoint of a run say."""

from pathlib import Path

import numpy as np

from ..errors import UserError, printable
from .checkpoint import Checkpoint
from .diagnosis import diagnose
from .history import History
from .latent import Latent
from .results import CHECKPOINT, HISTORY
from .sheet import draw


def examine(folder):
    """(columns, verdicts) of the run in a folder, with its checkpoint or without one.

    Raises UserError where there is no history, or a file is damaged.
    """
    folder = Path(folder)
    try:
        columns = History.read(folder / HISTORY)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"cannot read {folder / HISTORY}: {reason}; give the folder of a run"
        ) from error
    return columns, diagnose(columns, **_from_checkpoint(folder / CHECKPOINT))


def _from_checkpoint(path):
    """What else the diagnosis takes: pictures of the generator, and all arrays."""
    if not path.exists():
        return {}
    checkpoint = Checkpoint(path)
    networks, run = checkpoint.networks(), checkpoint.run
    if run is None or "generator" not in networks:
        return {}
    latent = Latent(**run["latent"])
    seed = run["options"].get("seed", 0)
    with np.errstate(all="ignore"):
        images = draw(networks["generator"], latent, seed=seed, xp=np)
    return dict(images=images, value_range=run["value_range"], arrays=checkpoint.arrays)


def command(options):
    """Print the verdicts; the exit code is 1 where one of them is ill."""
    _, verdicts = examine(options.run_folder)
    for verdict in verdicts:
        first, last = verdict.steps
        print(printable(f"{verdict.name}: {verdict.evidence}"))
        print(f"    steps {first:,} to {last:,}; {verdict.page}")
    return int(any(verdict.ill for verdict in verdicts))
