"""Which file is which: what a tail decides from a look at the file system.

A file is known by (device, inode), wherever it is renamed to. Whether it still holds what was read is told by its
*fingerprint*: the up to 1 KiB that stand before the place where reading goes on. It shows a file that was truncated and has
grown past that place again, an inode that was given to another file, and a copy (logrotate's `copytruncate`) of what was read.
"""

from __future__ import annotations

import hashlib
import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import msgspec

WINDOW = 1024


class FileId(NamedTuple):
    device: int
    inode: int


class Seen(NamedTuple):
    """One look at a file. `links` is 0 when it has no name any more; `changed` is its mtime in nanoseconds."""

    id: FileId
    size: int
    changed: int
    links: int = 1


class Fingerprint(msgspec.Struct, frozen=True):
    """Of the `length` bytes before offset `at`."""

    at: int
    length: int
    digest: str

    @classmethod
    def of(cls, before: bytes, at: int) -> Fingerprint:
        return cls(at, len(before), hashlib.blake2b(before, digest_size=16).hexdigest())

    @property
    def start(self) -> int:
        return self.at - self.length

    def fits(self, found: bytes) -> bool:
        """Are these bytes, from `start`, the same? Nothing fits a file of which nothing was read."""
        return 0 < self.length == len(found) and self.digest == Fingerprint.of(found, self.at).digest


class Change(Enum):
    SAME = "same"
    GROWN = "grown"
    """Or written anew, to at least as much: the fingerprint tells."""
    TRUNCATED = "truncated"
    REPLACED = "replaced"
    """Another file has its name."""


def change(known: Seen, offset: int, seen: Seen) -> Change:
    """What has happened to a file that was read up to `offset`, between two looks at its name."""
    if seen.id != known.id:
        return Change.REPLACED
    if seen.size < offset:
        return Change.TRUNCATED
    if seen.size > offset or seen.changed != known.changed:
        return Change.GROWN
    return Change.SAME


_COUNT = r"\d[\d\-_.:TZ]*"
_BEHIND = re.compile(rf"(.+?)(?:[.\-_]?{_COUNT}|\.old)")
_INSIDE = re.compile(rf"(.+?)[.\-_]{_COUNT}(\.[^.]+)")


@lru_cache(4096)
def originals(name: str) -> tuple[str, ...]:
    """Of which file this may be a rotated one, by the usual names: `app.log` for `app.log.1`, `app.log-20261121`, `app.log.old`,
    `app.1.log` and `app-2026-11-21.log`."""
    found = []
    if behind := _BEHIND.fullmatch(name):
        found.append(behind[1])
    if inside := _INSIDE.fullmatch(name):
        found.append(inside[1] + inside[2])
    return tuple(found)


def is_rotated(name: str, other: str) -> bool:
    return name in originals(other)
