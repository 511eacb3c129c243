"""A disk in trouble never stops a real sidecar: it stays up, says so in /status and in a metric, forwards in memory, and
recovers by itself."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.e2e.spooling import Sidecar, eventually, mounted, remount, sidecar, traces
from tests.fakes import RecordingUpstream


async def spooled(target: Sidecar, name: str, number: int, size: int = 1000) -> set[str]:
    """Sent while the upstream is down, and acknowledged."""
    target.down()
    names = [f"{name}{n}" for n in range(number)]
    for each in names:
        assert await target.post("traces", traces(each, size)) == 200
    return set(names)


async def forwards_in_memory_only(target: Sidecar) -> None:
    target.up()
    await eventually(lambda: "ok" in target._get("/status").split('"relay"')[1].split('"state"')[1][:6])
    assert await target.post("traces", traces("in memory", 100)) == 200
    assert "in memory" in target.arrived()
    target.down()
    assert await target.post("traces", traces("refused", 100)) == 503
    assert target.process.poll() is None


async def works_again(target: Sidecar, names: set[str]) -> None:
    """The spool takes what the upstream does not, and all of it arrives."""
    await target.usable()
    assert await target.metric("outrider_spool_usable") == 1
    names = names | await spooled(target, "again", 3)
    target.up()
    await eventually(lambda: names <= target.arrived())
    assert target.process.poll() is None


async def test_a_full_disk(tmp_path: Path) -> None:
    """It is smaller than the cap: it is full before the spool is."""
    disk = tmp_path / "spool"
    disk.mkdir()
    async with (
        RecordingUpstream() as upstream,
        sidecar(tmp_path, upstream, before=mounted(f"mount -t tmpfs -o size=4m tmpfs {disk}")) as target,
    ):
        target.down()
        acknowledged, statuses = set(), []
        for number in range(60):
            statuses.append(await target.post("traces", traces(f"{number}", 100_000)))
            if statuses[-1] == 200:
                acknowledged.add(f"{number}")
        assert set(statuses) == {200, 503}
        assert len(acknowledged) > 5
        spool = (await target.status())["spool"]
        assert "no space left" in spool["why"]
        assert spool["errors"]["disk_full"] > 0
        assert await target.metric("outrider_spool_errors_total", 'reason="disk_full"') > 0
        assert await target.metric("outrider_spool_usable") == 0
        assert target.process.poll() is None
        target.up()
        assert await eventually_taken(target, "in memory") == 200
        await works_again(target, acknowledged | {"in memory"})


async def eventually_taken(target: Sidecar, name: str) -> int:
    """The upstream's first trial is a second away."""
    for _ in range(100):
        status = await target.post("traces", traces(name, 100))
        if status == 200:
            return status
        await asyncio.sleep(0.1)
    return 0


async def test_a_disk_that_is_read_only_at_the_start_and_writable_later(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        async with sidecar(tmp_path, upstream) as target:
            before = await spooled(target, "before", 5)
        spool = tmp_path / "spool"
        bind = f"mount --bind {spool} {spool} && mount -o remount,bind,ro {spool}"
        upstream.answer = lambda path, body: None
        async with sidecar(tmp_path, upstream, before=mounted(bind)) as target:
            status = (await target.status())["spool"]
            assert (status["usable"], status["why"]) == (False, f"{spool}: Read-only file system")
            assert status["errors"]["read_only"] >= 1
            assert await target.metric("outrider_spool_errors_total", 'reason="read_only"') >= 1
            assert await target.metric("outrider_spool_usable") == 0
            await forwards_in_memory_only(target)
            assert not before & target.arrived()
            remount(target, "remount,bind,rw")
            await works_again(target, before)


@pytest.mark.parametrize(("page", "most"), [(2, 100), (3, 0), (7, 30), (20, 30)], ids=["root", "index", "7", "20"])
async def test_a_page_that_cannot_be_read_costs_the_rows_in_it_and_each_is_counted(
    tmp_path: Path, page: int, most: int
) -> None:
    async with RecordingUpstream() as upstream:
        async with sidecar(tmp_path, upstream) as target:
            names = await spooled(target, "row", 100)
        file = tmp_path / "spool" / "spool.db"
        assert not file.with_name("spool.db-wal").exists(), (
            "a page in the log would stand before the one that is broken"
        )
        raw = bytearray(file.read_bytes())
        assert len(raw) > 22 * 4096
        raw[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
        file.write_bytes(raw)
        upstream.answer = lambda path, body: None
        async with sidecar(tmp_path, upstream) as target:
            await target.emptied()
            status = (await target.status())["spool"]
            assert status["errors"]["corrupt"] >= 1
            assert await target.metric("outrider_spool_errors_total", 'reason="corrupt"') >= 1
            lost = sum(status["quarantined"].get(upstream.url.removeprefix("http://"), {}).values())
            assert len(names - target.arrived()) == lost <= most
            assert await target.metric("outrider_spool_quarantined_total") == lost
            await works_again(target, names & target.arrived())


@pytest.mark.parametrize("damage", ["cut", "overwritten", "header"])
async def test_a_torn_log_is_said_and_what_lies_before_the_tear_arrives(tmp_path: Path, damage: str) -> None:
    async with RecordingUpstream() as upstream:
        async with sidecar(tmp_path, upstream) as target:
            names = await spooled(target, "row", 20)
            target.process.send_signal(signal.SIGKILL)
            target.process.wait()
        log = tmp_path / "spool" / "spool.db-wal"
        raw = bytearray(log.read_bytes())
        middle = len(raw) // 2
        if damage == "cut":
            del raw[middle + 100 :]
        elif damage == "overwritten":
            raw[middle : middle + 4096] = b"\0" * 4096
        else:
            raw[8:12] = b"\0\0\0\7"
        log.write_bytes(raw)
        upstream.answer = lambda path, body: None
        async with sidecar(tmp_path, upstream) as target:
            await target.emptied()
            arrived = target.arrived()
            if damage != "header":
                assert names & arrived == {f"row{n}" for n in range(len(arrived))}
                assert 1 <= len(arrived) < 20
            assert (await target.status())["spool"]["errors"] == {"torn_log": 1}
            assert await target.metric("outrider_spool_errors_total", 'reason="torn_log"') == 1
            await works_again(target, arrived)
