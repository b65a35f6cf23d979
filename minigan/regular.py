"""Regular files only: a pipe would hang whoever reads it, a device might never end."""

import errno
import os
import stat

FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # of one system or the other


def open_regular(path):
    """`path` opened for reading bytes; OSError where it is no regular file, or cannot be read."""
    # Without waiting, or opening a pipe that nobody writes to would be the end already.
    descriptor = os.open(path, os.O_RDONLY | FLAGS)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
