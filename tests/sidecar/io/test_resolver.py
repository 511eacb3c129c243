from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from sidecar.io.resolver import Address, NameNotFound, Resolver, ResolverTrouble, system_lookup

V4 = Address(socket.AF_INET, "192.0.2.1")


class Zone:
    """Answers from a table; names in `held` wait until they are let go. Counts the questions."""

    def __init__(self, table: dict[str, list[Address] | Exception]) -> None:
        self.table = table
        self.held: dict[str, threading.Event] = {}
        self.asked: list[str] = []

    def hold(self, name: str) -> None:
        self.held[name] = threading.Event()

    def __call__(self, name: str) -> list[Address]:
        self.asked.append(name)
        if name in self.held:
            self.held[name].wait(30)
        answer = self.table.get(name, [])
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_name_becomes_its_addresses_and_is_asked_for_each_time() -> None:
    zone = Zone({"db": [V4]})
    resolver = Resolver(zone)
    assert await resolver.addresses("db") == [V4]
    assert await resolver.addresses("db") == [V4]
    assert zone.asked == ["db", "db"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("127.0.0.1", [Address(socket.AF_INET, "127.0.0.1")]),
        ("2001:db8::1", [Address(socket.AF_INET6, "2001:db8::1")]),
        ("localhost", [Address(socket.AF_INET, "127.0.0.1"), Address(socket.AF_INET6, "::1")]),
    ],
)
async def test_literals_need_no_lookup(name: str, found: list[Address]) -> None:
    zone = Zone({})
    assert await Resolver(zone, threads=0).addresses(name) == found
    assert zone.asked == []


async def test_a_name_in_flight_is_asked_once_and_survives_the_first_waiters_deadline() -> None:
    zone = Zone({"db": [V4]})
    zone.hold("db")
    resolver = Resolver(zone)
    first, second = (asyncio.create_task(resolver.addresses("db")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    zone.held["db"].set()
    assert await second == [V4]
    assert zone.asked == ["db"]


async def test_ten_names_on_a_black_hole_delay_none_of_the_others() -> None:
    zone = Zone({"db": [V4]})
    resolver = Resolver(zone)
    waiting = []
    for n in range(10):
        zone.hold(f"hole-{n}")
        waiting.append(asyncio.create_task(resolver.addresses(f"hole-{n}")))
    await asyncio.sleep(0)
    assert await resolver.addresses("db") == [V4]
    assert not any(task.done() for task in waiting)
    for event in zone.held.values():
        event.set()
    assert [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)] == [NameNotFound] * 10


async def test_beyond_the_threads_it_is_our_trouble() -> None:
    zone = Zone({"a": [V4]})
    zone.hold("a")
    resolver = Resolver(zone, threads=1)
    first = asyncio.create_task(resolver.addresses("a"))
    await asyncio.sleep(0)
    with pytest.raises(ResolverTrouble, match="cannot resolve b: 1 lookups of other names have no answer yet"):
        await resolver.addresses("b")
    zone.held["a"].set()
    assert await first == [V4]


async def test_not_found_and_trouble_are_told_apart() -> None:
    zone = Zone(
        {
            "x": ResolverTrouble("x", "Temporary failure"),
            "fds": OSError(24, "Too many open files"),
            "codec": LookupError("unknown encoding: idna"),
        }
    )
    resolver = Resolver(zone)
    with pytest.raises(NameNotFound, match=r"^name not found: gone$"):
        await resolver.addresses("gone")
    with pytest.raises(ResolverTrouble, match=r"^cannot resolve x: Temporary failure$"):
        await resolver.addresses("x")
    with pytest.raises(ResolverTrouble, match="Too many open files"):
        await resolver.addresses("fds")
    with pytest.raises(ResolverTrouble, match="LookupError: unknown encoding: idna"):
        await resolver.addresses("codec")


def test_the_systems_resolver_knows_numbers_and_no_impossible_names() -> None:
    assert system_lookup("127.0.0.1") == [Address(socket.AF_INET, "127.0.0.1")]
    with pytest.raises(NameNotFound):
        system_lookup("a" * 70 + ".invalid")


def test_a_lookup_that_outlives_its_loop_disturbs_nobody() -> None:
    zone = Zone({})
    zone.hold("slow")

    async def start() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Resolver(zone).addresses("slow"), 0.01)

    asyncio.run(start())
    zone.held["slow"].set()
    for thread in threading.enumerate():
        if thread.name == "resolve slow":
            thread.join(10)
            assert not thread.is_alive()
