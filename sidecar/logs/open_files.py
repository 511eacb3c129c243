"""The descriptors of followed files: as many as are of use, within a bound.

A descriptor keeps a file readable that is deleted, and follows one that is renamed. Past the bound one that was not used for
long is closed; its file is opened again by its name, or found by its inode in the directory. Links on the way have to be trusted
each time: while nobody holds a file, another may be given its inode.
"""

from __future__ import annotations

import errno
import os
import resource
from collections import OrderedDict
from itertools import islice

from ..io.links import UntrustedLink
from ..io.local_files import find_inode, holds_at, open_file
from ..logic.tail import Fingerprint, Seen, is_rotated
from .followed_file import CLOSED, FollowedFile

MOST = 256
MOST_WEIGHED = 8
"""Of how many, those that were not used for the longest time, one is closed."""


class OpenFiles:
    def __init__(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = MOST if soft == resource.RLIM_INFINITY else max(4, min(MOST, soft // 8))
        self._open: OrderedDict[FollowedFile, None] = OrderedDict()
        self._kept: dict[FollowedFile, None] = {}
        """Those that have no name any more: never closed for others."""

    def __len__(self) -> int:
        return len(self._open) + len(self._kept)

    def open(self, file: FollowedFile) -> bool:
        """Give it a handle, if it has none. False: its name leads elsewhere, or every descriptor is needed; look again later.
        Raises `FileNotFoundError` when it is nowhere in its directory, and `OSError`."""
        if file.handle != CLOSED:
            if file in self._open:
                self._open.move_to_end(file)
            return True
        if len(self) >= self.most and not self._close_one():
            return False
        refused: UntrustedLink | None = None
        for path in (file.path, *file.names):
            try:
                file.handle = open_file(path, file.id)
            except FileNotFoundError:
                continue  # it may have been renamed
            except UntrustedLink as error:
                refused = error
                continue
            if file.handle != CLOSED:
                break
        else:
            if refused and file.names:
                raise refused
            self._open_by_inode(file)
        if file.handle == CLOSED:
            return False
        self._open[file] = None
        return True

    def _open_by_inode(self, file: FollowedFile) -> None:
        found = find_inode(os.path.dirname(file.path), file.id)
        if found is None or not is_still(file.origin, file.fingerprint, found, file.seen):
            raise FileNotFoundError(errno.ENOENT, "the file has vanished", file.path)
        file.path = found
        try:
            file.handle = open_file(found, file.id)
        except UntrustedLink as error:
            raise FileNotFoundError(errno.ENOENT, str(error.strerror), found) from error

    def hand_over(self, old: FollowedFile, new: FollowedFile) -> None:
        """They are one: the file may have no name any more, by which it could be opened again."""
        self.close(new)
        if old.handle != CLOSED:
            new.handle, old.handle = old.handle, CLOSED
            self._drop(old)
            self._open[new] = None

    def close(self, file: FollowedFile) -> None:
        if file.handle != CLOSED:
            os.close(file.handle)
            file.handle = CLOSED
            self._drop(file)

    def close_all(self) -> None:
        for file in [*self._open, *self._kept]:
            self.close(file)

    def _drop(self, file: FollowedFile) -> None:
        if file in self._open:
            del self._open[file]
        else:
            del self._kept[file]

    def _close_one(self) -> bool:
        """Of those that were not used for long first one that is read to its end, then one that can be opened again; never one
        that has no name any more, nor the one that was used last, with which another is compared."""
        while old := list(islice(self._open, min(MOST_WEIGHED, max(0, len(self._open) - 1)))):
            again = [file for file in old if file.names or file.seen.links]
            if again:
                self.close(next((file for file in again if not file.wants), again[0]))
                return True
            for file in old:
                del self._open[file]
                self._kept[file] = None
        return False


def is_still(origin: str, print_: Fingerprint, path: str, seen: Seen) -> bool:
    """Is a file of the same inode the same file, though it is called otherwise? By how it is called (it may have been truncated
    first), else by what it holds. Where nothing of it was read, nothing else will do: other files are none of our business."""
    if is_rotated(os.path.basename(origin), os.path.basename(path)):
        return True
    return print_.length > 0 and holds_at(print_, path, seen, unseen=True)
