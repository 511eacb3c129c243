"""The hands of whatever follows local files: look, open, read. All raise `OSError`, and none waits for a writer."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice

from ..logic.tail import FileId, Fingerprint, Seen
from .links import open_trusted, resolve

MOST_ENTRIES = 10_000
"""Names looked at in one directory."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe (`fifo` reads those)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a terminal or another device",
    stat.S_IFBLK: "a device",
}


class NotRegular(OSError):
    """What only files are good for: a pipe would be emptied, a terminal waited for."""

    def __init__(self, mode: int, path: str) -> None:
        super().__init__(errno.EINVAL, f"{_KINDS.get(stat.S_IFMT(mode), 'nothing')}, not a regular file", path)


def look(where: str | int) -> Seen:
    """At a path, past symlinks, or at what is open. Raises `NotRegular` too."""
    return _seen(os.stat(where), str(where))


def look_again(path: str, *, held: bool) -> Seen:
    """At a path that has led to a file before. While that is `held` open no other file is given its inode, else a link has to be
    trusted anew. Raises `NotRegular` and `UntrustedLink` too."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        return look(path) if held else meet(path)[1]
    return _seen(found, path)


def meet(path: str) -> tuple[str, Seen]:
    """A path without links, and what is there. Raises `NotRegular` and `UntrustedLink` too."""
    real, found = resolve(path)
    return real, _seen(found, path)


def _seen(found: os.stat_result, path: str) -> Seen:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegular(found.st_mode, path)
    return Seen(FileId(found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns, found.st_nlink)


def open_file(path: str, expected: FileId) -> int:
    """A descriptor for reading; -1 when the path leads to another file by now. Raises `UntrustedLink` too."""
    handle = open_trusted(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if handle < 0 or look(handle).id == expected:
        return handle
    os.close(handle)
    return -1


def holds(handle: int, print_: Fingerprint) -> bool:
    """Does the file still hold what was read of it?"""
    return print_.fits(os.pread(handle, print_.length, print_.start))


def holds_at(print_: Fingerprint, path: str, seen: Seen, *, unseen: bool) -> bool:
    """The same of a file that is not open; `unseen` where it cannot be read."""
    try:
        handle = open_file(path, seen.id)
        try:
            return handle >= 0 and (not print_.length or holds(handle, print_))
        finally:
            if handle >= 0:
                os.close(handle)
    except OSError:
        return unseen


def find_inode(directory: str, wanted: FileId) -> str | None:
    """Where in the directory a file is. Raises nothing."""
    try:
        with os.scandir(directory) as listing:
            for entry in listing:
                if entry.inode() == wanted.inode and look(entry.path).id == wanted:
                    return entry.path
    except OSError:
        pass  # then it is not to be had there
    return None


def siblings(directory: str, wanted: Callable[[str], object]) -> list[tuple[str, Seen]]:
    """Regular files in a directory with the names that are wanted, the latest written first. Raises nothing: what may not be
    seen is left out."""
    found = [one for one in each_sibling(directory, wanted, MOST_ENTRIES) if one]
    return sorted(found, key=lambda one: -one[1].changed)


def each_sibling(directory: str, wanted: Callable[[str], object], most: int) -> Iterator[tuple[str, Seen] | None]:
    """The same of `most` names, one by one and in no order; None for what is no such file."""
    try:
        with os.scandir(directory) as listing:
            for entry in islice(listing, most):
                try:
                    yield (entry.path, _meet_entry(entry)) if wanted(entry.name) else None
                except OSError:
                    yield None
    except OSError:
        return


def _meet_entry(entry: os.DirEntry[str]) -> Seen:
    return meet(entry.path)[1] if entry.is_symlink() else _seen(entry.stat(follow_symlinks=False), entry.path)
