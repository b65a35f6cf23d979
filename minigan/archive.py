"""An archive: networks as named arrays and one JSON text, in a file that holds no code.

    generator/params          the flat vectors of each network
    generator/buffers
    description               JSON (uint8): architectures, and what else the writer wants to say

The file is an .npz as `numpy.savez` writes it: a zip file whose members are not compressed, each
an array in NumPy's own format.  Nothing is pickled.

A reader trusts none of it.  Each member is read whole and held to its checksum before it is
looked at, since NumPy, which parses first, stops short of the check where a length is wrong.  What
is not compressed cannot be larger in memory than it is on the disk.
"""

import json
import math

import numpy as np

from .arrays import to_host
from .atomic import replacing
from .errors import UserError
from .init import Initializer
from .regular import open_regular

FORMAT = "minigan checkpoint"
VERSION = 1
ZIP_MAGIC = b"PK\x03\x04"
ZIP64 = b"\x01\x00"  # how the sizes of a member of 4 GB and more are marked
DTYPES = ("float32", "float64", "uint8")
LARGEST_TEXT = 2**20  # bytes of a description; those of our examples have 10,000


def write(path, networks, arrays=None, **more):
    """Write networks into an archive, atomically: a failure leaves the old file as it was.

    networks: dict name -> Sequential.  arrays: dict name -> vector, beside those of the networks.
    more: entries of the description, anything JSON can hold.  Raises OSError if the file cannot be
    written.
    """
    description = {
        "format": FORMAT,
        "version": VERSION,
        "networks": {name: describe(network) for name, network in networks.items()},
        "optimizer_steps": {},
        "run": None,
    } | more
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    vectors = tensors(networks) | (arrays or {})
    with replacing(path) as file:
        np.savez(file, description=text, **{name: to_host(v) for name, v in vectors.items()})


def tensors(networks):
    """What is stored of networks: dict name -> vector, the live ones, on their device."""
    vectors = {}
    for name, network in networks.items():
        vectors |= {f"{name}/params": network.params, f"{name}/buffers": network.buffers}
    return vectors


def describe(value):
    """A layer, an initialiser or an argument of theirs as JSON-ready data."""
    if isinstance(value, Initializer):
        arguments = vars(value)
    elif hasattr(value, "config"):
        arguments = value.config()
    elif isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    else:
        return value
    return {"class": type(value).__name__} | {
        name: describe(argument) for name, argument in arguments.items()
    }


def read(path):
    """(arrays, description) of an archive: dict name -> vector, to be read only, and a dict.

    Nobody has checked the dict yet: see `rebuild.read`.  Raises UserError with one line if the
    file is missing, damaged, of another kind, or holds pickled objects.
    """
    try:
        with open_regular(path) as file:
            if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
                raise UserError(f"{path} is not a minigan checkpoint, or was cut off at its start")
            arrays = read_arrays(file)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(
            f"no checkpoint at {path}: a run writes one when it begins and after each epoch"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except MemoryError:
        raise
    except _PickledError as error:
        raise UserError(
            f"{path} holds pickled Python objects, which could run any code: refused"
        ) from error
    except Exception as error:  # zipfile and NumPy have a dozen ways to refuse damage
        raise UserError(
            f"{path} is truncated or damaged ({str(error)[:200]}): "
            "restore a copy, or start a new run"
        ) from error
    return arrays, _description(path, arrays.pop("description", np.empty(0)))


def _description(path, text):
    """The JSON of an archive of this format and version; else UserError."""
    try:
        description = json.loads(text.tobytes(), parse_constant=float)
        known, version = description["format"] == FORMAT, description["version"]
    except (KeyError, ValueError, TypeError, RecursionError):
        known = False
    if not known:
        raise UserError(f"{path} is not a minigan checkpoint: it has no description")
    if version != VERSION:
        raise UserError(
            f"{path} has format version {str(version)[:20]}, this minigan reads {VERSION}: "
            "update minigan"
        )
    return description


class _PickledError(ValueError):
    """An array of Python objects."""


def read_arrays(file):
    """All arrays of an open .npz file, each a view of its member's bytes.

    Raises one exception or another where the file is none, is damaged or compressed, or holds
    anything but arrays of DTYPES.
    """
    import zipfile

    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed")
        # Members that overlap would count more than once.
        if sum(member.file_size for member in members) > size:
            raise ValueError("its members are larger than the file")
        arrays = {}
        for member in members:
            if member.comment or member.extra[:2] not in (b"", ZIP64):
                raise ValueError(f"{member.filename} is followed by what may be another member")
            content = archive.read(member)  # to its end, where the checksum is looked at
            if len(content) != member.file_size:
                raise ValueError(f"{member.filename} is not as long as it says")
            arrays[member.filename.removesuffix(".npy")] = _array(content, member.filename)
    return arrays


def _array(content, name):
    """The array in the bytes of an .npy file."""
    from io import BytesIO

    header = BytesIO(content)
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError(f"{name} is of another version of NumPy's format")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(header)
    if dtype.hasobject:
        raise _PickledError(name)
    start = header.tell()
    if dtype.name not in DTYPES:
        raise ValueError(f"{name} is {dtype} {shape}, not of {', '.join(DTYPES)}")
    count = math.prod(shape)
    if start + count * dtype.itemsize != len(content):
        raise ValueError(f"{name} has {len(content) - start} bytes for {count} of {dtype}")
    if name == "description.npy" and count > LARGEST_TEXT:
        raise ValueError(f"{name} has {count} bytes, expected {LARGEST_TEXT} at most")
    array = np.frombuffer(content, dtype, offset=start)
    return array.reshape(shape, order="F" if by_columns else "C")
