"""One run a folder: a lock that the operating system drops when the process ends.

A file that merely exists would outlive a killed run and have to be removed by
hand; a lock on an open file dies with its owner, however it dies.
"""

import contextlib
from pathlib import Path

from ..errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    HELD = PermissionError

    def _lock(file):
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    HELD = BlockingIOError

    def _lock(file):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(folder):
    """Hold `folder` for this process during the block.

    Raises UserError if another process holds it, OSError if the folder cannot be
    written.
    """
    with open(Path(folder) / ".lock", "a") as file:
        try:
            _lock(file)
        except HELD as error:
            raise UserError(
                f"another run is writing into {folder}: wait for it, or give another --out"
            ) from error
        except OSError:
            pass  # a file system that knows no locks: better unguarded than unusable
        yield
