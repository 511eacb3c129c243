"""What container runtimes wrap around each line in their files, taken off again.

CRI (containerd, CRI-O, podman's k8s-file): `2024-01-02T03:04:05.123456789Z stdout F text`, a long line in several of them, all
but the last with `P`. Docker's json-file: `{"log":"text\\n","stream":"stdout","time":"2024-01-02T03:04:05.123456789Z"}`, a
long line in several of them, all but the last without `\\n`.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from ..model.counters import LogCounters
from .stamps import Stamps

Kind: TypeAlias = Literal["cri", "docker"]

_CRI = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) [FP](?::\S*)?(?: |$)"
)
_DOCKER = re.compile(rb'\{"log":".*,"time":"\d{4}-\d\d-\d\dT[^"]*"\}$', re.DOTALL)


def detect(lines: Sequence[bytes]) -> Kind | None:
    """What `lines`, the first of a stream, are wrapped in; all of them must be, and one is enough."""
    if lines and all(map(_CRI.match, lines)):
        return "cri"
    if lines and all(map(_DOCKER.match, lines)):
        return "docker"
    return None


class Unwrapped(NamedTuple):
    """Lines as the program wrote them, without line ends, of one `iostream`. `times` are when the runtime read each; 0, and no
    `iostream`, where a line was not wrapped and is as it was."""

    lines: Sequence[bytes]
    marks: Sequence[int]
    times: Sequence[int]
    iostream: str


class _Entry(NamedTuple):
    text: bytes
    time: int
    iostream: str
    is_whole: bool


class Unwrapper:
    """One stream. The marks of what it returns rise, over all of it: output to stdout and stderr comes in runs."""

    def __init__(self, kind: Kind, max_line: int, counters: LogCounters, start: int = 0) -> None:
        """Lines of more than `max_line` bytes are cut there, and counted. `start` is the mark before the first line."""
        self._max_line = max_line
        self._counters = counters
        self._before = start
        self._wrapping = _Cri() if kind == "cri" else _Docker()
        self._parts: dict[str, _Part] = {}

    @property
    def pending(self) -> int | None:
        """The mark before the oldest part that waits for the end of its line: who goes on there loses nothing. None: none
        waits."""
        return min((part.before for part in self._parts.values()), default=None)

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return sum(part.size for part in self._parts.values())

    def feed(self, lines: Sequence[bytes], marks: Sequence[int]) -> list[Unwrapped]:
        runs = _Runs()
        block = self._wrapping.block(lines) if lines else None
        if block is None:
            for line, mark in zip(lines, marks, strict=True):
                self._take(self._wrapping.entry(line), line, mark, runs)
        elif self._parts or not block.all_whole:
            for text, mark, time, iostream, whole in zip(
                block.texts, marks, block.times, block.iostreams, block.wholes, strict=True
            ):
                self._take(_Entry(text, time, iostream, whole), text, mark, runs)
        else:
            self._before = marks[-1]
            return block.runs(marks)
        return runs.all

    def flush(self) -> list[Unwrapped]:
        """The parts whose rest does not come any more. Lines of the other iostream that came after them have been returned
        before: here a mark may be smaller than those."""
        runs = _Runs()
        for iostream, part in sorted(self._parts.items(), key=lambda item: item[1].mark):
            runs.add(part.joined(self._counters), part.mark, part.time, iostream)
        self._parts.clear()
        return runs.all

    def _take(self, entry: _Entry | None, line: bytes, mark: int, runs: _Runs) -> None:
        if entry is None:
            runs.add(line, mark, 0, "")
        elif (part := self._parts.get(entry.iostream)) is not None or not entry.is_whole:
            if part is None:
                part = self._parts[entry.iostream] = _Part(entry.time, self._before, self._max_line)
            part.add(entry.text, mark)
            if entry.is_whole:
                del self._parts[entry.iostream]
                runs.add(part.joined(self._counters), mark, part.time, entry.iostream)
        else:
            runs.add(entry.text, mark, entry.time, entry.iostream)
        self._before = mark


class _Runs:
    def __init__(self) -> None:
        self.all: list[Unwrapped] = []
        self._iostream: str | None = None

    def add(self, line: bytes, mark: int, time: int, iostream: str) -> None:
        if iostream != self._iostream:
            self._iostream = iostream
            self._lines: list[bytes] = []
            self._marks: list[int] = []
            self._times: list[int] = []
            self.all.append(Unwrapped(self._lines, self._marks, self._times, iostream))
        self._lines.append(line)
        self._marks.append(mark)
        self._times.append(time)


class _Part:
    """The beginning of a line, and what has come behind it."""

    def __init__(self, time: int, before: int, room: int) -> None:
        self.time = time
        self.before = before
        self.mark = before
        self.size = 0
        self._room = room
        self._pieces: list[bytes] = []
        self._cut = 0

    def add(self, text: bytes, mark: int) -> None:
        self.mark = mark
        kept = text[: self._room]
        if kept:
            self._pieces.append(kept)
        self._room -= len(kept)
        self.size += len(kept)
        self._cut += len(text) - len(kept)

    def joined(self, counters: LogCounters) -> bytes:
        if self._cut:
            counters.cut_lines += 1
            counters.cut_bytes += self._cut
        return b"".join(self._pieces)


class _Block(NamedTuple):
    """Lines that are all wrapped, taken apart together."""

    texts: Sequence[bytes]
    times: Sequence[int]
    iostreams: Sequence[str]
    wholes: Sequence[bool]

    @property
    def all_whole(self) -> bool:
        return self.wholes.count(True) == len(self.wholes)

    def runs(self, marks: Sequence[int]) -> list[Unwrapped]:
        if self.iostreams.count(self.iostreams[0]) == len(self.iostreams):
            return [Unwrapped(self.texts, marks, self.times, self.iostreams[0])]
        runs, start = [], 0
        for iostream, same in groupby(self.iostreams):
            end = start + sum(1 for _ in same)
            runs.append(Unwrapped(self.texts[start:end], marks[start:end], self.times[start:end], iostream))
            start = end
        return runs


_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}


class _Cri:
    def __init__(self) -> None:
        self._stamps = Stamps()

    def block(self, lines: Sequence[bytes]) -> _Block | None:
        """All at once; None where one of them is something else."""
        try:
            stamps, streams, tags, texts = zip(*[line.split(b" ", 3) for line in lines], strict=True)
            if tags.count(b"F") + tags.count(b"P") != len(tags):
                return None
            times = self._stamps.read_all(stamps)
            return _Block(texts, times, [_STREAMS[stream] for stream in streams], [tag == b"F" for tag in tags])
        except (ValueError, KeyError):
            return None

    def entry(self, line: bytes) -> _Entry | None:
        if not _CRI.match(line):
            return None
        stamp, stream, tags, *text = line.split(b" ", 3)
        try:
            time = self._stamps.read(stamp)
        except ValueError:  # the 32nd of a month
            return None
        return _Entry(text[0] if text else b"", time, _STREAMS[stream], tags[:1] == b"F")


class _Logged(msgspec.Struct):
    log: str
    stream: str
    time: str


class _Docker:
    def __init__(self) -> None:
        self._stamps = Stamps()
        self._one = msgspec.json.Decoder(_Logged)
        self._all = msgspec.json.Decoder(list[_Logged])

    def block(self, lines: Sequence[bytes]) -> _Block | None:
        """All at once; None where one of them is something else, or from a terminal."""
        block = b"[" + b",".join(lines) + b"]"
        if b'\\r\\n"' in block:
            return None
        try:
            logged = self._all.decode(block)
            times = self._stamps.read_all([each.time.encode() for each in logged])
        except ValueError:  # msgspec's errors are ValueErrors
            return None
        if len(logged) != len(lines):
            return None
        texts = [each.log.encode() for each in logged]
        wholes = [text[-1:] == b"\n" for text in texts]
        iostreams = [each.stream for each in logged]
        return _Block([text.removesuffix(b"\n") for text in texts], times, iostreams, wholes)

    def entry(self, line: bytes) -> _Entry | None:
        try:
            logged = self._one.decode(line)
            time = self._stamps.read(logged.time.encode())
        except ValueError:
            return None
        text = logged.log.encode()
        if text[-1:] != b"\n":
            return _Entry(text, time, logged.stream, is_whole=False)
        return _Entry(text[:-1].removesuffix(b"\r"), time, logged.stream, is_whole=True)
