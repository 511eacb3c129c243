"""Names whose file was rotated away, and the files that had them after that without ever being seen there.

A program that writes fast rotates more than once between two looks, or while nobody looks. The files in between are found by what
the usual programs call rotated files, and by having been written to after the one that is known.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from functools import partial

from ..io.local_files import siblings
from ..logic.tail import FileId, Seen, originals
from .file_memory import Left
from .followed_file import FollowedFile

MOST = 1000


class LeftNames(dict[str, Left]):
    """By path. A name is looked for until another file has it that is followed, or its directory is gone."""

    def leave(self, file: FollowedFile, changed: int) -> None:
        """`changed` is when the file was written to, as far as is known, when it had the name."""
        left = self.get(file.origin)
        self[file.origin] = Left(dict(file.attributes), min(changed, left.changed) if left else changed)
        if len(self) > MOST:
            del self[next(iter(self))]

    def missed(self, followed: Container[FileId]) -> Iterator[tuple[str, Seen, str]]:
        """Path, look and the name it may have had. May be added to meanwhile."""
        for directory in dict.fromkeys(map(os.path.dirname, self)):
            for path, seen in siblings(directory, partial(self._name_of, directory)):
                origin = self._name_of(*os.path.split(path))
                if seen.size and seen.changed >= self[origin].changed and seen.id not in followed:
                    yield path, seen, origin

    def regained(self, names: Container[str]) -> None:
        there = {directory: os.path.isdir(directory) for directory in map(os.path.dirname, self)}
        for origin in [origin for origin in self if origin in names or not there[os.path.dirname(origin)]]:
            del self[origin]

    def _name_of(self, directory: str, name: str) -> str:
        """The name that was left and that a file of this name may have had; or nothing."""
        paths = (os.path.join(directory, original) for original in originals(name))
        return next((path for path in paths if path in self), "")
