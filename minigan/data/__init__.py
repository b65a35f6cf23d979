"""Pictures to train on: MNIST and its relatives, or built-in digits that need no file at all.

    from minigan import data

    pictures = data.load("auto")          # MNIST if it can be had, else the built-in digits
    pictures.images, pictures.labels      # uint8 (N, 28, 28, 1), int64 (N,)

Nothing here knows of networks or devices.
"""

import os
import sys

from ..errors import UserError
from . import digits, mnist
from .dataset import Dataset

__all__ = ["Dataset", "digits", "load", "mnist"]

AUTO_PATIENCE = 5.0        # seconds that "auto" waits for silent mirrors


def load(name="auto", *, split="train", limit=None, seed=0, notify=None, download=True):
    """Load a `Dataset` by name or path.

    name: `"auto"` (MNIST from $MINIGAN_DATA, the user's cache or a mirror, else the built-in
    digits, saying so), `"mnist"`, `"digits"`, or the path of a folder with IDX files or of an
    IDX images file.  A folder that is called like one of the names is given as `./mnist`.
    split: `"train"` or `"test"`.  limit: keep the first so many.  seed: of the built-in digits.
    notify: called with each line the user should see; by default it goes to standard error.
    download: False, or $MINIGAN_OFFLINE=1, keeps off the network.

    Raises UserError if the data is missing or damaged, or has fewer pictures than `limit`.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split {split!r}: expected 'train' or 'test'")
    notify = notify or _print
    if name == "auto":
        dataset = _auto(split, seed, notify, download)
    elif name == "mnist":
        dataset = mnist.load(split=split, notify=notify, allow_download=download)
    elif name == "digits":
        dataset = digits.load(split=split, seed=seed)
    elif os.path.exists(path := os.path.expanduser(name)):
        dataset = mnist.read(path, split=split)
    else:
        raise UserError(f"data {name}: no such file or folder: "
                        "give one that exists, or one of auto, mnist, digits")
    return dataset if limit is None else dataset.limit(limit)


def _auto(split, seed, notify, download):
    try:
        return mnist.load(split=split, notify=notify, allow_download=download,
                          patience=AUTO_PATIENCE)
    except mnist.NotFoundError as error:
        notify(f"using the built-in digits: {error}")
        return digits.load(split=split, seed=seed)


def _print(line):
    print(line, file=sys.stderr)
