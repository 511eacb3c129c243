"""What every kind of check has in common: the protocol, the schedule's settings, and what a probe is given."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import msgspec

from ..io.resolver import Resolver
from ..logic.log_watch import LogWatch
from ..logic.scalars import Count, Duration, Rule, Timeout
from ..logic.schema import Checks
from ..model.health import Result, Role, Severity
from ..model.process import ProcessSample


class Probe(Protocol):
    """Looks once. May raise `OSError` and may hang: the caller has a deadline and turns both into a result."""

    async def check(self) -> Result: ...


class CheckConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Names, defaults and meaning are those of a Kubernetes container probe.

    https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """

    role: Role = Role.NONE
    severity: Severity = Severity.FAIL
    initial_delay: Duration = 0.0
    period: Annotated[Duration, Rule(lambda s: s >= 0.1, "is too short", "at least 100ms")] = 10.0
    timeout: Timeout = 1.0
    success_threshold: Count = 1
    failure_threshold: Count = 3

    def problems(self) -> Checks:
        if self.success_threshold > 1 and self.role in (Role.LIVENESS, Role.STARTUP):
            yield "success_threshold", f"{self.success_threshold} with role: {self.role}", "1, as in Kubernetes"


@dataclass(frozen=True, slots=True)
class Context:
    """What a probe is given beside its own settings. `process` says what the neighbour's process is now, `now` is unix seconds,
    and who is given to `watch` is told of the logs."""

    user_agent: str
    resolver: Resolver
    target_url: str | None
    process: Callable[[], ProcessSample]
    random: random.Random
    now: Callable[[], float]
    watch: Callable[[LogWatch], None]


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """One line of the table `PROBES`.

    `misses` says what a check of this kind lacks beside the target's URL that is configured (or None), in the form of
    `CheckConfig.problems`.
    """

    config: type[CheckConfig]
    probe: Callable[[Any, Context], Probe]
    misses: Callable[[Any, str | None], Iterable[tuple[str, str, str]]]
