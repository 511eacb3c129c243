"""Deadlines: as `asyncio.timeout`, on one timer."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.io.deadlines import Deadlines


async def wait(deadlines: Deadlines, seconds: float) -> str:
    try:
        with deadlines.within(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return "late"
    return "in time"


async def test_a_wait_that_takes_too_long_ends_with_a_timeout() -> None:
    assert await wait(Deadlines(), 0.01) == "late"
    assert await wait(Deadlines(), 0.0) == "late"


async def test_a_wait_that_ends_before_is_left_alone_and_its_task_goes_on() -> None:
    deadlines = Deadlines()
    with deadlines.within(0.01):
        pass
    await asyncio.sleep(0.03)
    with deadlines.within(10.0):
        await asyncio.sleep(0)


async def test_later_waits_do_not_hold_up_earlier_ones_nor_the_other_way_round() -> None:
    deadlines = Deadlines()
    long = asyncio.create_task(wait(deadlines, 60.0))
    await asyncio.sleep(0)
    assert await wait(deadlines, 0.02) == "late"
    assert await asyncio.gather(*[wait(deadlines, seconds) for seconds in (0.06, 0.02, 0.04, 0.02)]) == ["late"] * 4
    assert not long.done()
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)


async def test_a_cancelled_wait_is_cancelled_and_not_late() -> None:
    deadlines = Deadlines()
    task = asyncio.create_task(wait(deadlines, 10.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_is_cancelled_while_it_is_late_stays_cancelled() -> None:
    deadlines = Deadlines()

    async def clings() -> None:
        with deadlines.within(0.0):
            try:
                await asyncio.Event().wait()
            finally:
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    task = asyncio.create_task(clings())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_inner_deadline_does_not_pass_for_the_outer_one() -> None:
    deadlines = Deadlines()
    with deadlines.within(10.0):
        assert await wait(deadlines, 0.01) == "late"
        await asyncio.sleep(0)


async def test_an_exception_leaves_as_it_is() -> None:
    deadlines = Deadlines()
    with pytest.raises(ValueError, match="other"), deadlines.within(10.0):
        raise ValueError("other")
