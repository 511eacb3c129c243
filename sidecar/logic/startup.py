"""The startup gate: until every startup check has passed once, liveness and readiness are not looked at.

As in Kubernetes a startup check that has passed is not run again, until the service itself starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model.health import Role, State


@dataclass(frozen=True, slots=True)
class Startup:
    """`waiting` holds the names of startup checks that have not passed since the service's last start."""

    checks: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()

    @classmethod
    def of(cls, checks: frozenset[str]) -> Startup:
        return cls(checks, checks)

    def step(self, check: str, state: State) -> Startup:
        """A startup check reached `state`; `warn` is started too."""
        if check not in self.waiting or state not in (State.PASS, State.WARN):
            return self
        return replace(self, waiting=self.waiting - {check})

    def restarted(self) -> Startup:
        return replace(self, waiting=self.checks)

    @property
    def open(self) -> bool:
        return not self.waiting

    def runs(self, check: str, role: Role) -> bool:
        """Whether a check is looked at now."""
        match role:
            case Role.STARTUP:
                return check in self.waiting
            case Role.LIVENESS | Role.READINESS:
                return self.open
            case Role.NONE:
                return True
