"""Modest traffic for the demo: seeded, bounded, over all replicas. `python -m demo.traffic --rate 15 URL...`

Each second one JSON line on stdout says what the last `WINDOW` seconds saw (`Rates`).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import signal
import sys
import time
from collections import deque

import aiohttp
import msgspec

WINDOW = 5.0
MAX_IN_FLIGHT = 32  # beyond it a request is dropped and counted, not queued
MAX_CREATED = 50
ITEMS = 200
TIMEOUT = aiohttp.ClientTimeout(total=5)
LAST_CALL = 1.0


class Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    body: bytes | None = None


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Of the last seconds. `errors` counts answers >= 500 and none at all; latency is the client's."""

    requests_per_second: float
    errors: int
    not_found: int
    dropped: int
    p95_ms: float
    cache_hit_ratio: float | None
    """Hits among item reads that were answered; None without any."""


class Shopper:
    """What a crowd of customers asks for. The same seed and answers give the same requests."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.created: deque[int] = deque()

    def next(self) -> Request:
        roll = self.dice.random()
        if roll < 0.72:
            return Request("GET", f"/items/{self.popular()}")
        if roll < 0.82:
            return Request("GET", f"/items?after={self.dice.randrange(0, ITEMS)}&limit=10")
        if roll < 0.86:
            return Request("GET", f"/items/{self.dice.randrange(900_000, 999_999)}")
        if roll < 0.94:
            return Request("PUT", f"/items/{self.popular()}", self.item())
        if self.created and (roll < 0.97 or len(self.created) >= MAX_CREATED):
            return Request("DELETE", f"/items/{self.created.popleft()}")
        return Request("POST", "/items", self.item())

    def popular(self) -> int:
        """Few items are read often and many seldom, as in a shop."""
        return min(int(self.dice.paretovariate(0.6)), ITEMS)

    def item(self) -> bytes:
        number = self.dice.randrange(1000)
        return msgspec.json.encode({"name": f"special {number}", "price_cents": 100 + number, "stock": number})

    def pause(self, rate: float) -> float:
        """Seconds to the next request, as independent customers arrive."""
        return self.dice.expovariate(rate)


class Seen(msgspec.Struct, frozen=True):
    at: float
    status: int
    seconds: float
    cache: str | None


class Tally:
    """Answers of the last `WINDOW` seconds."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.seen: deque[Seen] = deque()
        self.dropped = 0

    def rates(self, now: float) -> Rates:
        while self.seen and self.seen[0].at <= now - WINDOW:
            self.seen.popleft()
        times = sorted(s.seconds for s in self.seen)
        reads = [s.cache for s in self.seen if s.cache is not None]
        return Rates(
            requests_per_second=round(len(self.seen) / max(min(WINDOW, now - self.began), 0.001), 1),
            errors=sum(s.status == 0 or s.status >= 500 for s in self.seen),
            not_found=sum(s.status == 404 for s in self.seen),
            dropped=self.dropped,
            p95_ms=round(times[int(len(times) * 0.95)] * 1000, 1) if times else 0.0,
            cache_hit_ratio=round(reads.count("hit") / len(reads), 3) if reads else None,
        )


class Traffic:
    def __init__(self, urls: list[str], rate: float, seed: int) -> None:
        self.replicas = itertools.cycle([url.rstrip("/") for url in urls])
        self.rate = rate
        self.shopper = Shopper(seed)
        self.tally = Tally(time.monotonic())

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; what is in flight then has `LAST_CALL` seconds left."""
        in_flight: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session, asyncio.TaskGroup() as tasks:
            report = tasks.create_task(self.report())
            while not stop.is_set():
                if len(in_flight) >= MAX_IN_FLIGHT:
                    self.tally.dropped += 1
                else:
                    task = tasks.create_task(self.ask(session, next(self.replicas), self.shopper.next()))
                    in_flight.add(task)
                    task.add_done_callback(in_flight.discard)
                try:
                    async with asyncio.timeout(self.shopper.pause(self.rate)):
                        await stop.wait()
                except TimeoutError:
                    pass  # nobody stopped us: the next customer
            report.cancel()
            if in_flight:
                _, late = await asyncio.wait(in_flight, timeout=LAST_CALL)
                for task in late:
                    task.cancel()

    async def ask(self, session: aiohttp.ClientSession, replica: str, request: Request) -> None:
        began = time.monotonic()
        status, cache = 0, None
        try:
            async with session.request(request.method, replica + request.path, data=request.body) as answer:
                body = await answer.read()
                status, cache = answer.status, answer.headers.get("X-Cache")
            if request.method == "POST" and status == 201:
                self.shopper.created.append(msgspec.json.decode(body)["id"])
        except (aiohttp.ClientError, TimeoutError):
            pass  # counted as an error: status 0
        now = time.monotonic()
        self.tally.seen.append(Seen(now, status, now - began, cache))

    async def report(self) -> None:
        while True:
            await asyncio.sleep(1)
            line = msgspec.json.encode(self.tally.rates(time.monotonic())).decode()
            print(line, flush=True)


async def serve(urls: list[str], rate: float, seed: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Traffic(urls, rate, seed).run(stop)


def main() -> int:
    parser = argparse.ArgumentParser(prog="traffic", description="Modest, seeded traffic for the demo's API.")
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--rate", type=float, default=15.0, help="requests per second in all")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    asyncio.run(serve(args.urls, args.rate, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
