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
FIX = "copy or download the file again, or unpack it and give the folder"


def load(path, **options):
    """The pictures in the archive `path` as a `Dataset`; options are those of `files.load`.

    They are those of the folder that it unpacks to, in the same order.  A .tar.gz is unpacked into
    a temporary file, which is removed.  Raises UserError if the archive is damaged.
    """
    with opened(path) as listing:
        return files.load(path, listing, **options)


@contextlib.contextmanager
def opened(path):
    """The `files.Listing` of an archive, whose files can be opened within the block."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open_regular(path))
            members = _zipped if file.read(4) == ZIP_MAGIC else _tarred
            status = os.fstat(file.fileno())
            times = status.st_size, status.st_mtime_ns, status.st_ctime_ns  # of them all
            listing = files.listing(
                (posixpath.normpath(name).lstrip("/"), size, times, problem or _size(size), content)
                for name, size, problem, content in members(file, stack)
            )
        except MemoryError:
            raise
        except Exception as error:  # zipfile and tarfile have a dozen ways to refuse damage
            raise UserError(
                f"{path}: damaged or no archive ({str(error)[:200] or type(error).__name__}): {FIX}"
            ) from error
        yield listing


def _size(size):
    return "too large" if size > LARGEST else None


def _zipped(file, stack):
    """Entries, as of `files.listing`, of an open zip file."""
    archive = stack.enter_context(zipfile.ZipFile(file))
    for member in archive.infolist():
        if not member.is_dir():
            problem = "encrypted" if member.flag_bits & 1 else None
            yield member.filename, member.file_size, problem, partial(_content, archive, member)


def _content(archive, member):
    return io.BytesIO(archive.read(member))  # whole, so that its checksum is looked at


def _tarred(file, stack):
    """Entries of an open tar file, which may be gzipped."""
    file.seek(0)
    if file.read(2) == GZIP_MAGIC:
        file = stack.enter_context(_unpacked(file))
    file.seek(0)
    archive = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
    one_at_a_time = threading.Lock()

    def content(member):
        with one_at_a_time:
            return io.BytesIO(archive.extractfile(member).read())

    for member in archive:
        if not member.isdir():
            problem = None if member.isreg() and not member.issparse() else "not a file"
            yield member.name, member.size, problem, partial(content, member)
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
