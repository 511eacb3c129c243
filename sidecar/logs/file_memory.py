"""What the file source remembers over a restart, as JSON values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from ..logic.tail import FileId, Fingerprint
from ..model.logs import OFFSET_BITS
from .followed_file import FollowedFile


class Remembered(msgspec.Struct, frozen=True):
    """A file: which, where everything is settled (`mark`), and how it was recognised where it was read to (`fingerprint`).

    A `mark` of an older generation than `generation` means that lines are not settled which the file no longer holds.
    """

    uid: str
    device: int
    inode: int
    path: str
    origin: str
    attributes: dict[str, str]
    generation: int
    mark: int
    fingerprint: Fingerprint
    size: int
    changed: int
    rotated: bool

    @property
    def id(self) -> FileId:
        return FileId(self.device, self.inode)

    @property
    def offset(self) -> int:
        return self.mark & (1 << OFFSET_BITS) - 1 if self.mark >> OFFSET_BITS == self.generation else 0

    @property
    def unread(self) -> int:
        return max(0, self.size - self.offset)


class Left(msgspec.Struct, frozen=True):
    """What a file that has lost its name leaves to those that had the name after it: `changed` is when it was written to, as
    far as is known. They were written to after that."""

    attributes: dict[str, str]
    changed: int


class LetGo(msgspec.Struct, frozen=True):
    """A file that is not followed any more, for good or for now: not to be taken for one that nobody has read."""

    device: int
    inode: int
    fingerprint: Fingerprint


class Memory(msgspec.Struct):
    """`set_aside` were read to where their fingerprint is; of those in `let_go` there was nothing to read."""

    files: list[Remembered]
    left: dict[str, Left] = {}
    let_go: list[LetGo] = []
    set_aside: list[LetGo] = []


def remember(
    files: Iterable[FollowedFile],
    left: Mapping[str, Left],
    let_go: Mapping[FileId, Fingerprint],
    set_aside: Mapping[FileId, Fingerprint],
) -> dict[str, object]:
    kept = [
        Remembered(
            uid=file.uid,
            device=file.id.device,
            inode=file.id.inode,
            path=file.path,
            origin=file.origin,
            attributes=dict(file.attributes),
            generation=file.generation,
            mark=file.settled,
            fingerprint=file.fingerprint,
            size=file.seen.size,
            changed=file.seen.changed,
            rotated=file.rotated,
        )
        for file in files
    ]
    return remembered_as(Memory(kept, dict(left), _let_go(let_go), _let_go(set_aside)))


def _let_go(files: Mapping[FileId, Fingerprint]) -> list[LetGo]:
    return [LetGo(*id_, fingerprint) for id_, fingerprint in files.items()]


def remembered_as(memory: Memory) -> dict[str, object]:
    """What `recall` reads."""
    files = [msgspec.structs.replace(file, path=_json(file.path), origin=_json(file.origin)) for file in memory.files]
    found: dict[str, object] = msgspec.to_builtins(
        Memory(files, {_json(path): each for path, each in memory.left.items()}, memory.let_go, memory.set_aside)
    )
    return found


def recall(remembered: Mapping[str, object]) -> Memory:
    """Nothing at the first start. Raises `ValueError` for what this program has not written."""
    if not remembered:
        return Memory([])
    memory = msgspec.convert(remembered, Memory)
    return Memory(
        [msgspec.structs.replace(file, path=_path(file.path), origin=_path(file.origin)) for file in memory.files],
        {_path(path): each for path, each in memory.left.items()},
        memory.let_go,
        memory.set_aside,
    )


def _json(path: str) -> str:
    """A file's name is bytes, JSON has only text."""
    return os.fsencode(path).decode("latin-1")


def _path(text: str) -> str:
    return os.fsdecode(text.encode("latin-1"))
