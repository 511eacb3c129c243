"""A file source that tests drive by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from sidecar.io.clock import Clock
from sidecar.io.resolver import Resolver
from sidecar.logs.base import SourceContext
from sidecar.logs.settings import Files
from sidecar.logs.sources.file import FileSource
from sidecar.model.counters import LogCounters
from tests.fakes import FakeClock, RecordingIntake, RecordingStream


class Follower:
    """A file source that a test drives round by round; `crash` starts another from the last checkpoint."""

    def __init__(
        self,
        *patterns: Path,
        remembered: Mapping[str, object] | None = None,
        clock: Clock | None = None,
        intake: RecordingIntake | None = None,
        **settings: Any,
    ) -> None:
        self.settings = settings
        self.patterns = patterns
        self.clock = clock or FakeClock()
        self.intake = intake or RecordingIntake()
        self.counters = LogCounters()
        self.said: list[dict[str, Any]] = []
        log = structlog.wrap_logger(
            None, processors=[self._hear], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        self.source = FileSource(
            Files(file=tuple(map(str, patterns)), **settings),
            SourceContext("app", self.intake, self.clock, Resolver(), self.counters, remembered or {}, log),
        )

    def _hear(self, _: object, level: str, event: Any) -> Any:
        self.said.append(dict(event))
        raise structlog.DropEvent

    async def read(self) -> list[bytes]:
        """Everything there is now."""
        while await self.source.poll():
            pass
        return self.intake.lines

    async def after(self, seconds: float) -> list[bytes]:
        assert isinstance(self.clock, FakeClock)
        await self.clock.advance(seconds)
        await self.read()
        return await self.read()

    def saved(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(json.dumps(self.source.checkpoint()))
        return found

    def inodes(self) -> list[int]:
        files: list[dict[str, int]] = self.saved().get("files", [])  # type: ignore[assignment]
        return [file["inode"] for file in files]

    def crash(self) -> Follower:
        return self.restart(self.saved())

    def restart(self, saved: Mapping[str, object]) -> Follower:
        self.source._table.close()
        return Follower(*self.patterns, remembered=saved, clock=self.clock, **self.settings)

    def stream(self, *start: bytes) -> RecordingStream:
        return next(stream for stream in self.intake.streams if stream.lines[: len(start)] == list(start))


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
