"""Which signals an upstream says that it does not have: one frozen value per upstream that steps with each outcome.

A tracing backend takes traces and answers 404 or UNIMPLEMENTED to metrics and logs. That is said of one signal, so it holds
that signal alone: the others flow, and `Retry` counts the upstream as answering. Somebody may yet switch the signal on, so what
comes of it is kept as for any held upstream, and tried once a minute. It is an answer that may as well last for ever, though,
and what is kept shares the spool with signals that need it for a few minutes' outage: so it gets `SHARE` of the upstream's
quota, and beyond it its producers hear 429, while the others find their room. It is refused rather than dropped, since we
cannot know whether that is what the operator wants; `/status` says which signal it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..model.signals import Accepted, Hold, Outcome, PartlyAccepted, Rejected, Signal, Split
from .retry import HELD

SHARE = 0.5
"""Of an upstream's quota in the spool, for all its held signals together."""


class Held(msgspec.Struct, frozen=True):
    """`until` is when the next trial may start, on the clock that `step` is given."""

    until: float
    why: str


class Holds(msgspec.Struct, frozen=True):
    """By signal; `ALL_FLOW` while the upstream has them all. A trial that says nothing of the signal (a timeout, 503, 401) leaves
    it held for another minute."""

    signals: Mapping[Signal, Held] = {}

    def admits(self, signal: Signal, now: float) -> bool:
        """May a send of this signal start?"""
        held = self.signals.get(signal)
        return held is None or now >= held.until

    def tried(self, signal: Signal, now: float) -> Holds:
        """A send of it starts: of a held signal no other will for a minute."""
        held = self.signals.get(signal)
        return self if held is None else Holds({**self.signals, signal: Held(now + HELD, held.why)})

    def step(self, signal: Signal, outcome: Outcome, now: float) -> Holds:
        """A signal that is taken again brings the trials of the others forward: what ended may have been one cause for all, such
        as a proxy without a backend."""
        match outcome:
            case Hold(why, of_signal=True):
                return Holds({**self.signals, signal: Held(now + HELD, why)})
            case Accepted() | PartlyAccepted() | Rejected() | Split() if signal in self.signals:
                others = {s: Held(now, held.why) for s, held in self.signals.items() if s is not signal}
                return Holds(others) if others else ALL_FLOW
        return self


ALL_FLOW = Holds()
