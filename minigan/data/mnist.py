"""MNIST: 70,000 handwritten digits, or any set of pictures that comes in the same form.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
1998.  The files are looked for where the user says, then in the cache, then on the mirrors.
"""

import math
import os
from pathlib import Path

from ..errors import UserError
from . import idx, published
from .dataset import Dataset

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
# SHA-256 of each file unpacked: mirrors may pack it as they like.
TRAIN = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}
TEST = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SPLITS = {"train": TRAIN, "test": TEST}
LARGEST = 16 + 60_000 * idx.SIDE**2  # bytes of the longest file, unpacked


def load(*, notify, split="train", allow_download=True, patience=math.inf):
    """MNIST as a `Dataset`, from $MINIGAN_DATA, else the cache, else the mirrors.

    notify is called with a line when there is something to tell; patience bounds the seconds
    spent on mirrors that do not answer.  With $MINIGAN_OFFLINE set, nothing is downloaded.
    Raises published.NotFoundError if MNIST cannot be had, UserError if $MINIGAN_DATA is not a
    folder or the MNIST in it is damaged.
    """
    folder = published.user_folder()
    if folder:
        if holds(folder, split=split):
            return read(folder, split=split)
        notify(f"MINIGAN_DATA={folder}: no MNIST {split} set in this folder, looking elsewhere")
    return _published(split, notify, allow_download, patience)


def read(path, *, split="train"):
    """The IDX files at `path` as a `Dataset` of 28 x 28 pictures.

    path: an images file, or a folder that holds one under its usual name, itself or in `mnist/`
    or `MNIST/raw/`.  Labels come from the file beside it; without one they are None.  Raises
    UserError.
    """
    path = Path(path)
    images_path = _find(path, _images_name(split)) if os.path.isdir(path) else path
    if images_path is None:
        raise UserError(
            f"{path}: no {_images_name(split)} or .gz in this folder, its mnist/ or "
            "its MNIST/raw/: give the folder with the IDX files"
        )
    images = idx.images(idx.read(images_path), images_path)
    labels_path = _labels_beside(images_path)
    labels = None
    if labels_path:
        labels = idx.labels(idx.read(labels_path), labels_path)
        if len(labels) != len(images):
            raise UserError(
                f"{labels_path}: {len(labels)} labels, expected {len(images)} as in "
                f"{images_path.name}: put files together that belong together"
            )
    return Dataset(images, labels, "mnist", f"IDX files, {images_path}")


def holds(folder, *, split="train"):
    """Whether `read` finds an images file in this folder."""
    return _find(folder, _images_name(split)) is not None


def _images_name(split):
    return next(iter(SPLITS[split]))


def _find(folder, name):
    """The path of the IDX file `name` in a data folder, or None."""
    places = (folder, folder / "mnist", folder / "MNIST" / "raw")
    return next(filter(None, (_file_in(place, name) for place in places)), None)


def _file_in(folder, name):
    """The path of the IDX file `name`, spelt in any of the usual ways, or None."""
    present = published.list_names(folder)
    dotted = name.replace("-idx", ".idx")
    spellings = (name, dotted, f"{name}.gz", f"{dotted}.gz")
    return next((folder / spelling for spelling in spellings if spelling in present), None)


def _labels_beside(images_path):
    """The path of the labels that belong to an images file, or None."""
    name = images_path.name.removesuffix(".gz").replace(".idx", "-idx")
    labels_name = name.replace("images", "labels").replace("idx3", "idx1")
    return _file_in(images_path.parent, labels_name) if labels_name != name else None


def _published(split, notify, allow_download, patience):
    """MNIST exactly as published, from the cache, where what is missing or damaged is replaced."""
    folder = published.cache_folder("mnist")
    contents = []
    for name, digest in SPLITS[split].items():
        content = _cached(folder, name, digest)
        if content is None:
            content = published.fetch(
                "MNIST",
                name,
                urls=[f"{mirror}{name}.gz" for mirror in MIRRORS],
                accept=lambda content: _genuine(content, digest),
                limit=LARGEST,
                folder=folder,
                notify=notify,
                allow_download=allow_download,
                patience=patience,
            )
        contents.append(content)
    images, labels = (
        array(content, name)
        for array, content, name in zip((idx.images, idx.labels), contents, SPLITS[split])
    )
    return Dataset(images, labels, "mnist", f"MNIST {split} set, as published")


def _genuine(content, digest):
    """The unpacked bytes, if they are the published ones; else ValueError."""
    import hashlib

    content = idx.unpack(content, most=LARGEST + 1)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("not the published file (SHA-256 differs)")
    return content


def _cached(folder, name, digest):
    """The bytes of a file in the cache, or None if it is missing, damaged or out of reach."""
    try:
        path = folder and _file_in(folder, name)
        return path and _genuine(idx.read(path), digest)
    except ValueError:  # a UserError too: all that is cured the same way
        return None
