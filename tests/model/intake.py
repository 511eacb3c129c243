"""What stands behind the source in the model: takes lines, settles them when it is told, and loses what it had not settled
when it is killed, as a process does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from random import Random

from sidecar.model.logs import OFFSET_BITS

SLICE = 8
"""So many lines of a block are taken before the rest waits for room."""


@dataclass(slots=True)
class Taken:
    """One line that was fed: its stream, the mark behind it, and whether it is settled."""

    uid: bytes
    mark: int
    text: bytes
    settled: bool = False


class Broken(AssertionError):
    """The source has broken a promise."""


class RecordingStream:
    """One stream of one life of the source."""

    def __init__(self, intake: Intake, uid: bytes, start: int) -> None:
        self._intake, self.uid = intake, uid
        self.start = start
        self.mark = start
        self.taken: list[Taken] = []
        self.first = 0
        """How many of `taken` are settled, from the first on without a gap."""

    async def feed(
        self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None = None, iostream: str = ""
    ) -> None:
        if len(lines) != len(marks):
            raise Broken(f"{len(lines)} lines with {len(marks)} marks")
        for number, (line, mark) in enumerate(zip(lines, marks, strict=True)):
            if number % SLICE == 0:
                await self._intake.room()
            if mark <= self.mark:
                raise Broken(f"the mark of {line!r} does not rise: {mark} after {self.mark}")
            self.mark = mark
            taken = Taken(self.uid, mark, bytes(line))
            self.taken.append(taken)
            self._intake.took(taken)

    def safe(self, read_to: int) -> int:
        self.move()
        if self.first == len(self.taken):
            return max(read_to, self.mark)
        return self.taken[self.first - 1].mark if self.first else self.start

    async def flush(self) -> None: ...

    def move(self) -> None:
        while self.first < len(self.taken) and self.taken[self.first].settled:
            self.first += 1


@dataclass
class Intake:
    """Behind all lives of the source. `cap` is how many lines may wait; while it is down none is settled, and whoever feeds more
    than the cap waits."""

    rng: Random
    stays: Callable[[bytes], bool]
    """Whether this line can only come from one place, however often it comes."""
    cap: int = 40
    up: bool = True
    delivered: list[Taken] = field(default_factory=list)
    """Settled, in that order, in all lives."""
    places: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Of each text, where it came from the first time."""

    def __post_init__(self) -> None:
        self.streams: list[RecordingStream] = []
        self.waiting: list[Taken] = []
        self.opened = asyncio.Event()
        self.blocked = asyncio.Event()
        self.lives: list[list[Taken]] = [[]]
        """What was fed, in that order, by life of the source."""
        self.fed_now: set[bytes] = set()
        """Texts that were fed in this life."""
        self.settled: set[bytes] = set()
        """Texts that were settled in any."""

    def stream(self, uid: bytes, attributes: Mapping[str, str], start: int) -> RecordingStream:
        if any(stream.uid == uid and stream.mark > start for stream in self.streams):
            raise Broken(f"stream {uid!r} is opened again, at {start}, before the end of what was read")
        stream = RecordingStream(self, uid, start)
        self.streams.append(stream)
        return stream

    def took(self, taken: Taken) -> None:
        self.lives[-1].append(taken)
        self.fed_now.add(taken.text)
        self.waiting.append(taken)
        if not self.stays(taken.text) or taken.mark >> OFFSET_BITS:
            return  # a later generation that was not remembered begins as another file's first
        place = self.places.setdefault(taken.text, (taken.uid, taken.mark))
        if place != (taken.uid, taken.mark):
            raise Broken(f"{taken.text[:40]!r} came as {place}, and now as {(taken.uid, taken.mark)}")

    async def room(self) -> None:
        if self.up and len(self.waiting) >= self.cap:
            self.settle(1.0)
        while len(self.waiting) >= self.cap:
            self.opened.clear()
            self.blocked.set()
            await self.opened.wait()
        self.blocked.clear()

    def settle(self, share: float) -> None:
        """Some of what waits, in any order."""
        if not self.up:
            return
        kept = []
        for taken in self.waiting:
            if share < 1 and self.rng.random() > share:
                kept.append(taken)
                continue
            taken.settled = True
            self.settled.add(taken.text)
            self.delivered.append(taken)
        self.waiting = kept
        if len(kept) < self.cap:
            self.opened.set()

    def safe(self) -> dict[int, int]:
        """By stream of this life, how many lines are settled without a gap: these may never come again once that is saved."""
        for stream in self.streams:
            stream.move()
        return {id(stream): stream.first for stream in self.streams}

    def die(self, saved: Mapping[int, int], certain: Set[bytes]) -> list[bytes]:
        """All that waits is lost. Returns what was settled in this life after `saved`, and may come again: from the same place,
        if the uid is one of those that the source remembers together with something that was read."""
        for taken in self.lives[-1]:
            if taken.uid not in certain:
                self.places.pop(taken.text, None)
        again = [
            taken.text for stream in self.streams for taken in stream.taken[saved.get(id(stream), 0) :] if taken.settled
        ]
        self.streams, self.waiting, self.fed_now = [], [], set()
        self.lives.append([])
        self.opened.set()
        self.opened = asyncio.Event()
        self.blocked = asyncio.Event()
        return again
