"""One stream that an API tells line by line, each behind its timestamp: where it was read to, and where it is settled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

from ..io.http_stream import HttpStream
from ..logic.stamped_lines import StampedLines
from ..model.counters import LogCounters
from ..model.logs import ORDINAL_BITS
from .base import Stream

STAMP = 64
"""Bytes that the API puts before a line, at most."""

_MOST_BLOCKS = 1000


class ApiStream:
    def __init__(self, stream: Stream, iostream: str, max_line: int, counters: LogCounters, read_to: int) -> None:
        """`read_to` is the mark behind which lines are new."""
        self.lines = StampedLines(max_line, counters, read_to)
        self._stream = stream
        self._iostream = iostream
        self._fed = read_to
        self._unsettled: deque[tuple[int, int]] = deque()
        """Block by block the mark of the last line, and the time of the first."""

    async def feed(self, messages: Sequence[bytes]) -> None:
        """Messages as `StampedLines` takes them. Returns when there is room for more."""
        lines, marks, times = self.lines.feed(messages)
        if not lines:
            return
        if len(self._unsettled) < _MOST_BLOCKS:
            self._unsettled.append((marks[-1], times[0]))
        else:
            self._unsettled[-1] = (marks[-1], self._unsettled[-1][1])
        await self._stream.feed(lines, marks, times, self._iostream)
        self._fed = marks[-1]

    async def flush(self) -> None:
        await self._stream.flush()

    @property
    def settled(self) -> int:
        return self._stream.safe(self._fed)

    @property
    def oldest(self) -> int | None:
        """When the oldest line was written that is not settled, in unix nanoseconds."""
        settled = self.settled
        while self._unsettled and self._unsettled[0][0] <= settled:
            self._unsettled.popleft()
        return self._unsettled[0][1] if self._unsettled else None


async def pour(
    answer: HttpStream,
    take: Callable[[bytes], Awaitable[None]],
    flush: Callable[[], Awaitable[None]],
    silence: float,
) -> None:
    """Give an answer piece by piece to `take`, and call `flush` at its end, or when nothing has come for `silence` seconds: some
    engines and kubelets lose the thread when they rotate their files, and do not say so."""
    while True:
        try:
            async with asyncio.timeout(silence) as patience:
                data = await answer.read()
        except TimeoutError:
            if not patience.expired():  # the connection's own
                raise
            break
        if not data:
            break
        await take(data)
    await flush()


def uid_of(*names: str) -> bytes:
    """The same for the same names, 16 hex digits."""
    return blake2b("\0".join(names).encode(), digest_size=8).hexdigest().encode()


def show_mark(mark: int) -> list[int]:
    """For JSON, whose integers end at 64 bits."""
    return [mark >> ORDINAL_BITS, mark & ((1 << ORDINAL_BITS) - 1)]


def read_mark(shown: object) -> int:
    """Raises `ValueError` for what this program has not written."""
    match shown:
        case [int(nanoseconds), int(ordinal)]:
            return nanoseconds << ORDINAL_BITS | ordinal
    raise ValueError(f"not a mark: {shown!r}")
