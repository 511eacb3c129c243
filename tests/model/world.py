"""The writers' side of the model: real files, and of every line that was written whether it must arrive.

Each line is written once and is unlike any other, so that a line that comes twice, comes changed or never existed is seen by its
text alone. A file here is an inode, whatever its names: lines keep their order in it.

What may be lost, and nothing else:

- what a truncation removes before it was read, and after a kill also what was read but not settled;
- what is in a file that is deleted before the source has seen it, or in one that is deleted and that the source, killed since,
  no longer holds open;
- what is in a file that is renamed before the source has seen it, where it does not know the file that had the name before, or
  that one was deleted instead of renamed;
- a line that is completed long after its file was rotated may come in two parts;
- what is written to a rotated file that has rested and is deleted before the source looks at it again;
- what is written to a file under no name that is watched, once the source has let go of it.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.model.files import File, Identity, Line, Partial

LIVE = "app.log"
ROTATIONS = 3
LINK = "link.log"
NUMBER = 7
"""Digits that each line begins with. No part of a line is shorter: it would be like others, and a hole of one NUL is UTF-16."""
PATIENCE = 5.0
"""Seconds after which the unfinished last line of a rotated file may be taken as it is."""


class World:
    """`watched` is whether the source looks for files of this path's name; `holds` is whether it has the inode open; `finds`,
    whether it will look for that inode when it starts; `was_read`, whether this life of it has fed a line, or an earlier one has
    had it settled."""

    def __init__(
        self,
        root: Path,
        rng: Random,
        now: Callable[[], float],
        watched: Callable[[Path], bool],
        holds: Callable[[Identity], bool],
        finds: Callable[[Identity], bool],
        was_read: Callable[[Line], bool],
    ) -> None:
        self.root, self.rng, self.now = root, rng, now
        self.watched, self.holds, self.finds, self.was_read = watched, holds, finds, was_read
        self.files: list[File] = []
        self.lines: dict[bytes, Line] = {}
        self.pieces: set[bytes] = set()
        """Parts of lines that may come by themselves: of a line that was never completed, or too late."""
        self.live: File | None = None
        self.linked: File | None = None
        self.append = rng.random() < 0.7
        self.copying = rng.random() < 0.4
        """Numbered files are copies, or they are renamed: nobody does both, or
        deletes what is copied and truncated."""
        self.met: File | None = None
        """The last file that the source has seen under this name. When that is renamed, it looks for others that had the name
        for a moment only; not when it is deleted."""
        self.met_before: File | None = None
        """The same when it was saved last."""
        self.targets = 0
        self.copies = 0

    # What writers do. Each is possible at any time, or does nothing.

    def create(self) -> None:
        if self.live is None or self.live.path != self.root / LIVE:
            self.live = self._new(self.root / LIVE)

    def write(self, count: int) -> None:
        """To what the writer has open: after `move`, that is the renamed file."""
        if self.live is not None:
            self._write(self.live, count)

    def partial(self) -> None:
        file = self.live
        if file is not None and file.partial is None:
            line = self._line(file)
            split = self.rng.randint(NUMBER, len(line.text))
            file.partial = Partial(line, split, self.now())
            file.write(line.text[:split])
            self.pieces.add(line.text[:split])

    def move(self) -> None:
        """The first half of a rotation: the file is renamed, and its writer goes on."""
        if not self.copying and self.live is not None and self.live.path == self.root / LIVE:
            self._shift(0)

    def _shift(self, first: int) -> None:
        """Each file from the `first` on gets the next number, the last one goes."""
        if (oldest := self._at(self.root / f"{LIVE}.{ROTATIONS}")) is not None:
            self._unlink(oldest)
        for number in range(ROTATIONS - 1, first - 1, -1):
            name = self.root / (f"{LIVE}.{number}" if number else LIVE)
            if (file := self._at(name)) is not None:
                file.path = self.root / f"{LIVE}.{number + 1}"
                os.rename(name, file.path)
                self._hide(file)

    def rotate(self) -> None:
        self.move()
        self.create()

    def late(self, count: int) -> None:
        """A second writer of a renamed file."""
        if (renamed := self._renamed()) and not self.copying:
            file = self.rng.choice(renamed)
            before, closed = len(file.lines), not self.holds(file.identity)
            self._write(file, count)
            for line in file.lines[before:]:
                line.late = closed

    def copytruncate(self) -> None:
        """The copy is the first of the numbered files, as with logrotate, or goes where nobody looks."""
        if (file := self.live) is None or file.path is None:
            return
        content = file.path.read_bytes()
        if self.copying and file.path == self.root / LIVE:
            self._shift(1)
            self._new(self.root / f"{LIVE}.1").write(content)
        else:
            self.copies += 1
            (self.root / f"copy-{self.copies}").write_bytes(content)
        os.truncate(file.path, 0)
        for line in file.lines:
            line.volatile = True
            if not self.was_read(line):
                line.must = False
        file.partial = None
        file.past += file.lines
        file.lines = []

    def delete(self) -> None:
        if not self.copying and self.live is not None and self.live.path is not None:
            self._unlink(self.live)
            self.live.close()
            self.live = None

    def compress(self) -> None:
        """As logrotate does it: a new file beside the renamed one, which then goes."""
        if not (renamed := self._renamed()):
            return
        file = renamed[-1]
        assert file.path is not None
        if file is self.live:
            return
        (self.root / f"{file.path.name}.gz").write_bytes(gzip.compress(file.path.read_bytes()))
        self._unlink(file)
        file.close()

    def swap(self) -> None:
        """A link that leads to a new file from now on; the old one keeps its name, which nobody watches."""
        self.targets += 1
        target = self.root / "targets" / f"{self.targets}.txt"
        target.parent.mkdir(exist_ok=True)
        before, self.linked = self.linked, self._new(target)
        if before is not None:
            self._hide(before)
        temporary = self.root / "targets" / "next"
        temporary.symlink_to(target)
        os.rename(temporary, self.root / LINK)

    def write_linked(self, count: int) -> None:
        if self.linked is not None:
            self._write(self.linked, count)

    def complete(self) -> None:
        """Every line that was begun ends."""
        for file in self.files:
            if file.partial is not None:
                self._write(file, 0)

    # What the model is told of the source.

    def seen(self) -> None:
        """The source has looked at all names, once, from the first to the last."""
        for file in self.files:
            if self.visible(file):
                file.known = True
                if file.path == self.root / LIVE:
                    self.met = file

    def killed(self, settled: Callable[[Line], bool]) -> None:
        self.met = self.met_before
        for file in self.files:
            file.known = False
            for line in (*file.past, *file.lines):
                if (line.volatile or not self.visible(file)) and not settled(line):
                    line.must = False

    def saved(self) -> None:
        self.met_before = self.met
        for file in self.files:
            file.remembered = file.known

    def visible(self, file: File) -> bool:
        """Under a name that is watched, or in the directory where it was when it was remembered."""
        if file.path is None:
            return False
        rotated = self.met is not None and file.path.name.startswith(f"{LIVE}.")
        return self.watched(file.path) or file is self.linked or file.remembered or rotated

    def _renamed(self) -> list[File]:
        return [file for file in self.files if file.path is not None and file.path.name.startswith(f"{LIVE}.")]

    def _new(self, path: Path) -> File:
        file = File(path, self.append)
        self.files.append(file)
        return file

    def _line(self, file: File) -> Line:
        number = len(self.lines)
        size = self.rng.choice((0, 5, 60, 60, 300, 5000))
        line = Line(number, b"%0*d%s." % (NUMBER, number, b" " + b"%x" % (number * 2654435761) * (size // 8)), file)
        self.lines[line.text] = line
        return line

    def _write(self, file: File, count: int) -> None:
        data, lines = b"", []
        if file.partial is not None:
            (line, size, since), file.partial = file.partial, None
            data, lines = line.text[size:] + b"\n", [line]
            if (file is self.live and file.path == self.root / LIVE) or self.now() - since < PATIENCE:
                self.pieces.discard(line.text[:size])
            else:
                self.pieces.add(line.text[size:])
                line.must = False
        for _ in range(count):
            lines.append(self._line(file))
            data += lines[-1].text + b"\n"
        file.write(data)
        for line in lines:
            file.lines.append(line)
            if file.path is None or not (self.watched(file.path) or file is self.linked):
                line.volatile = not file.remembered
                line.must &= self.holds(file.identity) or (file.path is not None and self.finds(file.identity))

    def _at(self, path: Path) -> File | None:
        return next((file for file in self.files if file.path == path), None)

    def _unlink(self, file: File) -> None:
        assert file.path is not None
        file.path.unlink()
        file.path = None
        if file is self.met:
            self.met = None
        self._hide(file)

    def _hide(self, file: File) -> None:
        """It has lost its name, or its link: if no other one is watched, only whoever holds it open can read it."""
        if self.visible(file):
            return
        held = file.known or self.holds(file.identity)
        for line in file.lines:
            line.volatile = True
            if (line.late or not held) and not self.was_read(line):
                line.must = False

    def close(self) -> None:
        for file in self.files:
            file.close()
