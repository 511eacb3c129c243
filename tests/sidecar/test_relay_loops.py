"""Relays that lead to themselves or to each other: receivers, exporters and sockets are real, names resolve as a test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sidecar.export.otlp_http import Config as ExportConfig
from sidecar.export.otlp_http import OtlpHttp
from sidecar.io.clock import SystemClock
from sidecar.io.resolver import Address, Resolver
from sidecar.io.spool import Config as SpoolConfig
from sidecar.io.spool import Spool
from sidecar.logic.otlp_http import OK, decode_status, refusal
from sidecar.logic.retry import UpstreamState
from sidecar.model.counters import ReceiverCounters
from sidecar.model.signals import Batch, Hold, RetryLater, Signal
from sidecar.otlp.http import Config, Receiver
from sidecar.relay import Relay, Upstream, UpstreamView
from tests.fakes import until
from tests.sidecar.otlp.receiving import field
from tests.sidecar.test_relay import Always, Setup, batch, one
from tests.sidecar.test_relay_spool import spooling, take

POINT = field(1, field(2, field(2, field(5, field(1, b"")))))
LOOP = Hold("the upstreams form a loop: b~2 -> a~1 -> b~2", looped=True)


class Outrider:
    """A relay behind its receiver, by its name."""

    def __init__(self, name: str, relay: Relay, counters: ReceiverCounters) -> None:
        self.name, self.relay, self.counters = name, relay, counters

    @property
    def view(self) -> UpstreamView:
        return self.relay.status()[0]

    def sends(self) -> int:
        return sum(self.view.counters.sends.values())


@asynccontextmanager
async def outrider(
    name: str, listen: socket.socket, upstream: str, spool: Path | None, *, required: bool = True
) -> AsyncIterator[Outrider]:
    clock, counters = SystemClock(), ReceiverCounters()
    resolver = Resolver(lambda host: [Address(socket.AF_INET, "127.0.0.1")])
    sink = OtlpHttp(ExportConfig(endpoint=upstream), resolver)
    queue = Spool(SpoolConfig(path=str(spool), max_bytes=8 << 20), clock.now) if spool else None
    relay = Relay([Upstream("up", sink, required)], clock, Always(), queue, name)
    receiver = Receiver(Config(), relay.take, counters)
    server = await asyncio.get_running_loop().create_server(receiver.protocol, sock=listen)
    await relay.open()
    try:
        yield Outrider(name, relay, counters)
    finally:
        server.close()
        await receiver.close()
        await relay.close()


@asynccontextmanager
async def circle(names: str, spools: Path | None, *, required: bool = True) -> AsyncIterator[list[Outrider]]:
    """Each one's upstream is the next, the last one's the first."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    urls = [f"http://{name}.test:{sock.getsockname()[1]}" for name, sock in zip(names, sockets, strict=True)]
    async with AsyncExitStack() as stack:
        made = []
        for n, (name, sock) in enumerate(zip(names, sockets, strict=True)):
            path = spools and spools / name
            there = urls[(n + 1) % len(urls)]
            made.append(await stack.enter_async_context(outrider(f"{name}~{n}", sock, there, path, required=required)))
        yield made


CIRCLES = {
    "a": "this upstream is this sidecar's own listener (a~0)",
    "ab": "the upstreams form a loop: a~0 -> b~1 -> a~0",
    "abc": "the upstreams form a loop: a~0 -> b~1 -> c~2 -> a~0",
}


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("names", CIRCLES)
async def test_the_first_request_goes_round_once_and_all_say_why(tmp_path: Path, names: str, spooled: bool) -> None:
    async with circle(names, tmp_path if spooled else None) as made:
        for n in range(50):
            reply = await made[0].relay.take(batch(b"%d" % n))
            assert (reply.status, decode_status(reply.body)) == (508, (9, CIRCLES[names]))
        for each in made:
            assert each.sends() == 1
            assert (each.view.state, each.view.why) == (UpstreamState.HELD, CIRCLES[names])
            assert (each.view.queue_rows, each.relay.in_flight) == (0, 0)
        assert [each.counters.refused for each in made] == [{508: 1}] * len(made)


async def test_many_at_once_do_not_wait_for_themselves(tmp_path: Path) -> None:
    """Each flight waits for the next Outrider's: were they not refused where they first come back, none would land."""
    async with circle("a", None) as (alone,):
        replies = await asyncio.gather(*[alone.relay.take(batch(b"%d" % n)) for n in range(200)])
        assert {reply.status for reply in replies} == {508}
        assert alone.sends() <= 4


async def test_our_own_telemetry_goes_round_once_too() -> None:
    async with circle("ab", None) as (a, b):
        for _ in range(20):
            a.relay.submit(Batch(Signal.METRICS, POINT, 1))
            await until(lambda: not a.relay.in_flight)
        assert (a.sends(), b.sends()) == (1, 1)
        assert a.view.counters.items == {(Signal.METRICS, "dropped"): 20}
        assert a.view.state is b.view.state is UpstreamState.HELD


async def test_optional_upstreams_end_a_loop_where_it_closes() -> None:
    """Nobody is promised anything here, so the producer is answered OK; nothing circulates, and the last one says why."""
    async with circle("ab", None, required=False) as (a, b):
        assert await a.relay.take(batch(b"x")) == OK
        await until(lambda: b.view.state is UpstreamState.HELD)
        assert b.view.why == CIRCLES["ab"]
        assert (a.sends(), b.sends()) == (1, 1)


async def test_a_loop_is_refused_and_not_kept(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.script = [LOOP]
        assert await take(setup, b"a") == [refusal(508, LOOP.why)]
        assert await take(setup, b"b", b"c") == [refusal(508, LOOP.why)] * 2
        assert await take(setup, b"d", signal=Signal.METRICS) == [refusal(508, LOOP.why)]
        assert (len(setup.sink.sent), setup.view().state, setup.view().queue_rows) == (1, UpstreamState.HELD, 0)
        await setup.spool.flush()
        assert setup.spool.counters.written == {}
        assert setup.spool.room("up0") == 8 * (1 << 20) * 15 // 16 - 2 * (1 << 20) * 15 // 16


async def test_what_was_acknowledged_before_the_loop_waits_for_its_end(tmp_path: Path) -> None:
    async with spooling(tmp_path, True) as setup:
        setup.sink.script = [RetryLater(0.0, "HTTP 503"), LOOP]
        assert await take(setup, b"a") == [OK]
        await until(lambda: setup.view().state is UpstreamState.HELD)
        assert await take(setup, b"b") == [refusal(508, LOOP.why)]
        assert (len(setup.sink.sent), setup.view().queue_rows) == (2, 1)
    async with spooling(tmp_path, True) as setup:
        await setup.empty()
        assert [sent.body for sent in setup.sink.sent] == [one(b"a")]


async def test_a_joined_batch_carries_the_longest_way() -> None:
    setup = Setup(True)
    setup.sink.open.clear()
    first = setup.relay.take(batch(b"a"))
    ways = {"": 0, "s~9 t~8": 2, "u~7": 1}
    rest = [setup.relay.take(Batch(Signal.TRACES, one(b"b"), 1, hops, via)) for via, hops in ways.items()]
    setup.sink.open.set()
    assert await asyncio.gather(first, *rest) == [OK] * 4
    assert [(sent.hops, sent.via) for sent in setup.sink.sent] == [(0, ""), (2, "s~9 t~8")]
