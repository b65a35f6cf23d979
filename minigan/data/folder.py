"""The files of a folder."""

import os
import stat
from functools import partial
from pathlib import Path

from ..errors import UserError
from ..regular import open_regular
from . import files


def load(path, **options):
    """The pictures under the folder `path` as a `Dataset`; options are those of `files.load`.

    They are taken in the order of their names, those in sub-folders too, but nothing hidden.
    Raises UserError if a folder cannot be read.
    """
    return files.load(path, listing(path), **options)


def listing(path):
    """The `files.Listing` of a folder; links are followed, but not round in a circle."""
    return files.listing(_entries(Path(path)))


def _entries(root):
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
        inside = "" if Path(place) == root else Path(place).relative_to(root).as_posix() + "/"
        if inside and not folders and not names:
            yield inside, 0, (), "empty", None
        for name in [name for name in folders if name.startswith(".")]:
            folders.remove(name)
            yield f"{inside}{name}/", 0, (), "hidden", None
        for name in names:
            path = os.path.join(place, name)
            yield inside + name, *_status(path), partial(open_regular, path)


def _status(path):
    """(bytes, times, problem or None) of a file; zeros for a link that leads nowhere."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, (0, 0), None  # it will be counted among those that cannot be read
    # The time of the last change of rights or name too: what could not be read may be readable now.
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_size, times, None if stat.S_ISREG(status.st_mode) else "not a file"
