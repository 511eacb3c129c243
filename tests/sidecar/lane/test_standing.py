"""How an upstream stands: what may be sent, what producers are told, and what is shown."""

from __future__ import annotations

import random

from sidecar.lane.standing import Standing
from sidecar.logic.retry import UpstreamState
from sidecar.model.counters import UpstreamCounters
from sidecar.model.signals import Accepted, Hold, Rejected, RetryLater, Signal
from tests.fakes import FakeClock

NO_METRICS = Hold("HTTP 404", of_signal=True)


class Setup:
    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.rows = 0
        self.standing = Standing(self.clock, random.Random(1), UpstreamCounters(), lambda: self.rows)

    def may(self, flights: int = 0) -> str:
        """A letter for each signal that may be sent."""
        standing = self.standing
        return "".join(s.value[0] for s in Signal if standing.admits(flights) and standing.takes(s))


def test_a_failure_stops_all_until_its_time_has_come_and_then_one_may_try() -> None:
    setup = Setup()
    assert (setup.standing.well, setup.may(3), setup.standing.retry_in) == (True, "tml", None)
    setup.standing.heard(Signal.TRACES, RetryLater(5.0, "HTTP 503"))
    assert (setup.standing.well, setup.may(), setup.standing.why) == (False, "", "HTTP 503")
    setup.clock.time += 2.0
    assert setup.standing.not_now(Signal.LOGS) == RetryLater(3.0, "HTTP 503")
    assert setup.standing.starts(Signal.LOGS) == RetryLater(3.0, "HTTP 503")
    setup.clock.time += 3.0
    assert (setup.may(), setup.may(1), setup.standing.starts(Signal.LOGS)) == ("tml", "", None)
    setup.standing.heard(Signal.LOGS, Accepted())
    assert (setup.standing.well, setup.may(3)) == (True, "tml")


def test_a_signal_that_it_does_not_have_is_held_alone_and_tried_by_one_flight_a_minute() -> None:
    setup = Setup()
    setup.standing.heard(Signal.TRACES, Accepted())
    setup.standing.heard(Signal.METRICS, NO_METRICS)
    assert (setup.standing.well, setup.may(3), setup.standing.held) == (False, "tl", {Signal.METRICS: "HTTP 404"})
    assert (setup.standing.state, setup.standing.why, setup.standing.retry_in) == (UpstreamState.OK, "", 60.0)
    setup.clock.time += 60.0
    assert setup.standing.starts(Signal.METRICS) is None
    assert setup.standing.starts(Signal.METRICS) == RetryLater(60.0, "HTTP 404")
    setup.standing.heard(Signal.METRICS, Accepted())
    assert (setup.standing.well, setup.standing.held) == (True, {})


def test_where_all_that_was_ever_sent_is_held_the_upstream_is() -> None:
    setup = Setup()
    setup.standing.heard(Signal.METRICS, NO_METRICS)
    assert (setup.standing.state, setup.standing.why) == (UpstreamState.HELD, "metrics: HTTP 404")


def test_a_rejection_is_no_fault_of_the_upstream_until_it_is_judged_to_be() -> None:
    setup = Setup()
    setup.standing.heard(Signal.TRACES, Rejected("HTTP 400"))
    assert setup.standing.well
    setup.standing.judged(Hold("3 requests in a row were rejected"))
    assert (setup.may(), setup.standing.state, setup.standing.retry_in) == ("", UpstreamState.HELD, 60.0)


def test_a_loop_is_told_as_a_loop() -> None:
    setup = Setup()
    setup.standing.heard(Signal.TRACES, Hold("HTTP 508", looped=True))
    assert setup.standing.not_now(Signal.LOGS) == Hold("HTTP 508", looped=True)


def test_full_is_shown_while_rows_wait_and_says_why_they_do() -> None:
    setup = Setup()
    setup.standing.heard(Signal.TRACES, RetryLater(5.0, "HTTP 503"))
    setup.clock.time += 1.0
    setup.standing.full, setup.rows = True, 2
    setup.standing.mark()
    assert (setup.standing.state, setup.standing.since) == (UpstreamState.FULL, 1001.0)
    assert setup.standing.why == "the spool is full; HTTP 503"
    setup.rows = 0
    setup.standing.mark()
    assert setup.standing.state is UpstreamState.RETRYING
