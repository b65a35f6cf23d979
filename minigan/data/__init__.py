"""Pictures to train on: published sets, your own files, or digits that need no file at all.

    from minigan import data

    pictures = data.load("auto")          # MNIST if it can be had, else the built-in digits
    pictures.images, pictures.labels      # uint8 (N, 28, 28, 1), int64 (N,)

    data.load("my/photos", size=(48, 64), channels=3)              # a folder of pictures
    data.load("my/photos.zip", size=64, channels=4)                # packed, with transparency
    data.load("cifar10", classes=("horse",), size=32, channels=3)  # horses
    data.from_arrays(images, labels, value_range=(0, 1))           # arrays of floats

Nothing here knows of networks or devices.
"""

import math
import os
from dataclasses import replace
from pathlib import Path

from ..errors import UserError
from . import arrays, attributes, cifar, decode, digits, files, folder, mnist, packed, published
from .arrays import from_arrays
from .dataset import Dataset
from .fitting import check_form
from .once import once_a_machine
from .status import say

__all__ = ["Dataset", "attributes", "cifar", "digits", "from_arrays", "load", "mnist"]

NAMES = ("auto", "mnist", "digits", "cifar10")
PUBLISHED = {"mnist": mnist, "cifar10": cifar}
AUTO_PATIENCE = 5.0  # seconds that "auto" waits for silent mirrors


@once_a_machine
def load(
    name="auto",
    *,
    auto="mnist",
    size=None,
    channels=None,
    fit="crop",
    classes=None,
    split="train",
    limit=None,
    seed=0,
    notify=None,
    download=True,
):
    """Load a `Dataset` by name or path; its images are uint8 (N, height, width, channels).

    name: one of
        `"mnist"`, `"cifar10"`: from $MINIGAN_DATA, the user's cache or a mirror;
        `"digits"`: built in, white on black, or in colour where channels are 3 or 4;
        a path: a folder, .zip, .tar or .tar.gz of pictures; an .npy or .npz file of arrays; a
        folder with IDX files or an IDX images file; CIFAR-10's folder or archive.  A folder that
        is called like one of the names is given as `./mnist`;
        `"auto"`: the set that `auto` names if it can be had, else the digits, saying so.
    auto: `"mnist"`, `"cifar10"` or `"digits"`.  A folder that holds both MNIST and CIFAR-10
    gives the one named here.
    size, channels: the form of the pictures: (height, width), or one number for both; 1 (grey), 3
    (RGB) or 4 (RGB and alpha).  By default that of MNIST, 28 and 1, or of CIFAR-10, 32 and 3, where
    name or `auto` is `"cifar10"`.
    fit: what becomes of pictures of other proportions: `"crop"` cuts what is too long off both
    ends, `"squash"` scales the sides by themselves.
    classes: names or numbers of the classes to keep, which labels number in this order.
    split: `"train"` or `"test"`, of sets that have them; files of one's own have not.
    limit: keep the first so many, of sub-folders as many of each.  seed: of the built-in digits.
    notify: called with each line the user should see; by default it goes to standard error.
    download: False, or $MINIGAN_OFFLINE=1, keeps off the network.

    Raises UserError if the data is missing or damaged, has no such classes or fewer pictures than
    `limit`, or does not fit into memory.
    """
    if split not in digits.COUNTS:
        raise ValueError(f"split {split!r}: expected 'train' or 'test'")
    if auto not in NAMES[1:]:
        raise ValueError(f"auto {auto!r}: expected one of {NAMES[1:]}")
    own = (cifar.SIDE, 3) if "cifar10" in (name, auto) else (digits.SIDE, 1)
    size, channels = own[0] if size is None else size, own[1] if channels is None else channels
    form = dict(size=check_form(size, channels, fit), channels=channels, fit=fit)
    notify = notify or say

    if name in NAMES:
        first = limit if classes is None else None
        drawn = dict(seed=seed, size=size, channels=channels, limit=first)
        dataset = _named(name, auto, split, notify, drawn, dict(allow_download=download))
    else:
        path = Path(os.path.expanduser(name))
        kind = _kind(path, auto, split)
        wanted = dict(form, classes=classes, limit=limit, notify=notify)  # no more is decoded
        if kind is folder:
            return folder.load(path, **wanted)
        if kind is packed:
            with packed.opened(path) as listing:
                if not cifar.among(listing.others):
                    return files.load(path, listing, **wanted)
            kind = cifar
        takes = {arrays: {}, mnist: dict(split=split), cifar: dict(split=split, notify=notify)}
        dataset = kind.read(path, **takes[kind])
    if classes is not None:
        dataset = dataset.only(classes)
    if limit is not None:
        dataset = dataset.limit(limit)
    return dataset.fitted(**form)


def _named(name, auto, split, notify, drawn, wanted):
    """The `Dataset` of a name; drawn: options of the digits, wanted: of published sets."""
    found = dict(split=split, notify=notify)
    if name == "auto" and auto == "digits":
        notify("using the built-in digits: for pictures of your own give --data FOLDER")
    elif name != "digits":
        patience = AUTO_PATIENCE if name == "auto" else math.inf
        module = PUBLISHED[auto if name == "auto" else name]
        try:
            return module.load(patience=patience, **wanted, **found)
        except published.NotFoundError as error:
            if name != "auto":
                raise
            notify(f"using the built-in digits: {error}")
    return digits.load(**drawn, **found)


def _kind(path, auto, split):
    """The module that reads what is at `path`; UserError if it is nothing."""
    if not os.path.exists(path):
        raise UserError(
            f"data {path}: no such file or folder: "
            f"give one that exists, or one of {', '.join(NAMES)}"
        )
    if not os.path.isdir(path):
        return _kind_of_file(path)
    for name, module in sorted(PUBLISHED.items(), key=lambda item: item[0] != auto):
        if module.holds(path, split=split):
            return module
    return folder


def _kind_of_file(path):
    name = path.name.lower()
    if name.endswith(decode.SUFFIXES):
        raise UserError(f"{path}: a single picture: give the folder it is in")
    if name.endswith(arrays.SUFFIXES):
        return arrays
    if name.endswith(packed.SUFFIXES):
        return packed
    return mnist
