"""Where published data sets are looked for: in the user's folder, the cache, then on mirrors."""

import math
import os
from pathlib import Path

from ..errors import UserError
from . import cache, download

ANNOUNCED = 50_000_000  # bytes from which the user is told before a download starts


class NotFoundError(UserError):
    """A published set is neither here nor to be had."""


def user_folder():
    """The folder $MINIGAN_DATA, or None if it is not set; UserError if there is no such folder."""
    setting = os.environ.get("MINIGAN_DATA")
    if not setting:
        return None
    folder = Path(os.path.expanduser(setting))
    if not os.path.isdir(folder):
        raise UserError(
            f"MINIGAN_DATA={setting}: no such folder: "
            "set it to the folder that holds your data, or unset it"
        )
    return folder


def cache_folder(name):
    """The folder of the set `name` in the cache, or None without a home."""
    folder = cache.cache_dir()
    return folder and folder / name


def list_names(folder):
    """The names in a folder as a set, empty if there is none; UserError if it cannot be read."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be read ({error.strerror}): make the folder readable"
        ) from error


def fetch(
    title, name, *, urls, accept, limit, folder, notify, allow_download=True, patience=math.inf
):
    """Download the file `name` of the set called `title`, keep it in `folder`, return it.

    urls, accept, limit, patience: as of `download.fetch`; what `accept` returns is kept.  folder:
    in the cache, or None.  With $MINIGAN_OFFLINE set, nothing is downloaded.  Raises
    NotFoundError if the file cannot be had.
    """
    problem = "downloading is switched off"
    if allow_download and os.environ.get("MINIGAN_OFFLINE", "0") in ("", "0"):
        if limit > ANNOUNCED:
            notify(f"downloading {name}, {limit / 1e6:.0f} MB")
        try:
            content = download.fetch(
                urls, accept=accept, limit=limit, timeout=min(10, patience / 2), patience=patience
            )
            _keep(folder, name, content, notify)
            return content
        except download.DownloadError as error:
            problem = f"it cannot be downloaded ({error})"
    raise NotFoundError(
        f"no {title} in {folder or 'the cache'}, and {problem}: for {title} give "
        "the folder of its files, --data FOLDER or MINIGAN_DATA=FOLDER"
    )


def _keep(folder, name, content, notify):
    """Put a downloaded file into the cache, if that can be written."""
    if folder is None:
        return
    try:
        cache.write(folder / name, content)
        notify(f"downloaded {name} to {folder}")
    except OSError as error:
        notify(
            f"cannot keep {name} in {folder} ({error.strerror}): "
            "it will be downloaded again next time"
        )
