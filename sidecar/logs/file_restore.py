"""After a restart: the files that were followed are found again, wherever they are now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..io.local_files import holds_at, meet, siblings
from ..logic.tail import FileId, Seen, is_rotated
from .file_memory import Left, Memory, Remembered
from .file_table import FileTable
from .followed_file import FollowedFile
from .open_files import is_still

MOST_COMPARED = 20_000
"""Looks into files, in search of those that are not there any more."""


class There(NamedTuple):
    """Files where those that are remembered may be: by inode, and by directory."""

    files: dict[FileId, tuple[str, Seen]]
    directories: dict[str, list[tuple[str, Seen]]]


def look_there(memory: Memory, matched: Iterable[str]) -> There:
    """Blocks. `matched` is what the patterns match."""
    paths = {path for known in memory.files for path in (known.path, known.origin)}
    directories = {
        directory: siblings(directory, lambda name: True)
        for directory in sorted({os.path.dirname(path) for path in paths})
    }
    files = {seen.id: (path, seen) for directory in directories.values() for path, seen in directory}
    for path in matched:
        try:
            _, seen = meet(path)
        except OSError:
            continue  # said by whoever tries to read it
        files[seen.id] = (path, seen)
    return There(files, directories)


def restore(table: FileTable, memory: Memory, there: There, now: float) -> Iterator[None]:
    """A step for each file: those that are there by their inode, then the others, as copies. What cannot be found is counted as
    lost in so far as it was not settled."""
    table.left.update(memory.left)
    table.was_let_go.update({FileId(each.device, each.inode): each.fingerprint for each in memory.let_go})
    table.set_aside.update({FileId(each.device, each.inode): each.fingerprint for each in memory.set_aside})
    latest: dict[str, Left] = {}
    intact = set()
    missing = []
    for known in memory.files:
        yield
        if known.origin not in latest or latest[known.origin].changed < known.changed:
            latest[known.origin] = Left(known.attributes, known.changed)
        found = _trusted(there.files.get(known.id))
        if not found or not (found[0] == known.path or is_still(known.origin, known.fingerprint, *found)):
            missing.append(known)  # its inode was given to another file, or it was copied back
            continue
        file = _enter(table, known, *found, now)
        # Its inode, freed when it was deleted, may be that of the file that has its name now.
        if not file.rotated and known.fingerprint.length and holds_at(known.fingerprint, *found, unseen=True):
            intact.add(known.origin)
    left = iter(range(MOST_COMPARED))
    copies = {origin: _beside(origin, there) for origin in {known.origin for known in missing}}
    for known in missing:
        yield
        among = (one for one in copies[known.origin] if one[1].id not in table.files)
        if found := _trusted(table.copies.find(known.fingerprint, (one for one, _ in zip(among, left, strict=False)))):
            _enter(table, known, *found, now)
            continue
        which = "a file of logs that had this name" if os.path.lexists(known.path) else "a file of logs"
        table.lose(known.path, known.unread, f"{which} has vanished while nobody followed it")
    for origin in latest.keys() - intact:
        table.left.setdefault(origin, latest[origin])


def _enter(table: FileTable, known: Remembered, path: str, seen: Seen, now: float) -> FollowedFile:
    file = FollowedFile(known.uid, path, seen, now=now, generation=known.generation, offset=known.offset)
    file.attributes, file.origin = known.attributes, known.origin
    file.expected = known.fingerprint
    file.sure_size = known.size
    file.doubted = True
    file.rotated = known.rotated or path != known.path
    table.enter(file)
    return file


def _beside(origin: str, there: There) -> list[tuple[str, Seen]]:
    """Files that may be a copy of one with this name: the one that has it, and then those that the usual programs call so."""
    directory, name = os.path.split(origin)
    beside = there.directories[directory]
    same = [one for one in beside if one[0] == origin]
    return same + [one for one in beside if is_rotated(name, os.path.basename(one[0]))]


def _trusted(found: tuple[str, Seen] | None) -> tuple[str, Seen] | None:
    """By its path without links; None where others have put one on the way, or another file."""
    if found is None:
        return None
    try:
        real, seen = meet(found[0])
    except OSError:
        return None
    return (real, seen) if seen.id == found[1].id else None
