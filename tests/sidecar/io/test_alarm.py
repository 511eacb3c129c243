"""An alarm rings once, at the earliest time that was asked for."""

from __future__ import annotations

import asyncio

from sidecar.io.alarm import Alarm
from sidecar.io.clock import SystemClock
from tests.fakes import until


class Rung:
    def __init__(self) -> None:
        self.clock = SystemClock()
        self.times = 0
        self.alarm = Alarm(self.clock, self._ring)

    def _ring(self) -> None:
        self.times += 1

    def after(self, seconds: float) -> None:
        self.alarm.at(self.clock.monotonic() + seconds)


async def test_it_rings_for_an_earlier_time_though_it_was_set_to_a_later_one() -> None:
    rung = Rung()
    rung.after(3600.0)
    rung.after(0.01)
    await until(lambda: rung.times)


async def test_a_later_time_changes_nothing() -> None:
    rung = Rung()
    rung.after(0.01)
    rung.after(3600.0)
    await until(lambda: rung.times)


async def test_it_rings_once_however_often_a_time_was_asked_for_and_can_be_set_again() -> None:
    rung = Rung()
    for seconds in (0.05, 0.03, 0.03, 0.01):
        rung.after(seconds)
    await until(lambda: rung.times)
    await asyncio.sleep(0.08)
    assert rung.times == 1
    rung.after(-1.0)
    await until(lambda: rung.times == 2)


async def test_once_stopped_it_stays_silent() -> None:
    set_before, set_after = Rung(), Rung()
    set_before.after(0.01)
    for rung in (set_before, set_after):
        rung.alarm.stop()
    set_after.after(0.01)
    await asyncio.sleep(0.03)
    assert (set_before.times, set_after.times) == (0, 0)
