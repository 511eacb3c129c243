"""SIGTERM: what is in flight is on disk, the doors stay open until the drain ends, and the next start delivers all."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.spooling import Sidecar, eventually, sidecar, traces
from tests.fakes import RecordingUpstream


async def ended(target: Sidecar, within: float = 20) -> float:
    """Seconds until it has."""
    began = time.monotonic()
    await asyncio.to_thread(target.process.wait, within)
    return time.monotonic() - began


def said(tmp_path: Path, event: str) -> bool:
    return f'"event": "{event}"' in (tmp_path / "sidecar.log").read_text()


async def test_what_is_in_flight_is_spooled_the_doors_stay_open_and_the_next_start_delivers_all(tmp_path: Path) -> None:
    """The upstream answers nothing at all, so the stop cannot be waiting for it."""
    async with RecordingUpstream() as upstream:
        upstream.hold.clear()
        async with sidecar(tmp_path, upstream, drain="5s") as target:
            before = [asyncio.create_task(target.post("traces", traces(f"before{n}", 1000))) for n in range(20)]
            await eventually(lambda: upstream.requests)
            target.process.send_signal(signal.SIGTERM)
            await eventually(lambda: said(tmp_path, "draining"))
            assert await asyncio.gather(*before) == [200] * 20
            after = [target.post("traces", traces(f"after{n}", 1000)) for n in range(5)]
            assert await asyncio.gather(*after) == [200] * 5
            assert target.process.poll() is None, "the drain is not over"
            seconds = await ended(target)
            assert target.process.returncode == 0
        print(f"ended {seconds:.2f} s after the last request, with a drain of 5 s")
        assert upstream.spans == []
        upstream.hold.set()
        async with sidecar(tmp_path, upstream) as target:
            await target.emptied()
        names = {f"before{n}" for n in range(20)} | {f"after{n}" for n in range(5)}
        assert target.arrived() >= names


@pytest.mark.parametrize("patient", ["a second signal", "a slow upstream"])
async def test_the_end_comes_when_the_drain_does_or_at_once_when_it_is_asked_for_twice(
    tmp_path: Path, patient: str
) -> None:
    """An answer of the upstream takes longer than the end may: nobody waits for it."""
    twice = patient == "a second signal"
    async with RecordingUpstream() as upstream:
        upstream.hold.clear()
        async with sidecar(tmp_path, upstream, drain="10m" if twice else "1s") as target:
            sending = asyncio.create_task(target.post("traces", traces("in flight", 1000)))
            await eventually(lambda: upstream.requests)
            target.process.send_signal(signal.SIGTERM)
            await eventually(lambda: said(tmp_path, "draining"))
            assert await sending == 200
            if twice:
                assert target.process.poll() is None
                target.process.send_signal(signal.SIGTERM)
            seconds = await ended(target)
            assert target.process.returncode == (1 if twice else 0)
        print(f"{patient}: ended within {seconds:.2f} s")
        upstream.hold.set()
        async with sidecar(tmp_path, upstream) as target:
            await target.emptied()
        assert "in flight" in target.arrived()
