"""Pictures to train on: published sets, your own files, or digits that need no file at all.

    from minigan import data

    pictures = data.load("auto")          # MNIST if it can be had, else the built-in digits
    pictures.images, pictures.labels      # uint8 (N, 28, 28, 1), int64 (N,)

    data.load("my/photos", size=64, channels=3)                    # a folder of pictures
    data.load("auto", auto="cifar10", classes=("horse",))          # horses, or digits in colour
    data.load("auto", auto="digits", size=96, channels=3)          # digits in colour

Nothing here knows of networks or devices.
"""

import math
import os
from dataclasses import replace
from pathlib import Path

from ..errors import UserError
from . import attributes, cifar, digits, folder, mnist, published
from .dataset import Dataset
from .fitting import check_form, fit_images
from .status import say

__all__ = ["Dataset", "attributes", "cifar", "digits", "folder", "load", "mnist"]

NAMES = ("auto", "mnist", "digits", "cifar10")
AUTO_PATIENCE = 5.0  # seconds that "auto" waits for silent mirrors


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
    """Load a `Dataset` by name or path; its images are uint8 (N, size, size, channels).

    name: one of
        `"mnist"`, `"cifar10"`: from $MINIGAN_DATA, the user's cache or a mirror;
        `"digits"`: built in, white on black, or in colour where channels is 3;
        a path: a folder with IDX files or an IDX images file, CIFAR-10's folder or archive, or
        any folder of pictures.  A folder that is called like one of the names is given as
        `./mnist`;
        `"auto"`: the set that `auto` names if it can be had, else the digits, saying so.
    auto: `"mnist"`, `"cifar10"` or `"digits"`.  A folder that holds both MNIST and CIFAR-10
    gives the one named here.
    size, channels: the form of the pictures, channels 1 (grey) or 3 (RGB); by default that of
    MNIST, 28 and 1, or of CIFAR-10, 32 and 3, where name or `auto` is `"cifar10"`.
    fit: how pictures in a folder become square, `"crop"` or `"squash"`.
    classes: names or numbers of the classes of CIFAR-10 to keep; other sets are taken whole.
    split: `"train"` or `"test"`, of sets that have them; a folder of pictures has not.
    limit: keep the first so many.  seed: of the built-in digits.
    notify: called with each line the user should see; by default it goes to standard error.
    download: False, or $MINIGAN_OFFLINE=1, keeps off the network.

    Raises UserError if the data is missing or damaged, has fewer pictures than `limit` or does
    not fit into memory.
    """
    if split not in digits.COUNTS:
        raise ValueError(f"split {split!r}: expected 'train' or 'test'")
    if auto not in NAMES[1:]:
        raise ValueError(f"auto {auto!r}: expected one of {NAMES[1:]}")
    own = (cifar.SIDE, 3) if "cifar10" in (name, auto) else (digits.SIDE, 1)
    size, channels = own[0] if size is None else size, own[1] if channels is None else channels
    check_form(size, channels, fit)
    notify = notify or say

    drawn = dict(split=split, seed=seed, size=size, channels=channels, limit=limit, notify=notify)
    found = dict(split=split, classes=classes, notify=notify, download=download)

    if name == "auto" and auto == "digits":
        notify("using the built-in digits: for pictures of your own give --data FOLDER")
        name = "digits"
    if name == "digits":
        return digits.load(**drawn)
    if name == "auto":
        try:
            dataset = _published(auto, patience=AUTO_PATIENCE, **found)
        except published.NotFoundError as error:
            notify(f"using the built-in digits: {error}")
            return digits.load(**drawn)
    elif name in NAMES:
        dataset = _published(name, patience=math.inf, **found)
    else:
        path = Path(os.path.expanduser(name))
        kind = _kind(path, auto, split, classes)
        if kind == "folder":
            return folder.load(
                path, size=size, channels=channels, fit=fit, limit=limit, notify=notify
            )
        dataset = (
            mnist.read(path, split=split)
            if kind == "mnist"
            else cifar.read(path, split=split, classes=classes, notify=notify)
        )
    if limit is not None:
        dataset = dataset.limit(limit)
    return replace(dataset, images=fit_images(dataset.images, size=size, channels=channels))


def _published(name, *, split, classes, notify, download, patience):
    options = dict(split=split, notify=notify, allow_download=download, patience=patience)
    return mnist.load(**options) if name == "mnist" else cifar.load(**options, classes=classes)


def _kind(path, auto, split, classes):
    """What is at `path`, `"mnist"`, `"cifar10"` or `"folder"`; UserError if it is nothing."""
    if not os.path.exists(path):
        raise UserError(
            f"data {path}: no such file or folder: "
            f"give one that exists, or one of {', '.join(NAMES)}"
        )
    if not os.path.isdir(path):
        return "cifar10" if path.name.endswith((".tar.gz", ".tgz", ".tar")) else "mnist"
    for kind in sorted(("mnist", "cifar10"), key=lambda kind: kind != auto):
        if (
            mnist.holds(path, split=split)
            if kind == "mnist"
            else cifar.holds(path, split=split, classes=classes)
        ):
            return kind
    if folder.holds(path):
        return "folder"
    raise UserError(
        f"{path}: no train-images-idx3-ubyte or .gz in this folder, no CIFAR-10 and no "
        "pictures: give the folder that holds one of these"
    )
