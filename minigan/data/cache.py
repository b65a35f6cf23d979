"""The user's cache directory, and writing a file there so that nobody ever reads half of it."""

import os
import sys
from pathlib import Path


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
    """Write bytes to `path` all at once, making its folder; raises OSError.

    Other processes see the old file or the new one, also when several write at a time: each
    fills a temporary file of its own, which takes the name when it is safely on the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:                     # Ctrl-C too leaves nothing behind
        part.unlink(missing_ok=True)
        raise
