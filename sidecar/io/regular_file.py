"""Files that somebody else names: a device never ends, and a FIFO waits for ever."""

from __future__ import annotations

import errno
import os
import stat


def read_regular(file: str, limit: int) -> bytes:
    """All of a regular file. Raises `OSError` for anything else, without waiting for whoever may write a FIFO, and for one
    that has more than `limit` bytes."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", file)
        with open(handle, "rb", closefd=False) as opened:
            content = opened.read(limit + 1)
    finally:
        os.close(handle)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"more than {limit >> 10} KiB", file)
    return content
