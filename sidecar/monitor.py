"""Runs the probes on their schedules and keeps the board: the current truth about every check.

One task a check, so that a probe which hangs delays no other. Each look has a deadline; what a probe raises becomes a
result. Listeners hear of every change of state once, after the board has it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from .io.clock import Clock
from .logic.printable import printable
from .logic.rollup import rollup
from .logic.scalars import show_duration
from .logic.startup import Startup
from .logic.threshold import Threshold
from .model.health import Check, CheckReport, Flag, Result, Role, State, Transition, Verdict
from .probes.base import CheckConfig, Probe

JITTER = 0.1
"""Each period is longer or shorter by up to this share, so that a fleet does not look in step."""
MAX_OUTPUT = 1024
SPREAD = 1.0
"""The first look comes within this many seconds (or a tenth of the period, if less) of the start."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A check as configured: its kind's name, its settings and the probe that looks.

    `of_target` says that it looks at the target itself, and not at something that the target depends on.
    """

    kind: str
    config: CheckConfig
    probe: Probe
    of_target: bool = False


@dataclass(slots=True)
class _Entry:
    watched: Watched
    threshold: Threshold
    since: float
    """Unix seconds of the last change of state; the thresholds' own clock stands still while the machine sleeps."""
    result: Result = field(default_factory=lambda: Result(State.UNKNOWN, "not looked at yet"))
    runs: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    transitions: int = 0
    last_run: float | None = None
    last_success: float | None = None
    duration: float | None = None


class Monitor:
    """`run()` until cancelled; everything else may be asked at any time, also before and after."""

    def __init__(
        self,
        checks: Mapping[str, Watched],
        clock: Clock,
        rng: random.Random,
        listeners: Sequence[Callable[[Transition], None]] = (),
        trouble: Callable[[], str] = str,
    ) -> None:
        """`trouble` says why the target's process cannot answer, where that is known: it completes a silence."""
        self._clock = clock
        self._trouble = trouble
        self._rng = rng
        self._listeners = list(listeners)
        self._startup = Startup.of(frozenset(n for n, w in checks.items() if w.config.role is Role.STARTUP))
        self._gate = asyncio.Event()
        now = clock.now()
        self._board = {name: _Entry(watched, self._fresh(watched.config), now) for name, watched in checks.items()}
        self._verdicts: dict[Role | None, Verdict] = {}
        self._roll(self.checks(), now)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in self._board:
                tasks.create_task(self._watch(name), name=f"check {name}")
            await asyncio.Event().wait()  # also with no checks it runs until it is cancelled

    async def once(self) -> Mapping[str, Result]:
        """One look at every check, all at once, without schedule, gate and thresholds."""
        names = list(self._board)
        results = await asyncio.gather(*(self._look(self._board[name].watched) for name in names))
        return dict(zip(names, results, strict=True))

    def listen(self, listener: Callable[[Transition], None]) -> None:
        self._listeners.append(listener)

    def checks(self) -> list[CheckReport]:
        """Every check now, in the order of the configuration. Time passing alone can make one `unknown`."""
        return [self._report(name, entry) for name, entry in self._board.items()]

    def verdict(self, role: Role | None = None) -> Verdict:
        """Over all checks, or over those of one role: a gate, with its own `since` and reasons."""
        self._roll(self.checks(), self._clock.now())
        return self._verdicts[role]

    def runs(self) -> dict[str, dict[State, int]]:
        """How often each check has been run, by what it saw."""
        return {name: dict(entry.runs) for name, entry in self._board.items()}

    def transitions(self) -> dict[str, int]:
        return {name: entry.transitions for name, entry in self._board.items()}

    def service_restarted(self) -> None:
        """The neighbour has started anew: with startup checks, the gate closes until they have passed again."""
        if not self._startup.checks:
            return
        self._startup = self._startup.restarted()
        for name, entry in self._board.items():
            if entry.watched.config.role is not Role.NONE:
                self._move(name, self._fresh(entry.watched.config), "the service has started anew")
        self._wake()

    async def _watch(self, name: str) -> None:
        entry = self._board[name]
        config = entry.watched.config
        spread = self._rng.random() * min(SPREAD, config.period / 10)
        await self._clock.sleep(config.initial_delay + spread)
        while True:
            while not self._startup.runs(name, config.role):
                await self._gate.wait()
            started = self._clock.monotonic()
            result = await self._look(entry.watched)
            self._settle(name, result, self._clock.monotonic() - started)
            period = config.period * (1 + self._rng.uniform(-JITTER, JITTER))
            await self._clock.sleep(max(0.0, started + period - self._clock.monotonic()))

    async def _look(self, watched: Watched) -> Result:
        """One look. What its output quotes was said by others, so it is made safe here, for everyone who shows it."""
        result = await self._seen_by(watched)
        return msgspec.structs.replace(result, output=printable(result.output, MAX_OUTPUT))

    async def _seen_by(self, watched: Watched) -> Result:
        """One look with its deadline. A probe that failed because of us is `unknown`, never `fail`."""
        timeout = watched.config.timeout
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(timeout):
                return await watched.probe.check()
        except TimeoutError:
            late = self._clock.monotonic() - started - timeout
            if late > max(timeout / 2, 0.25):
                return Result(State.UNKNOWN, f"the sidecar itself was late by {show_duration(round(late, 3))}")
            why = self._trouble() if watched.of_target else ""
            return Result(State.FAIL, f"no answer within {show_duration(timeout)}" + (f": {why}" if why else ""))
        except Exception as error:  # noqa: BLE001 - whatever a probe raises is a fact about us, and is shown
            return Result(State.UNKNOWN, f"the probe broke: {type(error).__name__}: {error}")

    def _settle(self, name: str, result: Result, duration: float) -> None:
        entry = self._board[name]
        if not self._startup.runs(name, entry.watched.config.role):
            return  # it was asked of the life before
        entry.result, entry.duration, entry.last_run = result, duration, self._clock.now()
        entry.runs[result.raw] += 1
        if result.raw in (State.PASS, State.WARN):
            entry.last_success = entry.last_run
        self._move(name, entry.threshold.step(result.raw, self._clock.monotonic()), result.output)
        opened = self._startup.step(name, entry.threshold.state)
        if opened is not self._startup:
            self._startup = opened
            if opened.open:
                self._wake()

    def _move(self, name: str, threshold: Threshold, output: str) -> None:
        entry = self._board[name]
        before, entry.threshold = entry.threshold, threshold
        if threshold.state is before.state:
            return
        entry.transitions += 1
        entry.since = self._clock.now()
        self._roll([self._shown(*item) for item in self._board.items()], entry.since)
        transition = Transition(check=name, before=before.state, after=threshold.state, at=entry.since, output=output)
        for listener in self._listeners:
            listener(transition)

    def _roll(self, checks: Sequence[Check], now: float) -> None:
        gates: dict[Role | None, Verdict] = {
            role: rollup([check for check in checks if check.role is role], self._verdicts.get(role), now, State.PASS)
            for role in (Role.LIVENESS, Role.READINESS, Role.STARTUP)
        }
        self._verdicts = {None: rollup(checks, self._verdicts.get(None), now), **gates}

    def _wake(self) -> None:
        """Let every task that waits for the gate look at it again."""
        gate, self._gate = self._gate, asyncio.Event()
        gate.set()

    def _fresh(self, config: CheckConfig) -> Threshold:
        now = self._clock.monotonic()
        # A result may come as late as a jittered period and its own deadline without anything being wrong.
        expire = config.period * (1 + JITTER) * config.failure_threshold + config.timeout
        return Threshold(config.success_threshold, config.failure_threshold, expire, since=now, known=now)

    def _report(self, name: str, entry: _Entry) -> CheckReport:
        if self._startup.runs(name, entry.watched.config.role):
            self._move(name, entry.threshold.at(self._clock.monotonic()), "nothing known for too long")
        return self._shown(name, entry)

    def _shown(self, name: str, entry: _Entry) -> CheckReport:
        config = entry.watched.config
        looked_at = self._startup.runs(name, config.role)
        starting = not self._startup.open and config.role is not Role.NONE
        return CheckReport(
            name=name,
            kind=entry.watched.kind,
            role=config.role,
            severity=config.severity,
            state=entry.threshold.state,
            raw=entry.result.raw,
            since=entry.since,
            flags=(Flag.STARTING,) if starting else (),
            output=entry.result.output if looked_at or not starting else "waits for the startup checks",
            observed=entry.result.observed,
            period=config.period,
            timeout=config.timeout,
            success_threshold=config.success_threshold,
            failure_threshold=config.failure_threshold,
            failing=max(0, entry.threshold.failing),
            runs=sum(entry.runs.values()),
            last_run=entry.last_run,
            last_success=entry.last_success,
            duration=entry.duration,
        )


def verdict_of(results: Mapping[str, Result], checks: Sequence[CheckReport], now: float) -> tuple[list[Check], Verdict]:
    """What one round of looks alone says: every raw result taken as the state."""
    looked = [
        Check(
            name=check.name,
            kind=check.kind,
            role=check.role,
            severity=check.severity,
            state=results[check.name].raw,
            raw=results[check.name].raw,
            since=now,
            output=results[check.name].output,
            observed=results[check.name].observed,
        )
        for check in checks
    ]
    return looked, rollup(looked, None, now)
