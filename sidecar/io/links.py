"""Where a path leads, past links that may be trusted.

Who may write to a directory of logs may put a link there, and would have whatever we may read sent away. As with the kernel's
`fs.protected_symlinks`, a link counts if it is root's, our own, or of the owner of the file that it leads to. A path is walked
name by name, and what is found or opened at its end was found on this way: links that change meanwhile make no difference.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

MOST_LINKS = 40
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC


class UntrustedLink(OSError):
    def __init__(self, path: str, owner: int, target: int) -> None:
        super().__init__(errno.EPERM, f"a link of user {owner} to a file of user {target} is not followed", path)


def resolve(path: str) -> tuple[str, os.stat_result]:
    """The path without links, and what is there. Raises `UntrustedLink` and `OSError`. The kernel's own links in /proc
    are followed as it does."""
    with _walked(path) as (at, found):
        return at, found


def open_trusted(path: str, flags: int) -> int:
    """A descriptor of the regular file that `resolve` finds; -1 when the path leads to another by the time it is opened, or to
    what is no regular file. Raises as `resolve` does."""
    with _walked(path) as (_, found):
        if not stat.S_ISREG(found.st_mode):
            return -1
        handle = os.open(path, flags)
        opened = os.fstat(handle)  # its inode is given to no other file while the walk ends at it
        if (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino):
            return handle
        os.close(handle)
        return -1


@contextmanager
def _walked(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """What is found is held on to meanwhile."""
    at, left = "/", deque(path.split("/"))
    owners: set[int] = set()
    links = 0
    kernels = False
    handle = os.open("/", _STEP)
    try:
        while left:
            part = left.popleft()
            if part in ("", "."):
                continue
            child = os.open(part, _STEP, dir_fd=handle)
            if stat.S_ISLNK((found := os.fstat(child)).st_mode):
                if found.st_dev != _proc():
                    target = _read(child)
                    links += 1
                    if links > MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                    owners.add(found.st_uid)
                    left.extendleft(reversed(target.split("/")))
                    if target.startswith("/"):
                        root = os.open("/", _STEP)
                        os.close(handle)
                        handle, at = root, "/"
                    continue
                kernels = True
                os.close(child)
                child = os.open(part, _STEP & ~os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = child
            at = os.path.dirname(at) if part == ".." else os.path.join(at, part)
        found = os.fstat(handle)
        for owner in sorted(owners - {0, os.geteuid(), found.st_uid}):
            raise UntrustedLink(path, owner, found.st_uid)
        yield os.path.realpath(path) if kernels else at, found
    finally:
        os.close(handle)


def _read(link: int) -> str:
    try:
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _proc() -> int:
    try:
        return os.stat("/proc").st_dev
    except OSError:
        return -1
