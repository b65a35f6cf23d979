"""Which checkpoints are kept beside the one that a resume starts from.

best.npz               of the epoch with the best score, with --keep-best
checkpoint_0007.npz    of the last epochs, with --keep N

Each is a whole checkpoint, as large as checkpoint.npz, and written before it.  A run that is killed
in between goes on from the older checkpoint.npz, comes to the same epoch with the same score, and
writes the same again.  An old one goes when all that replaces it is on the disk.
"""

import contextlib

import numpy as np

BEST, NUMBERED = "best.npz", "checkpoint_{:04d}.npz"
HIGHER_IS_BETTER = {"precision", "recall"}  # of the scores; a distance should be small


def kept(options, epoch, columns, step):
    """The names under which the checkpoint after `step`, at the end of an epoch, is kept.

    columns: of the history, None before there is one.
    """
    if columns and options.keep_best in columns and is_best(columns, options.keep_best, step):
        yield BEST
    if options.keep and step:
        yield NUMBERED.format(epoch)


def is_best(columns, score, step):
    """Whether the history has its best value of a score at this step, and no earlier one as good.

    columns: as `History.columns` returns them, NaN where there is no value.
    """
    values = -columns[score] if score in HIGHER_IS_BETTER else columns[score]
    known = np.isfinite(values)
    return bool(known.any()) and int(columns["step"][known][values[known].argmin()]) == step


def forget(folder, epoch, keep):
    """Remove the checkpoints of epochs before the last `keep`, the last of which is `epoch`."""
    for path in folder.glob("checkpoint_*.npz"):
        number = path.stem.removeprefix("checkpoint_")
        if number.isdecimal() and int(number) <= epoch - keep:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
