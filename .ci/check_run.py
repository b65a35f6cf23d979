"""Does a short run of an example look healthy?  python .ci/check_run.py FOLDER

Exit 1 where it does not, saying why.  All values must be finite, the pictures of every epoch there
and other than those of an untrained G, and D must not have won: then it gives generated images
next to nothing for good, and G learns no more.  Over the last quarter of 400 steps, horses got 0.24
of 1 and the built-in pictures, which are easier for D, 0.06.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from minigan.training.history import History

LEAST_D_FAKE = 0.005  # D's mean verdict on generated images
COUNTS = ("step", "epoch")


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), float)


def check(folder):
    """Print the figures; AssertionError where one is not as it should be."""
    history = History.read(folder / "history.csv")
    steps = len(history["step"])
    late = {name: np.nanmean(values[-(steps // 4) :]) for name, values in history.items()}
    figures = ", ".join(f"{name} {late[name]:.3f}" for name in history if name not in COUNTS)
    print(f"{steps} steps; mean over the last quarter: {figures}")
    assert steps >= 100, "too few steps to tell"
    losses = [values for name, values in history.items() if "loss" in name]
    assert np.isfinite(losses).all(), "a loss is not finite"
    assert late["d_fake"] > LEAST_D_FAKE, "D has won"
    assert late["d_real"] > late["d_fake"], "D tells nothing apart"

    sheets = sorted((folder / "samples").glob("epoch_*.png"))
    assert len(sheets) == 1 + history["epoch"][-1], "pictures are missing"
    first, last = pixels(sheets[0]), pixels(sheets[-1])
    print(
        f"pictures: {len(sheets)} sheets, contrast {last.std():.0f}, "
        f"mean change since the first {np.abs(last - first).mean():.0f}"
    )
    assert last.std() > 20, "the pictures are flat"
    assert np.abs(last - first).mean() > 10, "the pictures have not changed"


if __name__ == "__main__":
    check(Path(sys.argv[1]))
