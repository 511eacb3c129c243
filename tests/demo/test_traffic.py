"""The traffic is seeded, mixed, bounded and counted."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

from demo.traffic import Rates, Seen, Shopper, Tally, Traffic

from .test_services import LAMP, serving, shop


def kind(method: str, path: str) -> str:
    if "?" in path:
        return "LIST"
    return "UNKNOWN" if path.startswith("/items/9") and len(path) == 13 else method


def test_a_thousand_requests_are_mostly_reads_with_a_few_of_each_other_kind() -> None:
    shopper = Shopper(1)
    mix: Counter[str] = Counter()
    for _ in range(1000):
        request = shopper.next()
        mix[kind(request.method, request.path)] += 1
        if request.method == "POST":
            shopper.created.append(1000)
    assert mix == {"GET": 694, "LIST": 107, "PUT": 87, "UNKNOWN": 57, "POST": 33, "DELETE": 22}


def test_the_same_seed_asks_the_same() -> None:
    one, other = Shopper(7), Shopper(7)
    assert [one.next() for _ in range(50)] == [other.next() for _ in range(50)]
    assert one.next() != Shopper(8).next()


def test_what_is_made_is_deleted_again_so_the_shop_does_not_grow() -> None:
    shopper = Shopper(1)
    for made in range(5000):
        if shopper.next().method == "POST":
            shopper.created.append(made)
        assert len(shopper.created) <= 50


def test_rates_cover_the_last_five_seconds() -> None:
    tally = Tally(0.0)
    tally.seen.extend(
        [
            Seen(94.9, 500, 9.0, None),
            Seen(96.0, 200, 0.010, "hit"),
            Seen(97.0, 200, 0.020, "miss"),
            Seen(98.0, 404, 0.005, None),
            Seen(99.0, 503, 0.001, None),
            Seen(99.5, 0, 0.001, None),
        ]
    )
    assert tally.rates(100.0) == Rates(
        requests_per_second=1.0, errors=2, not_found=1, dropped=0, p95_ms=20.0, cache_hit_ratio=0.5
    )


async def test_traffic_goes_to_every_replica_and_ends_when_told() -> None:
    async with shop() as (one, _), shop() as (other, _):
        traffic = Traffic([one, other], rate=500, seed=1)
        stop = asyncio.Event()
        running = asyncio.create_task(traffic.run(stop))
        while len(traffic.tally.seen) < 40:
            await asyncio.sleep(0.01)
        stop.set()
        await running
        seen = traffic.tally.seen
    assert {s.status for s in seen} <= {200, 201, 204, 404}
    assert "hit" in {s.cache for s in seen}


async def test_a_replica_that_hangs_drops_requests_instead_of_queueing_them() -> None:
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(body=LAMP)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hang)
    async with serving(app) as url:
        traffic = Traffic([url], rate=2000, seed=1)
        stop = asyncio.Event()
        running = asyncio.create_task(traffic.run(stop))
        while traffic.tally.dropped < 10:
            await asyncio.sleep(0.01)
        stop.set()
        release.set()
        await running
    assert len(traffic.tally.seen) == 32


async def test_a_replica_that_hangs_does_not_keep_traffic_from_ending() -> None:
    release = asyncio.Event()
    arrived = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        arrived.set()
        await release.wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hang)
    async with serving(app) as url:
        traffic = Traffic([url], rate=100, seed=1)
        stop = asyncio.Event()
        running = asyncio.create_task(traffic.run(stop))
        await arrived.wait()
        stop.set()
        await running
        release.set()
    assert not traffic.tally.seen
