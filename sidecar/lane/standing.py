"""How an upstream stands with us: may anything be sent to it now, and if not, why and until when."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from ..io.clock import Clock
from ..logic.holds import ALL_FLOW, Holds
from ..logic.retry import HEALTHY, Retry, UpstreamState
from ..model.counters import UpstreamCounters
from ..model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split

_WORDS: Mapping[type[Outcome], str] = {
    Accepted: "accepted",
    PartlyAccepted: "partly_accepted",
    RetryLater: "retry_later",
    Hold: "hold",
    Split: "split",
    Rejected: "rejected",
}


class Standing:
    """The `Retry` of all signals and the `Holds` of single ones; `heard` steps both with each outcome."""

    def __init__(self, clock: Clock, rng: random.Random, counters: UpstreamCounters, rows: Callable[[], int]) -> None:
        """`rows` is how many wait in the spool."""
        self.well = True
        """Anything may be sent: `admits` and `takes` need not be asked."""
        self.full = False
        """The spool had no place when one was last asked for."""
        self.retry: Retry = HEALTHY
        self.holds: Holds = ALL_FLOW
        self.state, self.since = UpstreamState.OK, clock.now()
        """What is shown, and since when, unix seconds; `mark` brings it up to date."""
        self._clock = clock
        self._rng = rng
        self._counters = counters
        self._rows = rows

    def admits(self, flights: int) -> bool:
        """May a send start now, `flights` being in the air?"""
        return self.well or self.retry.admits(self._clock.monotonic(), flights)

    def takes(self, signal: Signal) -> bool:
        """May a send of this signal start, where any may?"""
        return self.well or self.holds.admits(signal, self._clock.monotonic())

    def not_now(self, signal: Signal) -> RetryLater | Hold:
        """What a producer is told of it where it may not be sent."""
        if self.retry.looped:
            return Hold(self.retry.why, looped=True)
        held = self.holds.signals.get(signal)
        by = held if held is not None and self.retry.state is UpstreamState.OK else self.retry
        return RetryLater(max(0.0, by.until - self._clock.monotonic()), by.why)

    def starts(self, signal: Signal) -> RetryLater | Hold | None:
        """A send of it starts; or why it may not, because things have changed since it was admitted: the first half of a batch
        met a failure, or another flight was the trial."""
        now = self._clock.monotonic()
        if (self.retry.state is not UpstreamState.OK and self.retry.until > now) or not self.takes(signal):
            return self.not_now(signal)
        self.holds = self.holds.tried(signal, now)
        return None

    def heard(self, signal: Signal, outcome: Outcome) -> None:
        """What the upstream says of a send."""
        counters = self._counters
        counters.sent(signal, _WORDS[type(outcome)])
        match outcome:
            case Accepted() | PartlyAccepted():
                counters.last_success_at = self._clock.now()
            case RetryLater(_, why) | Hold(why) | Split(why) | Rejected(why):
                counters.last_error = why
                counters.last_error_at = self._clock.now()
        if not self.well or type(outcome) is not Accepted:
            self.holds = self.holds.step(signal, outcome, self._clock.monotonic())
            self.judged(outcome)

    def judged(self, outcome: Outcome) -> None:
        """What is to be made of the upstream, which may be worse than what it says."""
        self.retry = self.retry.step(outcome, self._clock.monotonic(), self._rng.random())
        self.well = self.retry is HEALTHY and self.holds is ALL_FLOW
        self.mark()

    def mark(self) -> None:
        """Keep since when the state that is shown is what it is; one that changes unmarked counts from the next look."""
        state = self.retry.state
        if state is UpstreamState.OK and self.holds.signals and self.nothing_flows:
            state = UpstreamState.HELD
        if self.full and self._rows() > 0:
            state = UpstreamState.FULL
        if state is not self.state:
            self.state, self.since = state, self._clock.now()

    @property
    def nothing_flows(self) -> bool:
        """Is every signal held that the upstream was ever sent?"""
        return all(signal in self.holds.signals for signal, _ in self._counters.sends)

    @property
    def held(self) -> dict[Signal, str]:
        """Why, of those signals that the upstream does not have."""
        return {signal: held.why for signal, held in self.holds.signals.items()}

    @property
    def why(self) -> str:
        """Empty where all is well, or at least something flows."""
        why, held = self.retry.why, self.held
        if held and self.retry.state is UpstreamState.OK and self.nothing_flows:
            why = "; ".join(f"{signal}: {why}" for signal, why in held.items())
        return f"the spool is full; {why}".rstrip("; ") if self.state is UpstreamState.FULL else why

    @property
    def retry_in(self) -> float | None:
        """Seconds until the next trial, of the upstream or else of a signal; None where none is needed."""
        until = self.retry.until
        if self.retry.state is UpstreamState.OK:
            if not self.holds.signals:
                return None
            until = min(held.until for held in self.holds.signals.values())
        return max(0.0, until - self._clock.monotonic())
