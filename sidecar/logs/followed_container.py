"""One container whose output is followed: when it has to be read, from where, and what of it is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ..io.docker_api import Container, DockerApi
from ..logic.carry import Carry
from ..logic.docker_frames import Frames
from ..logic.stamped_lines import since
from ..model.logs import ORDINAL_BITS
from .api_stream import STAMP, ApiStream, pour, read_mark, show_mark, uid_of
from .base import SourceContext

OUTPUTS = ("stdout", "stderr")
LONGEST = 30.0
"""Seconds between readings while they fail."""
SILENCE = 900.0
"""Seconds without a line, after which the engine is asked again."""
PATIENCE = 10.0
"""Seconds after which a reading is given up that does not end, though its container has gone or was started again."""


class Memory:
    """Where a container's output was settled when the last run ended: by output the last mark, and the time from which on
    lines may be missing."""

    def __init__(self, marks: Mapping[str, int], begin: int) -> None:
        self.marks = marks
        self.begin = begin

    @classmethod
    def read(cls, shown: object) -> Memory:
        """From JSON values. Raises `ValueError`."""
        match shown:
            case {"stdout": out, "stderr": err, "from": int(begin)}:
                return cls({"stdout": read_mark(out), "stderr": read_mark(err)}, begin)
        raise ValueError(f"not a container: {shown!r}")

    def show(self) -> dict[str, object]:
        return {**{output: show_mark(mark) for output, mark in self.marks.items()}, "from": self.begin}

    @classmethod
    def at(cls, nanoseconds: int) -> Memory:
        """All that was written until then is to be left out."""
        return cls(dict.fromkeys(OUTPUTS, nanoseconds << ORDINAL_BITS), nanoseconds)


class FollowedContainer:
    """A *reading* is one answer of the engine: all output from a time on, and while the container runs, until it ends."""

    def __init__(self, container: Container, memory: Memory, max_line: int, context: SourceContext) -> None:
        self.id = container.id
        self.name = container.name.removeprefix("/")
        self.task: asyncio.Task[None] | None = None
        """The reading that goes on."""
        self.failures = 0
        """Readings in a row that broke."""
        self.foreign = b""
        """What the engine itself said among the lines of the last reading."""
        self.container = container
        self._max_line = max_line
        self._counters = context.counters
        self._from = memory.begin
        """Nothing is missing of what was written before this time."""
        self._retry_at = 0.0
        self._seen_at = 0.0
        self._started_at = 0.0
        """When it was seen to have been started again."""
        self._reading = container.state
        """What was known when the last reading began."""
        self._finished = ""
        """The start whose output was read to its end."""
        self._feeds = False
        attributes = _attributes(self.id, self.name, container.config.image)
        self._outputs: dict[str, ApiStream] = {}
        for output in OUTPUTS[:1] if container.config.tty else OUTPUTS:
            mark = memory.marks[output]
            stream = context.intake.stream(uid_of(self.id, output), attributes, mark)
            self._outputs[output] = ApiStream(stream, output, max_line, context.counters, mark)

    @property
    def memory(self) -> Memory:
        marks = dict.fromkeys(OUTPUTS, 0) | {output: each.settled for output, each in self._outputs.items()}
        return Memory(marks, self.oldest or self._from)

    @property
    def oldest(self) -> int | None:
        """When the oldest line was written that is not settled, in unix nanoseconds."""
        return min((oldest for each in self._outputs.values() if (oldest := each.oldest)), default=None)

    # What the source decides by; `now` is of the monotonic clock.

    def seen(self, container: Container, now: float) -> None:
        if container.state.started_at != self.container.state.started_at:
            self._started_at = now
        self.container = container
        self._seen_at = now

    def is_due(self, now: float) -> bool:
        """Should a reading begin?"""
        state = self.container.state
        return not self.is_read and now >= self._retry_at and (state.running or self._finished != state.started_at)

    def begin(self, task: asyncio.Task[None]) -> None:
        """`task` is about to `read`."""
        self.task = task
        self._reading = self.container.state

    def is_stuck(self, now: float) -> bool:
        """Does a reading go on that should have ended, though all that it brought was taken?"""
        was_restarted = self._reading.started_at != self.container.state.started_at
        over_since = self._started_at if was_restarted else self._seen_at
        return self.is_read and not self._feeds and now - over_since > PATIENCE

    def has_gone(self, now: float) -> bool:
        """Is there nothing more to be had, and nothing to be remembered?"""
        return not self.is_read and self._seen_at < now and self.oldest is None

    @property
    def is_read(self) -> bool:
        return self.task is not None and not self.task.done()

    def failed(self, now: float) -> None:
        self.failures += 1
        self._retry_at = now + min(LONGEST, 2.0 ** min(self.failures - 1, 5))

    # Reading.

    async def read(self, api: DockerApi) -> None:
        """One reading. Raises `OSError`, or `ValueError` where what comes is no container's output."""
        state = self._reading
        self.foreign = b""
        for each in self._outputs.values():
            each.lines.begin()
        answer = await api.logs(self.id, since(self._from), follow=state.running, patience=SILENCE)
        if answer is None:
            return
        try:
            await pour(answer, self._taker(), self._flush, SILENCE)
        finally:
            answer.close()
        if not state.running:
            self._finished = state.started_at

    def _taker(self) -> Callable[[bytes], Awaitable[None]]:
        most = self._max_line + STAMP
        if self.container.config.tty:
            carry = Carry(most, self._counters)
            return lambda data: self._feed("stdout", carry.lines(data))
        frames = Frames(most, self._counters)

        async def take(data: bytes) -> None:
            for output, messages in zip(OUTPUTS, frames.feed(data), strict=True):
                await self._feed(output, messages)
            self.foreign = frames.foreign

        return take

    async def _feed(self, output: str, messages: list[bytes]) -> None:
        if not messages:
            return
        self._feeds = True
        await self._outputs[output].feed(messages)
        self._feeds = False
        self.failures = 0
        self._from = max(self._from, self._outputs[output].lines.position >> ORDINAL_BITS)

    async def _flush(self) -> None:
        for each in self._outputs.values():
            await each.flush()


def _attributes(name: str, container: str, image: str) -> dict[str, str]:
    stem, _, tag = image.partition("@")[0].rpartition(":")
    return {
        "container.id": name,
        "container.name": container,
        "container.image.name": stem if stem and "/" not in tag else image.partition("@")[0],
    }
