"""Pictures that are arrays already: NumPy's own files, and arrays in Python.

    np.save("faces.npy", images)                         # uint8 (N, H, W), or (N, H, W, C)
    np.savez("faces.npz", images=images, labels=labels, classes=["cat", "dog"])

A file is data: nothing pickled is read, and what a header claims is compared with what is there
before any memory is taken.
"""

import math
import os
import zipfile

import numpy as np

from ..errors import UserError
from ..machine import usable_memory
from ..regular import open_regular
from .dataset import Dataset
from .fitting import CHANNELS
from .status import few

SUFFIXES = (".npy", ".npz")
MAGIC = b"\x93NUMPY"
PARTS = ("images", "labels", "classes", "value_range")
LARGE = 2**28  # bytes from which an .npy file is mapped into memory, not read


def from_arrays(
    images, labels=None, classes=None, *, value_range=None, size=None, channels=None, fit="crop",
    source="from Python",
):  # fmt: skip
    """A `Dataset` of arrays.

    images: (N, H, W), or (N, H, W, C) of 1 (grey), 3 (RGB) or 4 (RGB and alpha) channels; uint8,
    bool, or other numbers with their `value_range`, the two that are black and white.
    labels: integers (N,) from 0, or None; or texts (N,), which then are the classes.
    classes: names of the labels, by default the numbers.
    size, channels, fit: the form of the pictures, as of `data.load`; by default they keep theirs.
    source: one line for people saying where they are from.

    Raises ValueError for other shapes, sizes and labels and for numbers out of their range,
    TypeError for numbers without a range.
    """
    images = _images(np.asarray(images))
    if labels is not None:
        labels = np.asarray(labels)
        if labels.ndim != 1:
            raise ValueError(f"labels are {labels.shape}, expected one a picture, ({len(images)},)")
        if labels.dtype.kind == "U" and classes is None:
            classes, labels = np.unique(labels, return_inverse=True)
        if labels.dtype.kind in "iu":
            labels = labels.astype(np.int64)
    elif classes is not None:
        raise ValueError("classes without labels: give both")
    names = None if classes is None else tuple(map(str, classes))
    dataset = Dataset(images, labels, "arrays", source, classes=names, value_range=value_range)
    return dataset.fitted(
        size=images.shape[1:3] if size is None else size,
        channels=images.shape[3] if channels is None else channels,
        fit=fit,
    )


def _images(images):
    """Images (N, H, W, C), row after row; ValueError if they cannot be understood so."""
    if images.dtype.kind not in "buif":
        raise TypeError(f"images of {images.dtype}, expected numbers")
    if images.ndim == 3:
        images = images[..., None]
    shape = images.shape
    if len(shape) != 4 or 0 in shape or shape[3] not in CHANNELS:
        channels_first = len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS
        raise ValueError(
            f"images are {shape}, expected (N, H, W) or (N, H, W, C) with 1, 3 or 4 channels: "
            f"give images.{'transpose(0, 2, 3, 1)' if channels_first else 'reshape(...)'}"
        )
    return np.ascontiguousarray(images)


def read(path):
    """The arrays in an .npy or .npz file as a `Dataset`, in the form they have.

    An .npz has one array, or arrays called `images` and, if there are any, `labels`, `classes` and
    `value_range`, as of `from_arrays`.  Raises UserError.
    """
    try:
        with open_regular(path) as file:
            parts = _parts(file)
        return from_arrays(**parts, source=f"arrays in {path}")
    except MemoryError:
        raise
    except Exception as error:  # zipfile and NumPy have a dozen ways to refuse damage
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"{path}: {reason.splitlines()[0][:400]}") from error


def _parts(file):
    """name -> array of an open .npy or .npz file, those of `PARTS` that there are."""
    if file.read(len(MAGIC)) == MAGIC:
        return {"images": _array(file, file.seek(0, os.SEEK_END))}
    if not zipfile.is_zipfile(file):
        raise ValueError("damaged, or no file of np.save or np.savez: write it again")
    with zipfile.ZipFile(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if len(members) == 1:
            members = {"images": next(iter(members.values()))}
        if "images" not in members:
            raise ValueError(
                f"no images in it, but {few(members)}: write it with "
                "np.savez(path, images=..., labels=...)"
            )
        parts = {}
        for name in PARTS:
            if name in members:
                with archive.open(members[name]) as content:
                    parts[name] = _array(content, members[name].file_size)
    if "value_range" in parts:
        parts["value_range"] = tuple(parts["value_range"].tolist())
    return parts


def _array(file, length):
    """The array in an open file of so many bytes, in NumPy's own format."""
    file.seek(0)
    if np.lib.format.read_magic(file) == (1, 0):
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
    else:  # ValueError of a version after 2.0, which no array of numbers needs
        shape, by_column, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.hasobject:
        raise ValueError(
            "it holds pickled Python objects, which could run any code: save an array of numbers"
        )
    start, order = file.tell(), "F" if by_column else "C"
    length -= start
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != length:
        raise ValueError(
            f"{length:,} bytes for an array {shape} of {dtype}, truncated or damaged: "
            "write it again with np.save or np.savez"
        )
    if length > LARGE and not isinstance(file, zipfile.ZipExtFile):
        return np.memmap(file, dtype, "r", start, shape, order)
    if length > (usable_memory() or math.inf):
        raise ValueError(f"{length / 1e9:.1f} GB are more than this machine's memory holds")
    return np.frombuffer(file.read(length), dtype).reshape(shape, order=order)
