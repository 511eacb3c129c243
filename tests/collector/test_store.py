"""History in SQLite, with real files."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Barrier

import pytest

from collector.events import Event, EventKind, Restored, Standing
from collector.store import Store, StoreError
from sidecar.model.health import State


@asynccontextmanager
async def opened(path: Path | str = ":memory:", max_queue: int = 1000, max_events: int = 1000) -> AsyncIterator[Store]:
    store = Store(str(path), max_queue=max_queue, max_events=max_events)
    try:
        yield store
    finally:
        await store.close()


def status(at: float, service: str, instance: str = "", check: str = "", after: State = State.PASS) -> Event:
    return Event(
        at=at,
        kind=EventKind.STATUS,
        service=service,
        instance=instance,
        check=check,
        before=State.UNKNOWN,
        after=after,
        since=at - 1,
        output="why",
    )


def gone(at: float, service: str, instance: str = "", check: str = "") -> Event:
    return Event(at=at, kind=EventKind.LEFT, service=service, instance=instance, check=check)


async def test_pages_are_newest_first_and_end() -> None:
    async with opened() as store:
        store.append([status(n, "shop" if n % 2 else "bank") for n in range(1, 8)])
        page = await store.page(service=None, before=None, limit=3)
        assert ([n for n, _ in page.events], page.more) == ([7, 6, 5], True)
        page = await store.page(service=None, before=5, limit=4)
        assert ([n for n, _ in page.events], page.more) == ([4, 3, 2, 1], False)
        page = await store.page(service="bank", before=None, limit=10)
        assert [event.at for _, event in page.events] == [6, 4, 2]


async def test_an_event_comes_back_as_it_went() -> None:
    events = [status(1.5, "shop", "shop-1", "ready", State.FAIL), gone(2.5, "shop", "shop-1")]
    async with opened() as store:
        store.append(events)
        page = await store.page(service=None, before=None, limit=10)
        assert [event for _, event in page.events] == events[::-1]


async def test_a_file_keeps_events_and_standings(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as store:
        store.append([status(5, "shop"), status(6, "shop", "shop-1", after=State.FAIL)])
        store.append([status(9, "shop", after=State.WARN)])
    async with opened(tmp_path / "db") as store:
        assert len((await store.page(service=None, before=None, limit=10)).events) == 3
        assert await store.standings() == [
            Restored("shop", "", "", Standing(State.WARN, 8)),
            Restored("shop", "shop-1", "", Standing(State.FAIL, 5)),
        ]


async def test_who_leaves_takes_its_standing_and_what_is_below_it() -> None:
    async with opened() as store:
        for instance in ("", "a", "b"):
            store.append([status(1, "shop", instance)])
        store.append([status(1, "shop", "a", "x"), status(1, "shop", "a", "y"), status(1, "bank")])
        store.append([gone(2, "shop", "a", "x")])
        assert [(s.instance, s.check) for s in await store.standings()] == [
            ("", ""),  # bank
            ("", ""),
            ("a", ""),
            ("a", "y"),
            ("b", ""),
        ]
        store.append([gone(3, "shop", "a")])
        assert [(s.service, s.instance) for s in await store.standings()] == [
            ("bank", ""),
            ("shop", ""),
            ("shop", "b"),
        ]
        store.append([gone(4, "shop")])
        assert [s.service for s in await store.standings()] == ["bank"]


async def test_only_the_newest_events_are_held_at_any_moment() -> None:
    async with opened(max_events=30) as store:
        for n in range(100):
            store.append([status(n, "shop", f"shop-{n}")])
            assert len((await store.page(service=None, before=None, limit=500)).events) == min(n + 1, 30)
        assert len(await store.standings()) == 100


async def test_pruning_is_by_age_and_leaves_standings() -> None:
    async with opened() as store:
        store.append([status(n, "shop") for n in range(100)])
        await store.prune(100, max_age=1000)
        assert len((await store.page(service=None, before=None, limit=500)).events) == 100
        await store.prune(100, max_age=10)
        page = await store.page(service=None, before=None, limit=500)
        assert [event.at for _, event in page.events] == [99, 98, 97, 96, 95, 94, 93, 92, 91, 90]
        assert len(await store.standings()) == 1


async def test_a_full_queue_drops_and_counts_and_never_waits() -> None:
    async with opened(max_queue=1) as store:
        for n in range(2000):
            store.append([status(n, "shop")])
        assert store.dropped > 0
        assert store.last_error == "the queue to the disk is full"


async def test_a_question_that_nobody_waits_for_any_more_does_no_harm() -> None:
    async with opened() as store:
        asking = [asyncio.ensure_future(store.standings()) for _ in range(100)]
        await asyncio.sleep(0)
        for question in asking:
            question.cancel()
        store.append([status(1, "shop")])
        assert len(await store.standings()) == 1


async def test_a_question_that_breaks_is_told_to_who_asked_and_the_next_is_answered() -> None:
    async with opened() as store:
        store.append([status(1, "shop")])
        with pytest.raises(OverflowError):
            await store.page(service=None, before=10**20, limit=1)
        assert len((await store.page(service=None, before=None, limit=1)).events) == 1


async def test_a_disk_that_does_not_answer_is_told_to_who_asks() -> None:
    stuck = threading.Event()
    store = Store(":memory:", patience=0.1)
    try:
        for _ in range(2):
            with pytest.raises(StoreError, match="no answer from the disk"):
                await store._ask(lambda db: stuck.wait(20))
    finally:
        stuck.set()
    await store.close()


async def test_collectors_that_start_at_the_same_moment_share_a_new_file(tmp_path: Path) -> None:
    for attempt in range(20):
        together = Barrier(3)

        def start(path: Path, together: Barrier) -> Store:
            together.wait()
            return Store(str(path))

        path = tmp_path / f"{attempt}.db"
        stores = await asyncio.gather(*(asyncio.to_thread(start, path, together) for _ in range(3)))
        for at, store in enumerate(stores):
            store.append([status(at, "shop")])
            assert len((await store.page(service=None, before=None, limit=10)).events) == at + 1
        for store in stores:
            await store.close()


async def test_a_newer_file_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=7")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"db: written by a newer version \(schema 7, expected at most 1\)"):
        Store(str(path))
    assert path.read_bytes() == before


async def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE songs (name)")
    db.close()
    with pytest.raises(StoreError, match="a SQLite file of something else"):
        Store(str(path))
    (tmp_path / "text").write_text("not a database, but long enough to look at" * 20)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(str(tmp_path / "text"))
    with pytest.raises(StoreError, match="does not exist"):
        Store(str(tmp_path / "missing" / "db"))
    with pytest.raises(StoreError, match="File name too long"):
        Store(str(tmp_path / ("x" * 300) / "db"))
