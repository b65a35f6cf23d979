"""A folder of picture files, decoded once into a cached array.

Decoding is slow and its result is small, so the pixels are kept in the user's cache directory
and used as long as the names, sizes and times of the files stay what they were.  One cached
file is the pixels, N * size * size * channels bytes that can be mapped into memory as they are;
then a JSON text saying what they are; then the text's checksum in 4 bytes and its length in 8.
"""

import io
import json
import math
import os
import zlib
from pathlib import Path

import numpy as np

from ..errors import UserError, printable
from ..regular import open_regular
from . import cache, decode
from .dataset import Dataset, check_limit
from .fitting import check_form, check_memory
from .status import StatusLine

VERSION = 2  # of the cached files: raise it when the same file gives other pixels
END = 12  # bytes of the checksum and the length
LARGE = 256 * 2**20  # bytes from which pixels are mapped into memory, not read
WAVE = 256  # files given to the threads at a time
NAMED = 5  # skipped files that are named, before they are only counted


def load(path, *, size, channels, notify, fit="crop", classes=None, limit=None):
    """The pictures under a folder as a `Dataset`, images uint8 (N, size, size, channels).

    path: its PNG, JPEG, WebP, BMP and GIF files are taken in the order of their names, those in
    sub-folders too, but nothing hidden.  fit: `"crop"` or `"squash"`, as in `fit_picture`.
    classes: names of sub-folders, to take the pictures of these alone.  limit: decode only the
    first so many.  notify: called with each line the user should see.

    If every picture lies in a sub-folder, `labels` number the topmost ones, in the order of
    `classes` or of their names; else they are None.  `files` has the name of each picture.  Files
    that cannot be read are left out, and one line names them.  The images may be mapped from the
    cache.  Raises UserError if the folder, all its pictures or one of `classes` cannot be read,
    it has fewer pictures than `limit`, or they do not fit into memory.
    """
    check_form(size, channels, fit)
    root = Path(path)
    files = sorted(_pictures(root))
    if not files:
        raise UserError(
            f"{root}: no pictures in this folder: give one with {', '.join(decode.SUFFIXES)} files"
        )
    files, classes = _classified(root, files, classes)
    if limit is not None:
        check_limit(limit, len(files), root)
        files = files[:limit]
    form = dict(size=size, channels=channels, fit=fit)
    images, skipped = _pixels(root, files, form, [classes, limit], notify)
    _report(root, files, skipped, notify)
    names = tuple(name for i, (name, *_) in enumerate(files) if i not in skipped)
    labels = classes and np.array([classes.index(_class(name)) for name in names], np.int64)
    source = f"image folder {root}, {size}x{size} {'grey' if channels == 1 else 'RGB'}, {fit}"
    return Dataset(images, labels, "folder", source, classes=classes, files=names)


def holds(path):
    """Whether there is a file that looks like a picture under this folder."""
    return any(True for _ in _pictures(Path(path)))


def _pictures(root):
    """Yields (name, bytes, times) of each picture file; name is relative to root, with "/"."""

    def refuse(error):
        raise UserError(
            f"{error.filename}: cannot be read ({error.strerror}): make the folder readable"
        ) from error

    seen = set()  # of folders, because links may lead round in a circle
    for place, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        here = os.stat(place)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(place).relative_to(root).as_posix()
        for name in names:
            if name.lower().endswith(decode.SUFFIXES) and not name.startswith("."):
                stamp = _stamp(os.path.join(place, name))
                if stamp:
                    yield name if inside == "." else f"{inside}/{name}", *stamp


def _stamp(path):
    """Bytes and times of a file; zeros for a link that leads nowhere; None for what is no file."""
    import stat

    try:
        status = os.stat(path)
    except OSError:
        return 0, (0, 0)  # it will be counted among those that cannot be read
    # The time of the last change of rights or name too: what could not be read may be readable now.
    times = status.st_mtime_ns, status.st_ctime_ns
    return (status.st_size, times) if stat.S_ISREG(status.st_mode) else None


def _class(name):
    """The topmost sub-folder of a picture, None if it lies in no sub-folder."""
    top, slash, _ = name.partition("/")
    return top if slash else None


def _classified(root, files, classes):
    """The files of these classes (None: all), and the names of the classes or None."""
    present = {_class(name) for name, *_ in files}
    if classes is None:
        return files, None if None in present else tuple(sorted(present))
    for name in classes:
        if name not in present:
            there = ", ".join(sorted(present - {None})) or "none"
            raise UserError(f"{root}: no sub-folder {name} with pictures, those there are: {there}")
    return [file for file in files if _class(file[0]) in classes], tuple(classes)


def _pixels(root, files, form, chosen, notify):
    """Images uint8 (N, size, size, channels), and {index: reason} of the files left out.

    chosen: what was asked for beside the form.  Each way of using a folder has one cached file,
    which is written over when the pictures have changed.
    """
    folder = cache.cache_dir()
    use = [VERSION, os.path.abspath(root), form, chosen]
    path = folder and folder / "folders" / f"{_digest(use)[:24]}.pixels"
    key = _digest([use, files])
    kept = path and _cached(path, key, form, notify)
    return kept or _decoded(root, files, form, path, key, notify)


def _digest(values):
    """A name for JSON-ready values."""
    import hashlib

    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _cached(path, key, form, notify):
    """What a cached file holds; None if it is not there, damaged or of other files."""
    try:
        with open_regular(path) as file:
            return _read(file, key, form)
    except OSError:
        return None
    except DamagedError:
        notify(f"{path} is damaged: decoding the pictures again")
        return None


def _decoded(root, files, form, path, key, notify):
    """Decode the files into the cache at `path`, or into memory if that cannot be written."""
    room = len(files) * form["size"] ** 2 * form["channels"]
    notify(f"decoding {len(files):,} pictures in {root}")
    try:
        if path is None:
            raise OSError(0, "no home folder")
        _check_disk(path, room)
        with cache.writing(path) as file:
            _write(file, root, files, form, key)
            return _read(file, key, form)  # of this file, whatever others put in its place
    except OSError as error:
        notify(
            f"cannot keep the decoded pictures in the cache ({error.strerror}): "
            "they will be decoded again next time"
        )
    check_memory(len(files), form["size"], form["channels"])
    file = io.BytesIO()
    _write(file, root, files, form, key)
    return _read(file, key, form)


def _check_disk(path, room):
    """OSError unless there is a folder for `path`, with so many bytes free."""
    import errno
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < room:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write(file, root, files, form, key):
    """Decode the files, and write what `_read` reads."""
    from concurrent.futures import ThreadPoolExecutor

    def one(entry):
        name, size, _ = entry
        if size == 0 and os.path.exists(root / name):
            return None, "empty"
        try:
            return decode.read(root / name, **form), None
        except decode.BadPictureError as error:
            return None, str(error)

    skipped, crc = {}, 0
    workers = min(16, os.cpu_count() or 1)  # each may hold a large picture
    with decode.strict(), StatusLine() as status, ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(files), WAVE):
            status.show(
                f"decoding pictures: {start:,} of {len(files):,} ({start / len(files):.0%})"
            )
            wave = files[start : start + WAVE]
            for i, (pixels, reason) in enumerate(pool.map(one, wave), start):
                if reason is None:
                    file.write(pixels)
                    crc = zlib.crc32(pixels, crc)
                else:
                    skipped[i] = reason
    if len(skipped) == len(files):
        raise UserError(
            f"{root}: none of {len(files)} pictures can be read: "
            f"{_named(files, skipped)}: give a folder with whole pictures"
        )
    about = json.dumps(
        {"key": key, "count": len(files) - len(skipped), "crc32": crc, "skipped": skipped}
    ).encode()
    end = zlib.crc32(about).to_bytes(4, "little") + len(about).to_bytes(8, "little")
    file.write(about + end)
    file.flush()


class DamagedError(ValueError):
    """A cached file is not as it was written."""


def _read(file, key, form):
    """Images and skipped files as in `_pixels`, from an open file; None if it is of other files.

    Raises DamagedError.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - END))
    end = file.read(END)
    about_length = int.from_bytes(end[4:], "little")
    if len(end) < END or about_length > length - END:
        raise DamagedError("truncated")
    file.seek(length - END - about_length)
    text = file.read(about_length)
    if zlib.crc32(text) != int.from_bytes(end[:4], "little"):
        raise DamagedError("another checksum")
    about = json.loads(text)
    if about["key"] != key:
        return None
    shape = about["count"], form["size"], form["size"], form["channels"]
    size = math.prod(shape)
    if length != size + about_length + END:
        raise DamagedError("another length")
    if isinstance(file, io.BytesIO):
        images = np.frombuffer(file.getbuffer(), np.uint8, size).reshape(shape)
    elif size > LARGE:
        images = np.memmap(file, np.uint8, "r", shape=shape)
    else:
        file.seek(0)
        images = np.frombuffer(file.read(size), np.uint8).reshape(shape)
    if zlib.crc32(images) != about["crc32"]:
        raise DamagedError("other pixels")
    return images, {int(i): reason for i, reason in about["skipped"].items()}


def _report(root, files, skipped, notify):
    if skipped:
        notify(
            f"{root}: skipped {len(skipped)} of {len(files):,} pictures: {_named(files, skipped)}"
        )


def _named(files, skipped):
    """The first few skipped files with their reasons, and how many more there are."""
    named = [f"{printable(files[i][0])} ({reason})" for i, reason in skipped.items()][:NAMED]
    more = len(skipped) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
