"""Counters become rates over a window of ten seconds."""

from __future__ import annotations

from sidecar.logic.rates import Rates


def stepped(*samples: tuple[float, int]) -> Rates:
    rates = Rates()
    for now, counter in samples:
        rates = rates.step([counter, 2 * counter], now)
    return rates


def test_one_look_tells_no_rate() -> None:
    assert Rates().per_second() == stepped((0.0, 5)).per_second() == ()


def test_the_rate_is_over_the_time_that_has_passed_until_the_window_is_full() -> None:
    assert stepped((0.0, 0), (1.0, 10), (4.0, 20)).per_second() == (5.0, 10.0)


def test_what_is_older_than_the_window_counts_no_more() -> None:
    second_by_second = [(float(n), 1000 if n else 0) for n in range(30)]
    assert stepped(*second_by_second[:11]).per_second() == (100.0, 200.0)
    assert stepped(*second_by_second).per_second() == (0.0, 0.0)
    assert len(stepped(*second_by_second).samples) == 11


def test_after_a_long_pause_the_rate_is_over_the_pause() -> None:
    assert stepped((0.0, 0), (1.0, 0), (100.0, 990)).per_second() == (10.0, 20.0)
