"""Where what was read of a file that was truncated stands now: in a copy that was made before, as with logrotate's
`copytruncate`, beside it and by what rotated files are called."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice

from ..io.local_files import holds, holds_at, siblings
from ..logic.tail import FileId, Fingerprint, Seen, is_rotated
from .followed_file import CLOSED, FollowedFile

MOST_COMPARED = 1000
"""Files that are looked into, the latest first: it takes 25 ms."""


class Copies:
    """Among all files; `files` are those that are followed."""

    def __init__(self, files: Mapping[FileId, FollowedFile]) -> None:
        self._files = files

    def of(self, file: FollowedFile) -> tuple[str, Seen] | None:
        directory, name = os.path.split(file.origin)
        beside = siblings(directory, partial(is_rotated, name))
        return self.find(file.fingerprint, beside, file) or self._held(file)

    def find(
        self, print_: Fingerprint, among: Iterable[tuple[str, Seen]], of: FollowedFile | None = None
    ) -> tuple[str, Seen] | None:
        """One of the files that nobody has read and that holds, at the same place, what `print_` is of."""
        long = (one for one in among if one[1].size >= print_.at) if print_.length else ()
        unread = (one for one in long if not (known := self._files.get(one[1].id)) or not (known.begun or known is of))
        return next((one for one in islice(unread, MOST_COMPARED) if holds_at(print_, *one, unseen=False)), None)

    def _held(self, file: FollowedFile) -> tuple[str, Seen] | None:
        """One that was deleted before it was read."""
        print_ = file.fingerprint
        for other in self._files.values():
            if other is not file and not other.begun and other.handle != CLOSED and is_rotated(file.origin, other.path):
                try:
                    if holds(other.handle, print_):
                        return other.path, other.seen
                except OSError:
                    continue  # said by whoever reads it
        return None
