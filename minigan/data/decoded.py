"""Pictures decoded once into a cached array.

Decoding is slow and its result is small, so the pixels are kept in the user's cache directory
and used as long as the names, sizes and times of the files stay what they were.  One cached
file is the pixels, N * height * width * channels bytes that can be mapped into memory as they are;
then a JSON text saying what they are; then the text's checksum in 4 bytes and its length in 8.
"""

import io
import json
import math
import os
import zlib

import numpy as np

from ..errors import UserError
from ..regular import open_regular
from . import cache, decode
from .fitting import check_memory
from .status import StatusLine, few

VERSION = 3  # of the cached files: raise it when the same file gives other pixels
END = 12  # bytes of the checksum and the length
LARGE = 256 * 2**20  # bytes from which pixels are mapped into memory, not read
WAVE = 256  # files given to the threads at a time


def load(where, files, form, chosen, notify):
    """Images uint8 (N, *size, channels), and {index: reason} of the files that cannot be read.

    where: the path of their folder or archive.  files: a list of `files.File`.  form: size
    (height, width), channels and fit, as of `fit_picture`.  chosen: JSON-ready, what was asked for
    beside the form: each way of using a folder has one cached file, which is written over when
    the pictures have changed.
    """
    folder = cache.cache_dir()
    use = [VERSION, os.path.abspath(where), form, chosen]
    path = folder and folder / "folders" / f"{_digest(use)[:24]}.pixels"
    key = _digest([use, [(name, size, times) for name, size, times, _ in files]])
    kept = path and _cached(path, key, form, notify)
    return kept or _decoded(where, files, form, path, key, notify)


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


def _decoded(where, files, form, path, key, notify):
    """Decode the files into the cache at `path`, or into memory if that cannot be written."""
    room = len(files) * math.prod(form["size"]) * form["channels"]
    notify(f"decoding {len(files):,} pictures in {where}")
    try:
        if path is None:
            raise OSError(0, "no home folder")
        _check_disk(path, room)
        with cache.writing(path) as file:
            _write(file, where, files, form, key)
            return _read(file, key, form)  # of this file, whatever others put in its place
    except OSError as error:
        notify(
            f"cannot keep the decoded pictures in the cache ({error.strerror}): "
            "they will be decoded again next time"
        )
    check_memory(len(files), form["size"], form["channels"])
    file = io.BytesIO()
    _write(file, where, files, form, key)
    return _read(file, key, form)


def _check_disk(path, room):
    """OSError unless there is a folder for `path`, with so many bytes free."""
    import errno
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < room:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write(file, where, files, form, key):
    """Decode the files, and write what `_read` reads."""
    skipped, crc = {}, 0
    for i, (pixels, reason) in enumerate(_decodings(files, form)):
        if reason is None:
            file.write(pixels)
            crc = zlib.crc32(pixels, crc)
        else:
            skipped[i] = reason
    if len(skipped) == len(files):
        reasons = few(f"{files[i].name} ({reason})" for i, reason in skipped.items())
        raise UserError(
            f"{where}: none of {len(files)} pictures can be read: {reasons}: "
            "give a folder with whole pictures"
        )
    about = json.dumps(
        {"key": key, "count": len(files) - len(skipped), "crc32": crc, "skipped": skipped}
    ).encode()
    end = zlib.crc32(about).to_bytes(4, "little") + len(about).to_bytes(8, "little")
    file.write(about + end)
    file.flush()


def _decodings(files, form):
    """Yields (pixels, None) or (None, reason) of each file, decoded by as many threads as help."""
    from concurrent.futures import ThreadPoolExecutor

    def one(file):
        try:
            return decode.read(file, **form), None
        except decode.BadPictureError as error:
            return None, str(error)

    workers = min(16, os.cpu_count() or 1)  # each may hold a large picture
    with decode.strict(), StatusLine() as status, ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(files), WAVE):
            status.show(
                f"decoding pictures: {start:,} of {len(files):,} ({start / len(files):.0%})"
            )
            yield from pool.map(one, files[start : start + WAVE])


class DamagedError(ValueError):
    """A cached file is not as it was written."""


def _read(file, key, form):
    """Images and skipped files as in `load`, from an open file; None if it is of other files.

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
    shape = about["count"], *form["size"], form["channels"]
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
