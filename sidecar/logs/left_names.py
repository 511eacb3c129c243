"""Names whose file was rotated away, and the files that had them after that without ever being seen there.

A program that writes fast rotates more than once between two looks, or while nobody looks. The files in between are found by what
the usual programs call rotated files, and by having been written to after the one that is known.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from ..io.local_files import each_sibling
from ..logic.tail import Seen, originals
from .file_memory import Left
from .followed_file import FollowedFile

MOST = 1000


class Rotated(NamedTuple):
    """A file, and the name that it may have had."""

    path: str
    seen: Seen
    origin: str


class LeftNames(dict[str, Left]):
    """By path. A name is looked for until another file has it that is followed, or its directory is gone."""

    def leave(self, file: FollowedFile, changed: int) -> None:
        """`changed` is when the file was written to, as far as is known, when it had the name."""
        left = self.get(file.origin)
        self[file.origin] = Left(dict(file.attributes), min(changed, left.changed) if left else changed)
        if len(self) > MOST:
            del self[next(iter(self))]

    def looked(self, before: Mapping[str, Left], waiting: Mapping[str, int], names: Container[str]) -> None:
        """Rotated files of the names that there were `before` were looked at. Of those in `waiting` some are not followed yet,
        the oldest of them written to at that time."""
        for origin, left in before.items():
            if self.get(origin) is not left:
                continue  # left again meanwhile
            if origin in waiting:
                self[origin] = msgspec.structs.replace(left, changed=waiting[origin])
            elif origin in names or not os.path.isdir(os.path.dirname(origin)):
                del self[origin]


def look_for_rotated(left: Mapping[str, Left], most: int, found: list[Rotated]) -> Iterator[None]:
    """A step for each of at most `most` names in a directory; in the end the oldest is the first of those found."""
    for directory in dict.fromkeys(map(os.path.dirname, left)):
        for one in each_sibling(directory, partial(_origin, left, directory), most):
            if one:
                found.append(Rotated(*one, _origin(left, *os.path.split(one[0]))))
            yield
    found.sort(key=lambda one: one.seen.changed)


def _origin(left: Container[str], directory: str, name: str) -> str:
    """The name that was left and that a file of this name may have had; or nothing."""
    paths = (os.path.join(directory, original) for original in originals(name))
    return next((path for path in paths if path in left), "")
