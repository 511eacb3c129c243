"""After a restart: the files that were followed are found again, wherever they are now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from ..io.local_files import holds_at, meet, siblings
from ..logic.tail import FileId, Seen, is_rotated
from .file_memory import Left, Memory, Remembered
from .file_table import FileTable
from .followed_file import FollowedFile
from .open_files import is_still

Found = dict[FileId, tuple[str, Seen]]


def restore(table: FileTable, memory: Memory, matched: Iterable[str], now: float) -> None:
    """By inode among what the patterns match and beside where they were, else as copies. What cannot be found is counted as lost
    in so far as it was not settled."""
    there = _there(memory, matched)
    table.left.update(memory.left)
    table.was_let_go.update({FileId(each.device, each.inode): each.fingerprint for each in memory.let_go})
    table.set_aside.update({FileId(each.device, each.inode): each.fingerprint for each in memory.set_aside})
    latest: dict[str, Left] = {}
    intact = set()
    for known in memory.files:
        if known.origin not in latest or latest[known.origin].changed < known.changed:
            latest[known.origin] = Left(known.attributes, known.changed)
        found = _find(table, known, there)
        if found is None:
            which = "a file of logs that had this name" if os.path.lexists(known.path) else "a file of logs"
            table.lose(known.path, known.unread, f"{which} has vanished while nobody followed it")
            continue
        path, seen = os.path.realpath(found[0]), found[1]
        file = FollowedFile(known.uid, path, seen, now=now, generation=known.generation, offset=known.offset)
        file.attributes, file.origin = known.attributes, known.origin
        file.expected = known.fingerprint
        file.sure_size = known.size
        file.doubted = True
        file.rotated = known.rotated or path != known.path
        table.enter(file)
        # Its inode, freed when it was deleted, may be that of the file that has its name now.
        if not file.rotated and known.fingerprint.length and holds_at(known.fingerprint, path, seen, unseen=True):
            intact.add(known.origin)
    for origin in latest.keys() - intact:
        table.left.setdefault(origin, latest[origin])


def _there(memory: Memory, matched: Iterable[str]) -> Found:
    found: Found = {}
    paths = {path for known in memory.files for path in (known.path, known.origin)}
    for directory in sorted({os.path.dirname(path) for path in paths}):
        found |= {seen.id: (path, seen) for path, seen in siblings(directory, lambda name: True)}
    for path in matched:
        try:
            _, seen = meet(path)
        except OSError:
            continue  # said by whoever tries to read it
        found[seen.id] = (path, seen)
    return found


def _find(table: FileTable, known: Remembered, there: Found) -> tuple[str, Seen] | None:
    found = there.get(known.id)
    directory, name = os.path.split(known.origin)
    if found and (os.path.realpath(found[0]) == known.path or is_still(known.origin, known.fingerprint, *found)):
        return found
    # Its inode was given to another file, or it was copied back.
    copy = table.find_copy(known.fingerprint, directory, name.__eq__)
    return copy or table.find_copy(known.fingerprint, directory, partial(is_rotated, name))
