"""From what probes see to what we say: hysteresis with Kubernetes' names.

`success_threshold` and `failure_threshold` count results *in a row*, as the kubelet does. Two questions are asked of
every result, each with its own run: does it fail, and is it less than a pass? So `warn` neither hides a failure nor
counts as one::

    fail  after failure_threshold results in a row that fail
    warn  after failure_threshold results in a row that are not a pass
    pass  after success_threshold results in a row that are a pass

Out of `unknown` and `fail`, success_threshold results in a row that do not fail are enough, and the last of them says
whether it is `pass` or `warn`. A raw `unknown` (we could not look) counts for neither run, as the kubelet discards a
result when its prober fails; when nothing was known for `expire` seconds the state itself becomes `unknown`, and the
runs begin anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model.health import State


@dataclass(frozen=True, slots=True)
class Threshold:
    """The state of one check. Times are seconds on the caller's clock; `known` is that of the last known result."""

    success: int = 1
    failure: int = 3
    expire: float = 30.0
    state: State = State.UNKNOWN
    since: float = 0.0
    known: float = 0.0
    failing: int = 0
    """+n: n results in a row that failed; -n: n that did not."""
    passing: int = 0
    """+n: n results in a row that passed; -n: n that did not."""

    def step(self, raw: State, now: float) -> Threshold:
        """What `raw` at `now` makes of it."""
        if raw is State.UNKNOWN:
            return self.at(now)
        failing = _run(self.failing, raw is State.FAIL)
        passing = _run(self.passing, raw is State.PASS)
        state = self.state
        if failing >= self.failure:
            state = State.FAIL
        elif state in (State.UNKNOWN, State.FAIL):
            if -failing >= self.success:
                state = State.PASS if passing >= self.success else State.WARN
        elif passing >= self.success:
            state = State.PASS
        elif -passing >= self.failure:
            state = State.WARN
        return replace(self._to(state, now), known=now, failing=failing, passing=passing)

    def at(self, now: float) -> Threshold:
        """The same without a result: too long without one, and the state is `unknown`."""
        if self.state is State.UNKNOWN or now - self.known < self.expire:
            return self
        return replace(self._to(State.UNKNOWN, now), failing=0, passing=0)

    def _to(self, state: State, now: float) -> Threshold:
        return self if state is self.state else replace(self, state=state, since=now)


def _run(run: int, hit: bool) -> int:
    if hit:
        return run + 1 if run > 0 else 1
    return run - 1 if run < 0 else -1
