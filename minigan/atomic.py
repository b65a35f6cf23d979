"""Files that are whole or absent: write beside the old one, then swap.

A run may be killed at any moment, and the power may fail.  Everything it
rewrites (checkpoint, pictures, history) goes through `replacing`, so that a
reader finds the old file or the new one, never half of either.
"""

import contextlib
import os
import time
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """Open a temporary binary file, also for reading, that takes the place of `path` on success.

        with replacing("out/checkpoint.npz") as file:
            file.write(...)

    The folder of `path` is created if need be.  Leaving the block flushes the
    file to the disk and renames it; an exception of any kind, Ctrl-C
    included, removes it and leaves what was at `path` untouched.

    Raises OSError if the folder or the file cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link stays one, and leads to the new file
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within a file system; with a
    # name of its own, so that two writers cannot mix their bytes.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def remove_leftovers(path, silent=0.0):
    """Remove the temporary files that writers of `path` have left behind when they were killed.

    path: its name may be a pattern, such as "*.png".  silent: seconds for which nothing was
    written to them; 0 where there can be no other writer.
    """
    path = Path(os.path.realpath(path))
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime >= silent:
                leftover.unlink()


def _sync_folder(folder):
    """Make the rename itself survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):  # Windows cannot open a folder; some disks cannot sync one
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
