"""The user's cache directory: what minigan can make or fetch again."""

import contextlib
import os
import sys
from pathlib import Path

from ..atomic import remove_leftovers, replacing

DEAD = 3600.0  # seconds without a byte, after which nobody writes a temporary file any longer


def cache_dir():
    """Where minigan keeps what it can make or fetch again, a `Path`; None without a home.

    `$XDG_CACHE_HOME/minigan` or `~/.cache/minigan`; `~/Library/Caches/minigan` on macOS and
    `%LOCALAPPDATA%\\minigan` on Windows.  It need not exist, nor be writable.
    """
    setting = {"win32": "LOCALAPPDATA", "darwin": None}.get(sys.platform, "XDG_CACHE_HOME")
    base = os.environ.get(setting, "") if setting else ""
    if not os.path.isabs(base):
        try:
            home = Path.home()
        except RuntimeError:
            return None
        base = home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(base) / "minigan"


@contextlib.contextmanager
def writing(path):
    """`replacing(path)`, and the room is taken back that killed writers beside it have left."""
    remove_leftovers(path.parent / "*", silent=DEAD)
    with replacing(path) as file:
        yield file


def write(path, content):
    """Write bytes to `path` all at once; raises OSError."""
    with writing(path) as file:
        file.write(content)
