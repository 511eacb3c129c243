"""kind: process. The neighbour's process is there, and is neither stopped nor a zombie."""

from __future__ import annotations

from collections.abc import Iterable

from ..model.health import Result, State
from .base import CheckConfig, Context

KIND = "process"


class Config(CheckConfig, frozen=True, kw_only=True):
    """Which process that is, `target.process` says."""


def misses(config: Config, target_url: str | None) -> Iterable[tuple[str, str, str]]:
    """Nothing that the configuration alone shows: the process is found, or not, as things run."""
    return ()


class ProcessProbe:
    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self._process = context.process

    async def check(self) -> Result:
        sample = self._process()
        if sample.unseen is not None:
            return Result(State.UNKNOWN, f"{sample.unseen.reason}; {sample.unseen.remedy}")
        if not sample.found:
            return Result(State.FAIL, sample.why)
        if sample.trouble:
            return Result(State.FAIL, sample.trouble)
        who = f"{sample.name} (pid {sample.pid})"
        others = f" and {sample.pids - 1} below it" if sample.pids > 1 else ""
        return Result(State.PASS, f"{who}{others}: {sample.state}")
