"""The descriptors of followed files: as many as are of use, within a bound.

A descriptor keeps a file readable that is deleted, and follows one that is renamed. Past the bound the one that was not used for
the longest time is closed; its file is opened again by its name, or found by its inode in the directory.
"""

from __future__ import annotations

import errno
import os
import resource
from collections import OrderedDict

from ..io.local_files import find_inode, holds_at, open_file
from ..logic.tail import Fingerprint, Seen, is_rotated
from .followed_file import CLOSED, FollowedFile

MOST = 256


class OpenFiles:
    def __init__(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = MOST if soft == resource.RLIM_INFINITY else max(4, min(MOST, soft // 8))
        self._open: OrderedDict[FollowedFile, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, file: FollowedFile) -> bool:
        """Give it a handle, if it has none. False: its name leads elsewhere, or every descriptor is needed; look again later.
        Raises `FileNotFoundError` when it is nowhere in its directory, and `OSError`."""
        if file.handle != CLOSED:
            self._open.move_to_end(file)
            return True
        if len(self._open) >= self.most and not self._close_one():
            return False
        for path in (file.path, *file.names):
            try:
                file.handle = open_file(path, file.id)
            except FileNotFoundError:
                continue  # it may have been renamed
            if file.handle != CLOSED:
                break
        else:
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
        file.handle = open_file(found, file.id)

    def hand_over(self, old: FollowedFile, new: FollowedFile) -> None:
        """They are one: the file may have no name any more, by which it could be opened again."""
        self.close(new)
        if old.handle != CLOSED:
            new.handle, old.handle = old.handle, CLOSED
            del self._open[old]
            self._open[new] = None

    def close(self, file: FollowedFile) -> None:
        if file.handle != CLOSED:
            os.close(file.handle)
            file.handle = CLOSED
            del self._open[file]

    def close_all(self) -> None:
        for file in list(self._open):
            self.close(file)

    def _close_one(self) -> bool:
        """First one that is read to its end, then one that can be opened again; never one that has no name any more, nor the one
        that was used last, with which another is compared."""
        again = [file for file in list(self._open)[:-1] if file.names or file.seen.links]
        victim = next((file for file in again if not file.wants), again[0] if again else None)
        if victim is not None:
            self.close(victim)
        return victim is not None


def is_still(origin: str, print_: Fingerprint, path: str, seen: Seen) -> bool:
    """Is a file of the same inode the same file, though it is called otherwise? By how it is called (it may have been truncated
    first), else by what it holds. Where nothing of it was read, nothing else will do: other files are none of our business."""
    if is_rotated(os.path.basename(origin), os.path.basename(path)):
        return True
    return print_.length > 0 and holds_at(print_, path, seen, unseen=True)
