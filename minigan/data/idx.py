"""The IDX files in which MNIST and its relatives come, plain or gzipped.

The format (LeCun, Cortes, Burges: the MNIST page, 1998): big-endian 32-bit numbers, first a
magic number 0x0000 08 d0, where 08 says unsigned bytes and d0 how many dimensions follow, then
the d0 sizes, then the bytes.  Images have three dimensions (N, rows, columns), labels one (N,).

Every way in which a file can be wrong is a `UserError` naming the file, what was found, what
was expected and what to do.
"""

import math

import numpy as np

from ..errors import UserError
from ..regular import open_regular

SIDE = 28
DENSEST = 50  # bytes of pictures in a byte of gzip: MNIST has 5
SLACK = 2**20  # bytes that any gzip file may have
FIX = "copy or download the file again"


def read(path):
    """The bytes of the file `path`, unpacked if they are gzipped (whatever its name says)."""
    try:
        with open_regular(path) as file:
            content = file.read()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}): make it a readable IDX file"
        ) from error
    if not content:
        raise UserError(f"{path}: empty, expected an IDX file: {FIX}")
    try:
        return unpack(content, most=SLACK + DENSEST * len(content))
    except ValueError as error:
        raise UserError(f"{path}: {error}, expected a whole gzip file: {FIX}") from error


def unpack(content, most):
    """Bytes without their gzip wrapping, if any; ValueError if it is damaged.

    Of IDX files no more is unpacked than their header says, and a byte to show that there is
    more; of others `most` bytes.  ValueError for an IDX file of more than `most`.
    """
    import gzip
    import io
    import zlib

    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        file = gzip.GzipFile(fileobj=io.BytesIO(content))
        header = file.read(16)
        promised = _length(header)
        if promised is not None and promised > most:
            raise ValueError(f"{promised} bytes in {len(content)} are no pictures")
        wanted = most if promised is None else promised + 1
        return header + file.read(max(wanted - len(header), 1))
    except EOFError:
        raise ValueError("truncated gzip data") from None
    except (OSError, zlib.error) as error:
        raise ValueError(f"damaged gzip data ({error})") from error


def _length(header):
    """The bytes of the IDX file that begins so, of images or of labels; None of another file."""
    magic, *shape = np.frombuffer(header.ljust(16, b"\0"), ">u4").tolist()
    return {0x0803: 16 + math.prod(shape), 0x0801: 8 + shape[0]}.get(magic)


def images(content, where):
    """Pictures uint8 (N, 28, 28, 1), N >= 1, from the unpacked bytes of the file `where`."""
    array = _array(content, where, "images", ndim=3)
    if array.shape[1:] != (SIDE, SIDE):
        rows, columns = array.shape[1:]
        raise UserError(
            f"{where}: images of {rows}x{columns} pixels, expected {SIDE}x{SIDE}: "
            "give MNIST or a set of the same form"
        )
    return array[..., None]


def labels(content, where):
    """Labels int64 (N,), N >= 1, from the unpacked bytes of the file `where`."""
    return _array(content, where, "labels", ndim=1).astype(np.int64)


def _array(content, where, kind, ndim):
    """uint8 array of `ndim` dimensions; `kind` is the word for its items in messages."""
    start = 4 + 4 * ndim
    if len(content) < start:
        raise UserError(
            f"{where}: {len(content)} bytes, too short for the {start}-byte header "
            f"of IDX {kind}: {FIX}"
        )
    magic, *shape = np.frombuffer(content, ">u4", 1 + ndim).tolist()
    expected = 0x0800 + ndim
    if magic != expected:
        others = ", an .npy, .npz, .zip or .tar" * (kind == "images")
        raise UserError(
            f"{where}: magic number {magic}, expected {expected} (IDX {kind}): "
            f"give a file of {kind} in IDX format{others}"
        )
    if shape[0] == 0:
        raise UserError(f"{where}: no {kind} in it, expected at least one: give another file")
    size = start + math.prod(shape)
    if len(content) != size:
        problem = "truncated" if len(content) < size else "trailing bytes"
        raise UserError(
            f"{where}: {problem}: {len(content)} bytes found, expected {size} for the "
            f"{shape[0]} {kind} in its header: {FIX}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
