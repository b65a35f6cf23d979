"""CIFAR-10: 60,000 photographs of 32 x 32 pixels, in ten classes.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.  The binary version
has 50,000 of them in five batches to train on and a sixth batch to test.  A batch is records of
3,073 bytes: the label, then the red, the green and the blue plane, each row by row.
"""

import contextlib
import io
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..regular import open_regular
from . import folder, packed, published
from .dataset import Dataset

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
SIDE = 32
RECORD = 1 + 3 * SIDE**2

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_SIZE = 170_052_171
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
PLACES = (".", "cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin")
FIX = "copy or download the file again"


def load(*, notify, split="train", allow_download=True, patience=math.inf):
    """CIFAR-10 as a `Dataset`, from $MINIGAN_DATA, else the cache, else the mirrors (170 MB).

    Images uint8 (N, 32, 32, 3), labels int64 (N,), 5,000 of each class to train on and 1,000 to
    test.  notify, allow_download, patience: as of `mnist.load`.

    Raises published.NotFoundError if CIFAR-10 cannot be had, UserError if $MINIGAN_DATA is not
    a folder or the CIFAR-10 in it is damaged.
    """
    mine = published.user_folder()
    if mine:
        if holds(mine, split=split):
            return read(mine, notify=notify, split=split)
        notify(f"MINIGAN_DATA={mine}: no CIFAR-10 {split} set in this folder, looking elsewhere")
    content = _published(notify, allow_download, patience)
    batches = _unpacked(content, ARCHIVE, split)
    return _joined(batches, split, notify, f"CIFAR-10 {split} set, as published")


def read(path, *, notify, split="train"):
    """The CIFAR-10 at `path` as a `Dataset`.

    path: the binary version's archive, or a folder that holds its batches or the archive, itself
    or in `cifar10/` or `cifar-10-batches-bin/`.  Its `cifar10/` may instead hold picture files, in
    a sub-folder for each class called as the class.  Raises UserError.
    """
    path = Path(path)
    place = _find(path, split) if os.path.isdir(path) else path
    if place is None:
        raise UserError(
            f"{path}: no {BATCHES[split][0]} and no {ARCHIVE} in this folder, its "
            "cifar10/ or its cifar-10-batches-bin/: give the folder of CIFAR-10's "
            "binary version"
        )
    if not os.path.isdir(place):
        batches = _unpacked(_content(place), place, split)
    elif any(name in published.list_names(place) for name in BATCHES[split]):
        batches = (
            (place / name, _content(place / name))
            for name in BATCHES[split]
            if os.path.exists(place / name)
        )
    else:
        return replace(folder.load(place, size=SIDE, channels=3, notify=notify), name="cifar10")
    return _joined(batches, split, notify, f"CIFAR-10 {split} set, {place}")


def holds(path, *, split="train"):
    """Whether `read` finds CIFAR-10 in this folder."""
    return _find(path, split) is not None


def among(names):
    """Whether these files of an archive are CIFAR-10's."""
    return any(name.endswith(batch) for name in names for batch in sum(BATCHES.values(), ()))


def _find(path, split):
    """The archive, or the folder of the batches or of the pictures, in a data folder; or None."""
    for place in (path / place for place in PLACES):
        names = published.list_names(place)
        if any(name in names for name in BATCHES[split]):
            return place
        if ARCHIVE in names:
            return place / ARCHIVE
    pictures = path / "cifar10"
    if split == "train" and any(name in CLASSES for name in published.list_names(pictures)):
        return pictures
    return None


def _joined(batches, split, notify, source):
    """The `Dataset` of (where, content) of the batches there are."""
    images, labels, present = [], [], []
    for where, content in batches:
        records = _records(content, where)
        planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
        images.append(planes.transpose(0, 2, 3, 1))
        labels.append(records[:, 0].astype(np.int64))
        present.append(Path(where).name)
    missing = [name for name in BATCHES[split] if name not in present]
    if missing:
        notify(f"CIFAR-10: going on without {', '.join(missing)}")
    images, labels = np.concatenate(images), np.concatenate(labels)
    return Dataset(np.ascontiguousarray(images), labels, "cifar10", source, classes=CLASSES)


def _records(content, where):
    """uint8 (N, 3073), N >= 1, of the batch `where`; UserError if it is not one."""
    if not content:
        raise UserError(f"{where}: empty, expected a batch of CIFAR-10: {FIX}")
    if len(content) % RECORD:
        raise UserError(
            f"{where}: truncated, or no batch of CIFAR-10: {len(content)} bytes are "
            f"not a whole number of {RECORD}-byte records: {FIX}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() > 9:
        at = int(np.argmax(records[:, 0] > 9))
        raise UserError(
            f"{where}: label {records[at, 0]} of picture {at}, expected 0 to 9: "
            "give a batch of CIFAR-10's binary version"
        )
    return records


def _content(path):
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): make it a readable file"
        ) from error


def _unpacked(content, where, split):
    """(where, content) of the split's batches in the archive `where`, in their order."""
    with packed.members(io.BytesIO(content), where) as members:
        found = {name.rpartition("/")[2]: read for name, _, problem, read in members if not problem}
        batches = [name for name in BATCHES[split] if name in found]
        if not batches:
            raise UserError(
                f"{where}: no {BATCHES[split][0]} in this archive: "
                "give the binary version of CIFAR-10"
            )
        return [(f"{where}/{name}", found[name]().read()) for name in batches]


def _published(notify, allow_download, patience):
    """The archive exactly as published, from the cache or a mirror."""
    kept = published.cache_folder("cifar10")
    if kept:
        with contextlib.suppress(ValueError):  # missing or damaged: fetched again
            return _genuine(_content(kept / ARCHIVE))
    return published.fetch(
        "CIFAR-10",
        ARCHIVE,
        urls=[f"{mirror}{ARCHIVE}" for mirror in MIRRORS],
        accept=_genuine,
        limit=ARCHIVE_SIZE,
        folder=kept,
        notify=notify,
        allow_download=allow_download,
        patience=patience,
    )


def _genuine(content):
    """The archive's bytes, if they are the published ones; else ValueError."""
    import hashlib

    if hashlib.sha256(content).hexdigest() != ARCHIVE_SHA256:
        raise ValueError("not the published file (SHA-256 differs)")
    return content
