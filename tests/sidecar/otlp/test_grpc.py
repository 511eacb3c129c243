"""The gRPC receiver over real sockets: grpcio as the client, raw frames for what no client would do, h2load and h2spec."""

from __future__ import annotations

import asyncio
import gzip
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from struct import pack
from typing import Any

import grpc
import pytest
from hpack import Encoder

from sidecar.logic.otlp_http import Reply, encode_partial_success, refusal
from sidecar.model.counters import ReceiverCounters
from sidecar.model.signals import Batch, Signal
from sidecar.otlp.grpc import Connection
from sidecar.otlp.http import Config, Receiver
from tests.fakes import until
from tests.real import require
from tests.sidecar.logic.http2_client import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    EXPORT,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    Frame,
    fields_of,
    frame,
    goaway,
    message,
    setting,
)
from tests.sidecar.otlp.receiving import SPAN, TWO_SPANS, Taker, field, large

CHECK = "/grpc.health.v1.Health/Check"
MIB = 1 << 20


class Raw:
    """A connection of frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder = Encoder()

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    def begin(self, *settings: bytes) -> None:
        self.send(PREFACE, frame(SETTINGS, 0, 0, b"".join(settings)))

    def call(self, stream: int, body: bytes, flags: int = END_STREAM, path: str = EXPORT, **more: str) -> None:
        given = [(name, path if name == ":path" else value) for name, value in REQUEST]
        given += [(name.replace("_", "-"), value) for name, value in more.items()]
        self.send(frame(HEADERS, END_HEADERS, stream, self.encoder.encode(given)), frame(DATA, flags, stream, body))

    async def frame(self) -> Frame:
        head = await self.reader.readexactly(9)
        payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    async def until(self, kind: int, flags: int = 0) -> list[Frame]:
        """Frames up to the first of this kind with these flags."""
        said = [await self.frame()]
        while said[-1][0] != kind or said[-1][1] & flags != flags:
            said.append(await self.frame())
        return said

    async def status(self) -> tuple[int, str, str]:
        """Of the next stream that ends: its number, grpc-status and message."""
        _, _, stream, payload = (await self.until(HEADERS, END_STREAM))[-1]
        fields = fields_of(payload)
        return stream, fields["grpc-status"], fields.get("grpc-message", "")

    async def rest(self) -> list[Frame]:
        said = []
        try:
            while True:
                said.append(await self.frame())
        except asyncio.IncompleteReadError:
            return said


class Setup:
    def __init__(self, receiver: Receiver, taker: Taker, port: int) -> None:
        self.receiver, self.taker, self.port = receiver, taker, port
        self.clients: list[Raw] = []
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    async def raw(self) -> Raw:
        client = Raw(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def call(self, body: bytes, method: str = EXPORT, **more: Any) -> bytes:
        return bytes(await self.channel.unary_unary(method)(body, **more))

    async def refused(self, body: bytes, method: str = EXPORT, **more: Any) -> tuple[str, str, dict[str, Any]]:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.call(body, method, **more)
        trailers = {**dict(error.value.initial_metadata() or ()), **dict(error.value.trailing_metadata() or ())}
        return error.value.code().name, str(error.value.details()), trailers


@asynccontextmanager
async def receiving(**config: Any) -> AsyncIterator[Setup]:
    taker = Taker()
    receiver = Receiver(Config(**config), taker.take, ReceiverCounters())
    server = await asyncio.get_running_loop().create_server(lambda: Connection(receiver), "127.0.0.1", 0)
    setup = Setup(receiver, taker, server.sockets[0].getsockname()[1])
    try:
        yield setup
    finally:
        await setup.channel.close()
        for client in setup.clients:
            client.writer.close()
        await receiver.close()
        server.close()


# grpcio


async def test_a_request_is_counted_handed_on_and_answered_with_an_empty_response() -> None:
    async with receiving() as setup:
        assert await setup.call(TWO_SPANS, metadata=[("outrider-hop", "2"), ("outrider-via", "a b")], timeout=5) == b""
        assert setup.taker.batches == [Batch(Signal.TRACES, TWO_SPANS, 2, 2, "a b")]
        counters = setup.receiver.counters
        assert (counters.requests[Signal.TRACES], counters.items[Signal.TRACES]) == (1, 2)
        assert counters.bytes[Signal.TRACES] == len(TWO_SPANS)
        assert (setup.receiver.in_flight, counters.connections) == (0, 1)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_hundred_requests_at_once_and_a_large_one(compression: grpc.Compression) -> None:
    async with receiving() as setup:
        bodies = [field(1, field(2, SPAN * n)) for n in range(1, 100)] + [large(5 * MIB)]
        answers = await asyncio.gather(*(setup.call(body, compression=compression) for body in bodies * 2))
        assert answers == [b""] * 200
        assert sorted(batch.items for batch in setup.taker.batches) == sorted([*range(1, 100), 1] * 2)
        assert {len(batch.body) for batch in setup.taker.batches} == {len(body) for body in bodies}
        assert setup.receiver.in_flight == 0


@pytest.mark.parametrize(
    ("service", "signal"),
    [("trace.v1.TraceService", "traces"), ("metrics.v1.MetricsService", "metrics"), ("logs.v1.LogsService", "logs")],
)
async def test_each_signal_has_its_method(service: str, signal: str) -> None:
    point = field(1, field(2, field(2, field(5, field(1, b"")))))
    async with receiving() as setup:
        body = point if signal == "metrics" else field(1, field(2, SPAN))
        await setup.call(body, f"/opentelemetry.proto.collector.{service}/Export")
        assert [(b.signal, b.items) for b in setup.taker.batches] == [(signal, 1)]


async def test_an_empty_request_is_fine_and_partial_success_is_passed_on() -> None:
    partial = encode_partial_success(1, "too old")
    async with receiving() as setup:
        assert await setup.call(b"") == b""
        setup.taker.replies = [Reply(200, partial)]
        assert await setup.call(TWO_SPANS) == partial


async def test_refusals_carry_their_status_and_when_to_try_again() -> None:
    async with receiving() as setup:
        setup.taker.replies = [refusal(503, "the upstream is 100% down", 2), refusal(400, "no")]
        code, why, trailers = await setup.refused(TWO_SPANS)
        assert (code, why) == ("UNAVAILABLE", "the upstream is 100% down")
        assert trailers["google.rpc.retryinfo-bin"] == b"\x0a\x02\x08\x02"
        assert "grpc-status-details-bin" in trailers
        assert (await setup.refused(TWO_SPANS))[:2] == ("INVALID_ARGUMENT", "no")
        assert setup.receiver.counters.refused == {503: 1, 400: 1}


async def test_what_is_no_request_is_an_invalid_argument() -> None:
    async with receiving() as setup:
        code, why, _ = await setup.refused(b"\x0a\x05x")
        assert (code, why) == (
            "INVALID_ARGUMENT",
            "the body is not an OTLP request: the message ends inside a field at byte 3",
        )
        assert setup.receiver.in_flight == 0


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_message_over_the_limit_is_exhausted_for_good(compression: grpc.Compression) -> None:
    async with receiving(max_body_bytes=MIB) as setup:
        code, why, trailers = await setup.refused(large(MIB + 1), compression=compression)
        assert code == "RESOURCE_EXHAUSTED"
        assert "1MiB" in why or "1048576" in why
        assert "google.rpc.retryinfo-bin" not in trailers
        assert await setup.call(TWO_SPANS) == b"", "the connection goes on"
        assert setup.receiver.in_flight == 0


async def test_health_is_told_and_other_methods_are_not_there() -> None:
    async with receiving() as setup:
        assert await setup.call(b"", CHECK) == b"\x08\x01"
        assert (await setup.refused(b"\x0a\x01x", CHECK))[0] == "NOT_FOUND"
        assert (await setup.refused(b"", "/grpc.health.v1.Health/Watch"))[0] == "UNIMPLEMENTED"
        assert (await setup.refused(TWO_SPANS, "/x.Y/Export"))[0] == "UNIMPLEMENTED"
        assert setup.taker.batches == []


async def test_a_call_whose_deadline_has_passed_is_over() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        assert (await setup.refused(TWO_SPANS, timeout=0.2))[0] == "DEADLINE_EXCEEDED"
        setup.taker.open.set()
        await until(lambda: setup.receiver.in_flight == 0)
        assert await setup.call(TWO_SPANS) == b""


async def test_drain_lets_requests_finish_and_clients_go_elsewhere() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        calls = [asyncio.ensure_future(setup.call(TWO_SPANS)) for _ in range(5)]
        await until(lambda: len(setup.taker.batches) == 5)
        draining = asyncio.create_task(setup.receiver.drain(5))
        await asyncio.sleep(0.05)
        setup.taker.open.set()
        assert await asyncio.gather(*calls) == [b""] * 5
        await draining
        assert setup.receiver.counters.connections == 0


# Frames


async def test_answers_that_are_ready_together_leave_in_one_write() -> None:
    async with receiving() as setup:
        client = await setup.raw()
        client.begin()
        for n in range(50):
            client.call(2 * n + 1, message(TWO_SPANS))
        assert [(await client.status())[:2] for _ in range(50)] == [(2 * n + 1, "0") for n in range(50)]


async def test_a_message_may_come_in_any_pieces() -> None:
    async with receiving() as setup:
        client = await setup.raw()
        client.begin()
        whole = message(TWO_SPANS)
        client.call(1, whole[:1], flags=0)
        for at in range(1, len(whole)):
            client.send(frame(DATA, END_STREAM if at == len(whole) - 1 else 0, 1, whole[at : at + 1]))
            await client.writer.drain()
        assert await client.status() == (1, "0", "")
        assert setup.taker.batches == [Batch(Signal.TRACES, TWO_SPANS, 2)]


@pytest.mark.parametrize(
    ("body", "more", "status", "why"),
    [
        (b"", {}, "3", "no message"),
        (b"\0\0\0", {}, "3", "the message is cut short"),
        (message(TWO_SPANS)[:-1], {}, "3", "the message is cut short"),
        (message(TWO_SPANS) * 2, {}, "3", "more than one message, expected one"),
        (b"\x02\0\0\0\0", {}, "3", "the message is marked as compressed, and grpc-encoding names no compression"),
        (message(b"x", True), {}, "3", "the message is marked as compressed, and grpc-encoding names no compression"),
        (
            message(b"xxxx", True),
            {"grpc_encoding": "gzip"},
            "3",
            "the body is not gzip: it does not start as gzip does",
        ),
        (message(b"x"), {"grpc_encoding": "br"}, "12", "the encoding is br, expected gzip or identity"),
        (message(b"x"), {"grpc_timeout": "1"}, "3", "grpc-timeout is not a number and a unit"),
        (
            message(b""),
            {"outrider_hop": "5"},
            "9",
            "this request has been through 5 Outriders: their upstreams form a loop",
        ),
        (b"\0\xff\xff\xff\xff", {}, "8", "the message has 4294967295 bytes, more than 20MiB"),
    ],
)
async def test_messages_that_cannot_be_taken(body: bytes, more: dict[str, str], status: str, why: str) -> None:
    async with receiving() as setup:
        client = await setup.raw()
        client.begin()
        client.call(1, body, END_STREAM, EXPORT, **more)
        assert await client.status() == (1, status, why)
        client.call(3, message(gzip.compress(TWO_SPANS), True), END_STREAM, EXPORT, grpc_encoding="gzip")
        assert await client.status() == (3, "0", "")
        assert (setup.receiver.in_flight, len(setup.taker.batches)) == (0, 1)


async def test_other_http2_clients_hear_that_this_is_grpc() -> None:
    async with receiving() as setup:
        client = await setup.raw()
        client.begin()
        client.call(1, b"{}", content_type="application/json")  # joined with the other, which is none either
        said = await client.until(DATA, END_STREAM)
        assert fields_of(said[-2][3])[":status"] == "415"
        assert said[-1][3] == b"this port speaks gRPC; OTLP/HTTP is on 4318\n"


async def test_an_http1_client_hears_where_it_belongs() -> None:
    async with receiving() as setup:
        client = await setup.raw()
        client.send(b"POST /v1/traces HTT")
        await asyncio.sleep(0.02)
        client.send(b"P/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        answer = await client.reader.read()
        assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
        assert answer.endswith(b"\r\n\r\nthis port speaks gRPC; OTLP/HTTP is on 4318\n")


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00", b"INVALID\r\n\r\n", b"A" * 9000])
async def test_garbage_hears_goodbye(first: bytes) -> None:
    async with receiving() as setup:
        client = await setup.raw()
        client.send(first)
        assert goaway(await client.rest()) == 1


async def test_a_faulty_client_reads_the_reason_although_it_is_still_sending() -> None:
    async with receiving() as setup:
        client = await setup.raw()
        client.begin()
        client.send(frame(DATA, 0, 0, b"x"))
        client.send(*(frame(DATA, 0, 1, bytes(60_000)) for _ in range(50)))
        assert goaway(await client.rest()) == 1


# Limits


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has taken too long is looked for often."""
    monkeypatch.setattr("sidecar.otlp.http.SWEEP", 0.05)


async def test_a_connection_too_many_is_closed_with_a_reason() -> None:
    async with receiving(max_connections=1) as setup:
        await setup.call(TWO_SPANS)
        client = await setup.raw()
        assert goaway(await client.rest()) == 7
        assert setup.receiver.counters.refused == {503: 1}


@pytest.mark.usefixtures("swept")
async def test_a_client_that_says_nothing_is_cut_off() -> None:
    async with receiving(header_timeout=0.5) as setup:
        client = await setup.raw()
        assert await client.reader.read() == b""
        client = await setup.raw()
        client.begin()
        client.send(frame(HEADERS, 0, 1, b"\x82"))
        assert goaway(await client.rest()) == 11


@pytest.mark.usefixtures("swept")
async def test_a_client_that_is_slow_to_begin_is_waited_for() -> None:
    async with receiving() as setup:
        client = await setup.raw()
        for piece in (PREFACE[:10], PREFACE[10:], frame(SETTINGS)):
            client.send(piece)
            await asyncio.sleep(0.1)  # longer than from one sweep to the next
        client.call(1, message(TWO_SPANS))
        assert await client.status() == (1, "0", "")


@pytest.mark.usefixtures("swept")
async def test_a_message_that_does_not_come_is_refused_alone() -> None:
    async with receiving(body_timeout=0.5) as setup:
        client = await setup.raw()
        client.begin()
        client.call(1, message(TWO_SPANS)[:-1], flags=0)
        assert await client.status() == (1, "4", "the message took too long")
        client.call(3, message(TWO_SPANS))
        assert await client.status() == (3, "0", "")
        assert setup.receiver.in_flight == 0


@pytest.mark.usefixtures("swept")
async def test_an_unused_connection_is_drained() -> None:
    async with receiving(idle_timeout=0.5) as setup:
        client = await setup.raw()
        client.begin()
        client.call(1, message(TWO_SPANS))
        assert await client.status() == (1, "0", "")
        said = await client.until(PING)
        assert goaway(said) == 0
        client.send(frame(PING, ACK, 0, said[-1][3]))
        assert [kind for kind, *_ in await client.rest()] == [GOAWAY]


@pytest.mark.usefixtures("swept")
async def test_a_used_connection_is_not() -> None:
    async with receiving(idle_timeout=1.0) as setup:
        client = await setup.raw()
        client.begin()
        for n in range(15):
            client.call(2 * n + 1, message(TWO_SPANS))
            assert await client.status() == (2 * n + 1, "0", "")
            await asyncio.sleep(0.1)


@pytest.mark.usefixtures("swept")
async def test_answers_that_are_never_let_through_end_the_connection() -> None:
    async with receiving(body_timeout=0.5) as setup:
        client = await setup.raw()
        client.begin(setting(4, 0))
        client.call(1, message(TWO_SPANS))
        assert goaway(await client.rest()) == 11
        assert setup.receiver.in_flight == 0


async def test_reading_pauses_while_too_much_waits_for_its_answer_and_then_goes_on() -> None:
    async with receiving(max_body_bytes=MIB, max_in_flight_bytes=2 * MIB) as setup:
        setup.taker.open.clear()
        client = await setup.raw()
        client.begin()
        body = large(800_000)
        credit = asyncio.create_task(client.rest())
        for n in range(8):
            pieces = [message(body)[at : at + 16384] for at in range(0, len(body) + 5, 16384)]
            client.call(2 * n + 1, b"", flags=0)
            client.send(*(frame(DATA, END_STREAM * (p is pieces[-1]), 2 * n + 1, p) for p in pieces))
            await asyncio.sleep(0.01)
        await until(lambda: len(setup.taker.batches) >= 2)
        await asyncio.sleep(0.1)
        assert setup.receiver.in_flight < 3 * MIB + 500_000
        assert len(setup.taker.batches) < 8
        setup.taker.open.set()
        await until(lambda: len(setup.taker.batches) == 8)
        await until(lambda: setup.receiver.in_flight == 0)
        client.writer.close()
        await credit


async def test_unfinished_messages_make_room_for_each_other() -> None:
    async with receiving(max_body_bytes=MIB, max_in_flight_bytes=MIB) as setup:
        client = await setup.raw()
        client.begin()
        for n in range(3):
            client.call(2 * n + 1, message(large(700_000))[: 400_000 + n][:60_000], flags=0)
            for _ in range(6):
                client.send(frame(DATA, 0, 2 * n + 1, bytes(60_000)))
        _, status, why = await client.status()
        assert (status, why) == ("14", "too many unfinished requests at once")
        client.writer.close()
        await until(lambda: setup.receiver.counters.connections == 0)
        assert setup.receiver.in_flight == 0


async def test_a_connection_that_is_lost_gives_everything_back() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        client = await setup.raw()
        client.begin()
        client.call(1, message(TWO_SPANS))
        client.call(3, message(TWO_SPANS)[:-1], flags=0)
        client.call(5, message(TWO_SPANS))
        client.send(frame(RST_STREAM, 0, 5, pack(">I", 8)))
        await until(lambda: len(setup.taker.batches) == 2)
        client.writer.transport.abort()
        await asyncio.sleep(0.02)
        setup.taker.open.set()
        await until(lambda: setup.receiver.counters.connections == 0)
        await until(lambda: setup.receiver.in_flight == 0)


async def test_noise_after_the_preface_is_survived() -> None:
    noise = random.Random(7)
    async with receiving() as setup:
        for _ in range(30):
            client = await setup.raw()
            client.begin()
            client.send(noise.randbytes(noise.randint(1, 5000)))
            client.writer.write_eof()
            await client.rest()
        await until(lambda: setup.receiver.counters.connections == 0)
        assert setup.receiver.in_flight == 0
        assert await setup.call(TWO_SPANS) == b""


# Programs


async def ran(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_h2load_gets_an_answer_to_each_request(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(message(large(100_000)))
    async with receiving() as setup:
        url = f"http://127.0.0.1:{setup.port}{EXPORT}"
        fields = ("-H", "content-type: application/grpc", "-H", "te: trailers")
        status, out = await ran(
            require("h2load"), "-n", "1000", "-c", "4", "-m", "64", "-d", str(tmp_path / "body"), *fields, url
        )
        assert status == 0, out
        assert "1000 succeeded, 0 failed, 0 errored" in out
        assert setup.receiver.counters.items[Signal.TRACES] == 1000


async def test_every_test_of_h2spec_passes() -> None:
    """RFC 9113 and RFC 7541 as https://github.com/summerwind/h2spec asks for them; there are no exceptions."""
    h2spec = require("h2spec")
    async with receiving() as setup:
        status, out = await ran(h2spec, "-h", "127.0.0.1", "-p", str(setup.port), "-o", "3")
        assert status == 0, out
        assert "145 tests, 145 passed, 0 skipped, 0 failed" in out
