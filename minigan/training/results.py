"""The folder of a run: whose it is, and what lies in it.

config.json               its options; the first file, which makes the folder ours
history.csv               a row a step
samples/epoch_000.png     sheets, at the start and after each epoch
losses.png                the curves of the history
checkpoint.npz            the last file of an epoch, and the only one that resume starts from
best.npz, checkpoint_0007.npz   others that are kept, where that is asked for (`keep`)
samples.gif, report.html  at the end
"""

import json
import os
from pathlib import Path

from ..atomic import remove_leftovers, replacing
from ..errors import UserError
from . import pictures
from .checkpoint import CHECKPOINT, Checkpoint
from .keep import BEST

CONFIG, HISTORY, LOSSES, GIF = "config.json", "history.csv", "losses.png", "samples.gif"
REPORT = "report.html"
SHEETS = "samples"  # the folder of the sheets, epoch_000.png, step_000100.png and so on


def check_unused(folder, way_on="add --resume to go on with it, or give another --out"):
    """UserError, with a way on, if a folder holds a run that has begun to train.

    One that has not, such as one whose first step did not fit into memory, may be begun anew.
    """
    path = Path(folder) / CHECKPOINT
    if os.path.lexists(path) and not is_untrained(path):
        raise UserError(f"{folder} holds a run already: {way_on}")


def is_untrained(path):
    """Whether this is the checkpoint of a run from before its first step, and sure to be."""
    try:
        description = Checkpoint(path).description
    except UserError:
        return False
    steps = description["optimizer_steps"].values()
    return description["run"] is not None and description["run"]["step"] == 0 == sum(steps)


class Results:
    """The files of a run in `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def check(self, resume):
        """UserError unless what lies in the folder is of the run to resume, or of none."""
        if not resume:
            check_unused(self.folder)
        config = self.folder / CONFIG
        if os.path.lexists(config):
            if not _is_config(config):
                raise UserError(
                    f"{config} is not of a run of minigan: move it away, or give another --out"
                )
        elif not resume:
            sheets = (self.folder / SHEETS).glob("epoch_*.png")
            kept = self.folder.glob("checkpoint_*.npz")
            ours = [self.folder / name for name in (HISTORY, LOSSES, GIF, REPORT, BEST)]
            for path in (*ours, *sheets, *kept):
                if os.path.lexists(path):
                    raise UserError(
                        f"{path} is there and no {CONFIG} of a run: "
                        "move it away, or give another --out"
                    )

    def remove_leftovers(self):
        """Remove the temporary files of runs that were killed while they wrote."""
        files = CONFIG, HISTORY, LOSSES, GIF, REPORT, CHECKPOINT, BEST
        for name in (*files, "checkpoint_*.npz", f"{SHEETS}/*.png"):
            remove_leftovers(self.folder / name)

    def write_config(self, config):
        """config: a dict, anything JSON can hold, with the keys by which it is known again."""
        with replacing(self.folder / CONFIG) as file:
            file.write(json.dumps(config, indent=2).encode() + b"\n")

    def write_sheet(self, name, sheet):
        """sheet: uint8 (H, W, C)."""
        pictures.save_png(self.folder / SHEETS / f"{name}.png", sheet)

    def write_report(self, page):
        """page: a str of HTML."""
        with replacing(self.folder / REPORT) as file:
            file.write(page.encode())

    def write_gif(self, names):
        """An animation of the sheets of these names, as far as they are there.

        The last must be this run's; the problems of those left out are returned, one a line.
        """
        paths = [self.folder / SHEETS / f"{name}.png" for name in names]
        paths = pictures.thinned([path for path in paths if path.exists()])
        frames, problems = {}, []
        for path in paths:
            try:
                frames[path] = pictures.read(path)
            except (OSError, ValueError) as error:
                problems.append(f"{path} ({error})")
        for path, frame in list(frames.items()):
            if frame.shape[:2] != frames[paths[-1]].shape[:2]:
                problems.append(f"{path} ({frame.shape[1]} x {frame.shape[0]} pixels)")
                del frames[path]
        pictures.save_gif(self.folder / GIF, list(frames.values()))
        return problems


def _is_config(path):
    """Whether a file is the config.json of a run, whatever its version."""
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and {"version", "parameters"} <= config.keys()
