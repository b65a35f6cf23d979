"""The files of a zip or tar archive, read where they lie: nothing is extracted.

So no name can lead out of a folder, and no member can be larger than the archive says: what is
read of one ends there.  What claims to be larger than any picture is left out.
"""

import contextlib
import gzip
import io
import os
import posixpath
import tarfile
import tempfile
import threading
import zipfile
from functools import partial

from ..errors import UserError
from ..regular import open_regular
from . import files

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
LARGEST = 2**28  # bytes of a picture in an archive
DENSEST = 200  # bytes of pictures in a byte of gzip
SLACK = 2**20  # bytes that any gzip file may have, and that are unpacked at a time
ZIP_MAGIC = b"PK\x03\x04"
GZIP_MAGIC = b"\x1f\x8b"


@contextlib.contextmanager
def opened(path):
    """The `files.Listing` of an archive, whose files can be opened within the block.

    They are those of the folder that it unpacks to, in the same order.  Raises UserError.
    """
    try:
        file = open_regular(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): make it a readable file"
        ) from error
    with file, members(file, path) as found:
        status = os.fstat(file.fileno())
        times = status.st_size, status.st_mtime_ns, status.st_ctime_ns  # of them all
        yield files.listing((name, size, times, *more) for name, size, *more in found)


@contextlib.contextmanager
def members(file, where):
    """(name, bytes, problem or None, open) of each file in an archive, to be opened in the block.

    file: an open one; a gzipped tar is unpacked into a temporary file, which is removed.  where:
    its path, in messages.  Raises UserError if it is damaged.
    """
    with contextlib.ExitStack() as stack:
        try:
            file.seek(0)
            kind = _zipped if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC else _tarred
            found = list(kind(file, stack))
        except MemoryError:
            raise
        except Exception as error:  # zipfile and tarfile have a dozen ways to refuse damage
            raise UserError(
                f"{where}: damaged or no archive ({str(error)[:200] or type(error).__name__}): "
                "copy or download it again, or unpack it and give the folder"
            ) from error
        yield found


def _member(name, size, problem, content):
    name = posixpath.normpath(name).lstrip("/")
    return name, size, "too large" if size > LARGEST else problem, content


def _zipped(file, stack):
    """The members of an open zip file."""
    archive = stack.enter_context(zipfile.ZipFile(file))
    for info in archive.infolist():
        if not info.is_dir():
            problem = "encrypted" if info.flag_bits & 1 else None
            yield _member(info.filename, info.file_size, problem, partial(_content, archive, info))


def _content(archive, info):
    return io.BytesIO(archive.read(info))  # whole, so that its checksum is looked at


def _tarred(file, stack):
    """The members of an open tar file, which may be gzipped."""
    file.seek(0)
    if file.read(2) == GZIP_MAGIC:
        file = stack.enter_context(_unpacked(file))
    file.seek(0)
    archive = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
    one_at_a_time = threading.Lock()

    def content(info):
        with one_at_a_time:
            return io.BytesIO(archive.extractfile(info).read())

    for info in archive:
        if not info.isdir():
            problem = None if info.isreg() and not info.issparse() else "not a file"
            yield _member(info.name, info.size, problem, partial(content, info))
    file.seek(archive.offset)  # tarfile takes a missing end for the end
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise ValueError("truncated")


def _unpacked(file):
    """A temporary file of the bytes in an open gzip file; ValueError if they are too many."""
    unpacked = tempfile.TemporaryFile()
    try:
        most = SLACK + DENSEST * file.seek(0, os.SEEK_END)
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as content:
            while piece := content.read(SLACK):
                unpacked.write(piece)
                if unpacked.tell() > most:
                    raise ValueError(f"it unpacks to more than {DENSEST} times its size")
        return unpacked
    except BaseException:
        unpacked.close()
        raise
