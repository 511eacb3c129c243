"""The spool behind its thread: group commit, promises of room, and a disk in trouble."""

from __future__ import annotations

import asyncio
import random
import resource
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.io import spool as spool_module
from sidecar.io import spool_thread
from sidecar.io.spool import Config, OnFull, Spool
from sidecar.io.spool_file import NAME, SpoolFile
from sidecar.io.spool_rows import cost_of
from sidecar.model.signals import Batch, Signal
from tests.fakes import until

MIB = 1 << 20


def batch(body: bytes = b"body", signal: Signal = Signal.TRACES) -> Batch:
    return Batch(signal, body, 1)


@asynccontextmanager
async def spooling(path: Path, max_bytes: int = 8 * MIB, on_full: OnFull = OnFull.REFUSE) -> AsyncIterator[Spool]:
    spool = Spool(Config(path=str(path), max_bytes=max_bytes, on_full=on_full), lambda: 1000.0)
    await spool.open(["a", "b"])
    try:
        yield spool
    finally:
        await spool.close()


async def put(spool: Spool, body: bytes = b"body", signal: Signal = Signal.TRACES, upstream: str = "a") -> int | None:
    """The number under which it is committed; None where there was no room or no commit."""
    if not spool.fits(len(body)) or not spool.reserve(upstream, len(body)):
        return None
    number = spool.next_id()
    done = await spool.write(number, upstream, batch(body, signal))
    if not done:
        spool.release(upstream, len(body))
    return number if done else None


async def bodies(spool: Spool, upstream: str = "a") -> list[bytes]:
    return [row.batch.body for row in await spool.read(upstream, Signal.TRACES, (), 1 << 30)]


async def test_what_is_written_is_read_by_the_next_run_with_numbers_that_go_on(tmp_path: Path) -> None:
    async with spooling(tmp_path) as spool:
        assert [await put(spool, b"1"), await put(spool, b"2")] == [1, 2]
        assert spool.usable
    async with spooling(tmp_path) as spool:
        assert (spool.rows("a"), spool.bytes("a"), spool.oldest("a"), spool.rows("b")) == (2, 2, 1000.0, 0)
        assert await put(spool, b"3") == 3
        assert await bodies(spool) == [b"1", b"2", b"3"]
        spool.delete(2)
        await spool.flush()
        assert await bodies(spool) == [b"1", b"3"]


async def test_what_is_settled_before_it_is_written_costs_no_row(tmp_path: Path) -> None:
    async with spooling(tmp_path) as spool:
        assert spool.reserve("a", 4)
        done = spool.write(spool.next_id(), "a", batch())
        spool.delete(1)
        assert await done
        await spool.flush()
        assert (spool.rows("a"), await bodies(spool)) == (0, [])


async def test_room_is_promised_per_upstream_and_comes_back(tmp_path: Path) -> None:
    async with spooling(tmp_path) as spool:
        before = spool.room("a")
        assert before == (8 * MIB - 2 * MIB) * 15 // 16 // 2
        numbers = []
        while (number := await put(spool, b"x" * 100_000)) is not None:
            numbers.append(number)
        assert 0 <= spool.room("a") < cost_of(100_000)
        assert before // cost_of(100_000) <= len(numbers) <= before // 100_000
        assert spool.room("b") == before
        for number in numbers:
            spool.delete(number)
        await spool.flush()
        assert spool.room("a") == before


async def test_the_oldest_make_room_where_that_is_wanted_and_are_counted(tmp_path: Path) -> None:
    async with spooling(tmp_path, on_full=OnFull.EVICT_OLDEST) as spool:
        for n in range(60):
            assert await put(spool, b"%02d" % n * 50_000) is not None
        await spool.flush()
        left = await bodies(spool)
        assert [body[:2] for body in left] == [b"%02d" % n for n in range(60 - len(left), 60)]
        assert spool.counters.evicted == {"a": 60 - len(left)}
        assert len(left) >= 20


async def test_small_rows_have_all_the_room_but_what_pages_cost(tmp_path: Path) -> None:
    """A body of 3,600 bytes takes a page of 4,096, whatever it could take beside rows of other sizes."""
    async with spooling(tmp_path, 16 * MIB) as spool:
        while writes := [
            spool.write(spool.next_id(), "a", batch(b"x" * 3600)) for _ in range(50) if spool.reserve("a", 3600)
        ]:
            assert all(await asyncio.gather(*writes))
        assert spool.rows("a") > 0.9 * (12 * MIB * 15 / 16 / 2) / 4096
        assert spool.counters.errors == {}


async def test_a_promised_place_is_there_whatever_sizes_come_and_go(tmp_path: Path) -> None:
    """Phases of tiny, page-sized, large and small bodies; those that arrive leave gaps everywhere."""
    dice = random.Random(1)
    held: list[int] = []
    refused = 0
    async with spooling(tmp_path) as spool:
        for step in range(120):
            body = b"x" * (100, 3600, 60_000, 1000)[step // 15 % 4]
            names = ["ab"[number % 2] for number in range(dice.randrange(1, 80))]
            places = [(spool.next_id(), name) for name in names if spool.reserve(name, len(body))]
            refused += len(names) - len(places)
            assert all(await asyncio.gather(*[spool.write(number, name, batch(body)) for number, name in places]))
            held += [number for number, _ in places]
            dice.shuffle(held)
            for number in held[: len(held) // 12]:
                spool.delete(number)
            del held[: len(held) // 12]
        assert refused > 100
        assert spool.counters.errors == {}
        assert spool.disk_bytes <= 8 * MIB


@pytest.mark.parametrize("size", [500, 1400])
async def test_a_promised_place_is_there_when_every_second_row_of_a_page_has_gone(tmp_path: Path, size: int) -> None:
    """Two upstreams' rows lie side by side; what one leaves behind is half a page each time, which nobody else can use."""
    async with spooling(tmp_path) as spool:
        numbers: list[int] = []
        writes: list[asyncio.Future[bool]] = []
        while spool.room("a") > 100_000:
            for name in "ab" * 20:
                if spool.reserve(name, size):
                    numbers += [spool.next_id()] if name == "a" else []
                    number = numbers[-1] if name == "a" else spool.next_id()
                    writes.append(spool.write(number, name, batch(b"x" * size)))
            await writes[-1]
        assert all(await asyncio.gather(*writes))
        for number in numbers:
            spool.delete(number)
        await spool.flush()
        while (again := spool.reserve("a", size)) and await spool.write(spool.next_id(), "a", batch(b"x" * size)):
            pass
        assert not again
        assert spool.counters.errors == {}


async def test_a_promised_place_is_there_when_the_quarantine_has_more_than_its_share(tmp_path: Path) -> None:
    """The latest poison is kept whatever its size: 1.5 MiB where 384 KiB are set apart."""
    async with spooling(tmp_path) as spool:
        spool.quarantine(spool.next_id(), "a", batch(b"x" * (MIB * 3 // 2)), "rejected", "HTTP 400")
        await spool.flush()
        writes = []
        for name in "ab":
            while spool.reserve(name, 30_000):
                writes.append(spool.write(spool.next_id(), name, batch(b"x" * 30_000)))
        assert all(await asyncio.gather(*writes))
        assert spool.counters.errors == {}


async def test_a_cap_that_was_lowered_holds_as_the_oldest_make_room(tmp_path: Path) -> None:
    """The file gives back what it has too much while it is in use."""
    async with spooling(tmp_path, 32 * MIB) as spool:
        for name in "ab":
            while spool.reserve(name, 60_000):
                spool.write(spool.next_id(), name, batch(b"x" * 60_000))
        await spool.flush()
        assert spool.disk_bytes > 20 * MIB
    async with spooling(tmp_path, on_full=OnFull.EVICT_OLDEST) as spool:
        for _ in range(20):
            for name in "ab":
                assert await put(spool, b"x" * 60_000, upstream=name) is not None
        assert spool.disk_bytes <= 8 * MIB
        assert spool.counters.errors == {}


@pytest.mark.parametrize("size", [1000, 3600, 60_000])
async def test_what_waits_fills_the_quota_while_the_oldest_make_room(tmp_path: Path, size: int) -> None:
    async with spooling(tmp_path, on_full=OnFull.EVICT_OLDEST) as spool:
        quota = 6 * MIB * 15 // 16 // 2
        for _ in range(2 * quota // size // 20):
            writes = []
            for _ in range(20):
                assert spool.reserve("a", size)
                writes.append(spool.write(spool.next_id(), "a", batch(b"x" * size)))
            assert all(await asyncio.gather(*writes))
        assert spool.counters.evicted["a"] > 0
        assert 0.65 * quota < spool.bytes("a") < quota
        assert spool.counters.errors == {}


async def test_a_body_larger_than_the_spool_can_log_does_not_fit(tmp_path: Path) -> None:
    async with spooling(tmp_path) as spool:
        assert not spool.fits(2 * MIB)
        assert await put(spool, b"x" * (MIB + MIB // 2)) is not None
        assert spool.disk_bytes <= 8 * MIB


async def test_a_row_that_rotted_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    async with spooling(tmp_path) as spool:
        for mark in (b"first" * 999, b"second" * 999, b"third" * 999):
            await put(spool, mark)
    raw = (tmp_path / NAME).read_bytes()
    assert raw.count(b"secondsecond") > 0
    (tmp_path / NAME).write_bytes(raw.replace(b"secondsecond", b"secondsEcond"))
    async with spooling(tmp_path) as spool:
        assert await bodies(spool) == [b"first" * 999, b"third" * 999]
        assert spool.counters.quarantined == {("a", "corrupt"): 1}
        assert spool.rows("a") == 2


async def test_a_disk_that_takes_nothing_is_said_and_what_is_settled_meanwhile_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_thread, "AGAIN", 0.05)
    async with spooling(tmp_path) as spool:
        for mark in (b"1", b"2", b"3"):
            assert await put(spool, mark) is not None
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            assert await put(spool, b"x" * 100_000) is None
            assert not spool.usable
            assert not spool.fits(1)
            assert spool.counters.errors["io"] >= 1
            spool.delete(1)
            await spool.flush()
            assert await bodies(spool) == [b"2", b"3"]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await until(lambda: spool.usable)
        assert await put(spool, b"4") is not None
        assert await bodies(spool) == [b"2", b"3", b"4"]
        assert spool.rows("a") == 3


async def test_a_place_that_cannot_be_used_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_thread, "AGAIN", 0.05)
    (tmp_path / "file").write_text("no directory")
    async with spooling(tmp_path / "file" / "spool") as spool:
        assert spool.why.endswith("Not a directory")
        assert not await spool.write(1, "a", batch())
        assert await bodies(spool) == []
        (tmp_path / "file").unlink()
        await until(lambda: spool.usable)
        assert await put(spool) is not None


async def test_a_file_that_cannot_be_opened_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_thread, "AGAIN", 0.05)
    (tmp_path / NAME).mkdir()
    async with spooling(tmp_path) as spool:
        assert spool.why == "unable to open database file"
        (tmp_path / NAME).rmdir()
        await until(lambda: spool.usable)
        assert await put(spool) is not None
    assert spool.counters.errors.keys() == {"unwritable"}


async def test_an_error_that_nobody_expects_of_an_open_is_said_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise PermissionError("not yours")

    monkeypatch.setattr("sidecar.io.spool_file.is_torn", broken)
    async with asyncio.timeout(30), spooling(tmp_path) as spool:
        assert spool.why == "PermissionError: not yours"


async def test_a_file_that_breaks_while_it_is_open_is_replaced(tmp_path: Path) -> None:
    async with spooling(tmp_path) as spool:
        for n in range(200):
            assert await put(spool, b"%03d" % n * 1000) is not None
        for name in (NAME, f"{NAME}-wal"):
            raw = bytearray((tmp_path / name).read_bytes())
            raw[: len(raw)] = b"\xff" * len(raw)
            (tmp_path / name).write_bytes(raw)
        async with asyncio.timeout(20):
            while not spool.counters.errors.get("corrupt"):
                if await put(spool, b"x" * 50_000) is None:
                    await bodies(spool)
        assert spool.usable
        assert await put(spool, b"after") is not None
    async with spooling(tmp_path) as spool:
        assert b"after" in await bodies(spool)


async def test_a_disk_that_does_not_answer_holds_neither_start_nor_stop_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "PATIENCE", 0.1)
    answers = threading.Event()
    found = SpoolFile._connect
    monkeypatch.setattr(SpoolFile, "_connect", lambda file: (answers.wait(60), found(file)))
    async with spooling(tmp_path) as spool:
        assert spool.why == "the disk does not answer"
        assert not spool.fits(1)
        answers.set()
        await until(lambda: spool.usable)
        assert await put(spool) == 1
        answers.clear()
        monkeypatch.setattr(SpoolFile, "apply", lambda *_: answers.wait(60))
        assert spool.reserve("a", 4)
        spool.write(spool.next_id(), "a", batch())
    answers.set()
