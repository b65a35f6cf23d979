"""Pictures that are files, in a folder or in an archive: which are taken, and of which class.

A file that is not taken is never left out silently: one line counts them and names the first few.
"""

from collections import Counter
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import UserError
from . import decode, decoded
from .dataset import Dataset, check_limit, choose
from .fitting import check_form, describe
from .status import few


class File(NamedTuple):
    """name: its path within the folder or archive, with "/".  size: in bytes.  times: of its last
    changes, whatever they are.  open: without arguments, in any thread; raises OSError.
    """

    name: str
    size: int
    times: tuple
    open: Callable[[], BinaryIO]


class Listing(NamedTuple):
    """Files that look like pictures, and name -> reason of those that do not."""

    pictures: list[File]
    others: dict[str, str]


def listing(entries):
    """The `Listing` of (name, size, times, problem or None, open), in the order of the names."""
    pictures, others = [], {}
    for name, size, times, problem, content in sorted(entries, key=lambda entry: entry[0]):
        if any(part.startswith(".") for part in name.split("/")):
            problem = "hidden"
        elif not name.lower().endswith(decode.SUFFIXES):
            problem = problem or "not a picture"
        if problem:
            others[name] = problem
        else:
            pictures.append(File(name, size, times, content))
    return Listing(pictures, others)


def load(where, listing, *, size, channels, notify, fit="crop", classes=None, limit=None):
    """The pictures of a `Listing` as a `Dataset`, images uint8 (N, H, W, channels).

    where: the path of the folder or archive.  size: (H, W) or one side.  fit: as of
    `fit_picture`.  classes: names of those to take alone.  limit: decode only the first so many, of
    each class alike.  notify: called with each line the user should see.

    Classes are sub-folders (`class_names`); `labels` number them in the order of their names, or
    of `classes`.  Where pictures lie in no sub-folder, there are neither.  `files` has the name of
    each picture.  The images may be mapped from the cache.  Raises UserError if all pictures or one
    of `classes` cannot be had, there are fewer than `limit`, or they do not fit into memory.
    """
    form = dict(size=check_form(size, channels, fit), channels=channels, fit=fit)
    pictures, others = listing
    count = len(pictures) + len(others)
    if not pictures:
        there = f" (it has {_reasons(others)})" if others else ""
        raise UserError(
            f"{where}: no pictures in it{there}, no train-images-idx3-ubyte, no CIFAR-10: give a "
            f"folder, .zip or .tar with files that end in {', '.join(decode.SUFFIXES)}"
        )
    labels, names = _classes(where, [file.name for file in pictures], notify)
    if classes is not None:
        chosen, labels, names = choose(labels, names, classes, where)
        pictures = [pictures[i] for i in chosen]
    if limit is not None:
        check_limit(limit, len(pictures), where)
        chosen = range(limit) if labels is None else _of_each(labels, limit)
        pictures = [pictures[i] for i in chosen]
        labels = None if labels is None else labels[chosen]
    images, broken = decoded.load(where, pictures, form, [names, limit], notify)
    left_out = {pictures[i].name: reason for i, reason in broken.items()} | others
    if left_out:
        notify(f"{where}: skipped {len(left_out):,} of {count:,} files: {_reasons(left_out)}")
    kept = [i for i in range(len(pictures)) if i not in broken]
    return Dataset(
        images,
        None if labels is None else labels[kept],
        "folder",
        f"pictures in {where}, {describe(form['size'], channels)}, {fit}",
        classes=names,
        files=tuple(pictures[i].name for i in kept),
    )


def class_names(names):
    """The class of each picture: the folder it lies in, just below the one that holds them all.

    names: paths with "/".  A picture that lies in no folder has None.  A class may have deeper
    folders; a folder that holds all the others, and no picture itself, is no class.
    """
    paths = [name.split("/") for name in names]
    top = 0
    while len({path[top] for path in paths}) == 1 and all(len(path) > top + 2 for path in paths):
        top += 1
    return [path[top] if len(path) > top + 1 else None for path in paths]


def _classes(where, names, notify):
    """Labels int64 (N,) and the names of the classes; None and None where there are none."""
    of = class_names(names)
    counts = Counter(of)
    outside = counts.pop(None, 0)
    there = few((f"{name} ({count:,})" for name, count in sorted(counts.items())), most=10)
    if outside:
        if counts:
            notify(
                f"{where}: no classes, for {outside:,} of {len(names):,} pictures lie beside the "
                f"sub-folders {there}: move them into one"
            )
        return None, None
    notify(f"{where}: {len(counts)} classes by sub-folder: {there}")
    classes = tuple(sorted(counts))
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[name] for name in of], np.int64), classes


def _of_each(labels, limit):
    """The indices of the first pictures, in order: of each class as many, as far as it has them."""
    seen = Counter()
    place = []  # of each picture among those of its class
    for label in labels:
        place.append(seen[label])
        seen[label] += 1
    return np.sort(np.lexsort((labels, place))[:limit])


def _reasons(left_out):
    return few(f"{name} ({reason})" for name, reason in left_out.items())
