"""The user's cache directory: what minigan can make or fetch again."""

import os
import sys
from pathlib import Path

from ..atomic import replacing


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


def write(path, content):
    """Write bytes to `path` all at once, as `replacing` does; raises OSError."""
    with replacing(path) as file:
        file.write(content)
