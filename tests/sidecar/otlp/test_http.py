"""The receiver, over real sockets: statuses and bodies of OTLP/HTTP, and how connections end."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable
from typing import Any

import pytest

from sidecar.logic.otlp_http import Reply, decode_status, encode_partial_success
from sidecar.logic.schema import load
from sidecar.model.counters import ReceiverCounters
from sidecar.model.signals import Batch, Signal
from sidecar.otlp.http import Config, Receiver, claims
from tests.fakes import until
from tests.sidecar.otlp.receiving import SPAN, TWO_SPANS, Client, field, large, receiving


async def test_a_request_is_counted_handed_on_and_answered_with_an_empty_response() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(TWO_SPANS, outrider_hop="2", outrider_via="a b")
        assert await client.answer() == (
            200,
            {"content-type": "application/x-protobuf", "content-length": "0"},
            b"",
        )
        assert setup.taker.batches == [Batch(Signal.TRACES, TWO_SPANS, 2, 2, "a b")]
        counters = setup.receiver.counters
        assert counters.requests[Signal.TRACES] == 1
        assert counters.items[Signal.TRACES] == 2
        assert counters.bytes[Signal.TRACES] == len(TWO_SPANS)
        assert setup.receiver.in_flight == 0


@pytest.mark.parametrize("padding", [0, 300_000])
async def test_the_attributes_are_added_to_each_resource_on_the_loop_and_off_it(padding: int) -> None:
    body = TWO_SPANS + field(1, field(9, b"x" * padding))
    async with receiving(attributes={"service.name": "shop"}) as setup:
        client = await setup.client()
        client.post(body)
        assert (await client.answer())[0] == 200
        resource = field(1, field(1, field(1, b"service.name") + field(2, field(1, b"shop"))))
        expected = b"".join(field(1, resource + inside) for inside in (TWO_SPANS[2:], field(9, b"x" * padding)))
        assert setup.taker.batches == [Batch(Signal.TRACES, expected, 2, 0)]
        assert setup.receiver.counters.bytes[Signal.TRACES] == len(body)
        assert setup.receiver.in_flight == 0


@pytest.mark.parametrize(
    ("body", "status"), [(field(1, field(1, b"\xff")), 400), (b"\x0a\x00" * 100_000, 413)], ids=["bad", "many"]
)
async def test_resources_that_cannot_be_completed_are_refused(body: bytes, status: int) -> None:
    async with receiving(attributes={"service.name": "shop"}) as setup:
        client = await setup.client()
        client.post(body)
        assert (await client.answer())[0] == status
        assert setup.taker.batches == []
        assert setup.receiver.in_flight == 0


@pytest.mark.parametrize("signal", Signal)
async def test_each_signal_has_its_path(signal: Signal) -> None:
    point = field(1, field(2, field(2, field(5, field(1, b"")))))
    async with receiving() as setup:
        client = await setup.client()
        client.post(point if signal is Signal.METRICS else field(1, field(2, SPAN)), f"/v1/{signal}?x=1")
        assert (await client.answer())[0] == 200
        assert [(b.signal, b.items) for b in setup.taker.batches] == [(signal, 1)]


async def test_what_the_relay_says_is_answered_with_its_body_and_wait() -> None:
    async with receiving() as setup:
        partial = encode_partial_success(1, "too old")
        setup.taker.replies = [Reply(200, partial), Reply(503, b"\x08\x0e", 2)]
        client = await setup.client()
        client.post(TWO_SPANS)
        assert (await client.answer())[2] == partial
        client.post(TWO_SPANS)
        status, headers, body = await client.answer()
        assert (status, headers["retry-after"], body) == (503, "2", b"\x08\x0e")
        assert setup.receiver.counters.refused == {503: 1}


@pytest.mark.parametrize("body", [b"", field(1, b""), field(1, field(2, b""))])
async def test_an_empty_request_succeeds_and_goes_no_further(body: bytes) -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(body)
        assert (await client.answer())[0] == 200
        assert setup.taker.batches == []


@pytest.mark.parametrize("pieces", [1, 7, 1000])
async def test_gzip_and_chunks_in_any_cut_give_the_same_bytes(pieces: int) -> None:
    body = large(3000)
    async with receiving() as setup:
        client = await setup.client()
        for content, encoding in ((body, ""), (gzip.compress(body), "gzip"), (body, "identity")):
            client.post(b"", Content_Length="", Transfer_Encoding="chunked", Content_Encoding=encoding)
            for at in range(0, len(content), pieces):
                piece = content[at : at + pieces]
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            client.send(b"0\r\n\r\n")
            assert (await client.answer())[0] == 200
            client.post(content, Content_Encoding=encoding)
            assert (await client.answer())[0] == 200
        assert [batch.body for batch in setup.taker.batches] == [body] * 6


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_body_that_leaves_the_loop_arrives_whole(encoding: str) -> None:
    body = large(2_000_000)
    async with receiving() as setup:
        client = await setup.client()
        client.post(gzip.compress(body, 1) if encoding else body, Content_Encoding=encoding)
        assert (await client.answer())[0] == 200
        assert [(batch.body == body, batch.items) for batch in setup.taker.batches] == [(True, 1)]
        assert setup.receiver.in_flight == 0


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        client = await setup.client()
        setup.taker.replies = [Reply(200, bytes([n])) for n in range(40)]
        for _ in range(40):
            client.post(TWO_SPANS)
        await until(lambda: len(setup.taker.batches) >= 16)
        setup.taker.open.set()
        assert [(await client.answer())[2] for _ in range(40)] == [bytes([n]) for n in range(40)]


async def test_a_refusal_waits_for_the_answers_before_it() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        client = await setup.client()
        client.post(TWO_SPANS)
        client.post(TWO_SPANS, "/v2/traces")
        client.post(TWO_SPANS)  # after the refusal: not read
        await until(lambda: setup.receiver.counters.refused == {404: 1})
        setup.taker.open.set()
        assert (await client.answer())[0] == 200
        assert (await client.refusal())[0] == 404
        assert len(setup.taker.batches) == 1


REFUSED: list[tuple[str, dict[str, str], bytes, tuple[int, int, str]]] = [
    (
        "/v1/traces",
        {},
        b"\x0a\x05x",
        (400, 3, "the body is not an OTLP request: the message ends inside a field at byte 3"),
    ),
    (
        "/v1/traces",
        {},
        field(1, field(2, SPAN))[:-1],
        (400, 3, "the body is not an OTLP request: the message ends inside a field at byte 5"),
    ),
    ("/v1/spans", {}, b"", (404, 12, "no such path, expected /v1/traces, /v1/metrics or /v1/logs")),
    (
        "/v1/traces",
        {"Content_Encoding": "gzip"},
        b"plain",
        (400, 3, "the body is not gzip: it does not start as gzip does"),
    ),
    ("/v1/traces", {"Content_Encoding": "gzip"}, b"\x1f\x8b\0\0\0\0", (400, 3, "")),
    (
        "/v1/traces",
        {"Content_Encoding": "zstd"},
        b"x",
        (415, 3, "the content encoding is zstd, expected gzip or identity"),
    ),
    (
        "/v1/traces",
        {"Content_Type": "text/plain"},
        b"x",
        (415, 3, "the content type is text/plain, expected application/x-protobuf or application/json"),
    ),
    (
        "/v1/traces",
        {"Content_Type": ""},
        b"x",
        (415, 3, "the content type is nothing, expected application/x-protobuf or application/json"),
    ),
    ("/v1/traces", {"Content_Length": "20971521"}, b"", (413, 8, "the body has 20971521 bytes, more than 20MiB")),
    (
        "/v1/traces",
        {"outrider_hop": "5"},
        TWO_SPANS,
        (508, 9, "this request has been through 5 Outriders: their upstreams form a loop"),
    ),
    ("/v1/traces", {"x": "y" * 40000}, b"", (431, 3, "more than 32KiB of headers")),
]


@pytest.mark.parametrize(("path", "headers", "body", "expected"), REFUSED)
async def test_a_refusal_has_its_status_and_a_protobuf_status(
    path: str, headers: dict[str, str], body: bytes, expected: tuple[int, int, str]
) -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(body, path, **headers)
        status, answered, reply = await client.answer()
        code, message = decode_status(reply)
        assert answered["content-type"] == "application/x-protobuf"
        assert (status, code, message if expected[2] else "") == expected
        assert setup.receiver.counters.refused == {status: 1}
        assert setup.taker.batches == []
        assert setup.receiver.in_flight == 0


async def test_another_method_is_told_which_is_allowed() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.send(b"GET /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, body = await client.answer()
        assert (status, headers["allow"], decode_status(body)) == (405, "POST", (12, "the method is not POST"))


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"\x16\x03\x01\x02\x00", "not HTTP/1.1: "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "this is HTTP/2: OTLP/gRPC has a port of its own, by default 4317"),
        (b"hello\r\n\r\n", "not HTTP/1.1: "),
    ],
)
async def test_what_is_not_http_is_refused(first: bytes, why: str) -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.send(first)
        status, code, said = await client.refusal()
        assert (status, code) == (400, 3)
        assert said.startswith(why)


async def test_a_client_that_sends_on_reads_the_refusal_instead_of_a_reset() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(b"", Content_Length=str(30 << 20))
        for _ in range(30):
            client.send(bytes(1 << 20))
            await asyncio.sleep(0)
        assert (await client.answer())[0] == 413
        assert setup.receiver.in_flight == 0


async def test_a_client_that_asks_first_is_told_to_go_on_or_not() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(b"", Expect="100-continue", Content_Length=str(len(TWO_SPANS)))
        assert await client.answer() == (100, {}, b"")
        client.send(TWO_SPANS)
        assert (await client.answer())[0] == 200
        client.post(b"", Expect="100-continue", Content_Length=str(21 << 20))
        assert (await client.refusal())[0] == 413


async def test_an_offer_to_upgrade_is_ignored() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(TWO_SPANS, Connection="Upgrade, HTTP2-Settings", Upgrade="h2c")
        assert (await client.answer())[0] == 200
        client.post(TWO_SPANS)
        assert (await client.answer())[0] == 200


async def test_a_request_that_is_cut_short_is_told_so() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(TWO_SPANS, Content_Length="1000")
        client.writer.write_eof()
        assert await client.refusal() == (400, 3, "the request is cut short")
        assert setup.receiver.in_flight == 0


async def test_a_client_that_ends_its_side_still_gets_its_answer() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        client = await setup.client()
        client.post(TWO_SPANS)
        client.writer.write_eof()
        await until(lambda: len(setup.taker.batches) == 1)
        await asyncio.sleep(0.02)
        setup.taker.open.set()
        assert (await client.answer())[0] == 200
        assert await client.reader.read() == b""


async def test_a_client_that_goes_away_leaves_nothing_behind() -> None:
    async with receiving() as setup:
        for cut in (b"", b"PO", b"POST /v1/traces HTTP/1.1\r\n"):
            client = await setup.client()
            client.send(cut)
            client.writer.close()
        client = await setup.client()
        client.post(field(1, bytes(500)), Content_Length="5000")
        await until(lambda: setup.receiver.in_flight == 503)
        client.writer.close()
        await until(lambda: setup.receiver.counters.connections == 0)
        assert setup.receiver.in_flight == 0


async def test_a_bug_behind_the_receiver_is_an_internal_error_and_is_reported() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))

    async def broken(batch: Batch) -> Reply:
        raise KeyError(batch.items)

    def broken_at_once(batch: Batch) -> Awaitable[Reply]:
        raise KeyError(batch.items)

    for take in (broken, broken_at_once):
        receiver = Receiver(Config(), take, ReceiverCounters())
        server = await asyncio.get_running_loop().create_server(receiver.protocol, "127.0.0.1", 0)
        client = Client(*await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1]))
        client.post(TWO_SPANS)
        status, _, body = await client.answer()
        assert (status, decode_status(body)) == (500, (13, "internal error"))
        client.writer.close()
        await receiver.close()
        server.close()
    assert [context["message"] for context in reported] == ["an OTLP request failed on a bug"] * 2


async def test_draining_answers_what_is_in_flight_and_closes_the_rest() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        busy, idle = await setup.client(), await setup.client()
        busy.post(TWO_SPANS)
        await until(lambda: len(setup.taker.batches) == 1 and setup.receiver.counters.connections == 2)
        draining = asyncio.create_task(setup.receiver.drain(5.0))
        assert await idle.reader.read() == b""
        setup.taker.open.set()
        status, headers, _ = await busy.answer()
        assert (status, headers["connection"]) == (200, "close")
        await asyncio.wait_for(draining, 5)
        assert setup.receiver.counters.connections == 0


async def test_closing_answers_nobody_waits_in_vain() -> None:
    async with receiving() as setup:
        setup.taker.open.clear()
        client = await setup.client()
        client.post(TWO_SPANS)
        await until(lambda: len(setup.taker.batches) == 1)
        await setup.receiver.drain(0.01)
        await setup.receiver.close()
        assert setup.receiver.in_flight == 0


async def test_a_connection_with_another_protocol_before_it_can_be_handed_over() -> None:
    async with receiving() as setup:

        class Switch(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                assert claims(data)
                protocol = setup.receiver.protocol()
                self.transport.set_protocol(protocol)
                protocol.connection_made(self.transport)
                protocol.data_received(data)

        server = await asyncio.get_running_loop().create_server(Switch, "127.0.0.1", 0)
        client = Client(*await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1]))
        for _ in range(2):
            client.post(TWO_SPANS)
            assert (await client.answer())[0] == 200
        client.writer.close()
        server.close()


@pytest.mark.parametrize(
    ("first", "ours"),
    [
        (b"POST /v1/traces HTTP/1.1\r\n", True),
        (b"POST /v1/metrics?a HTTP/1.1\r\n", True),
        (b"POST /v1/logs ", True),
        (b"GET /v1/traces HTTP/1.1\r\n", False),
        (b"POST /v1/heartbeats HTTP/1.1\r\n", False),
        (b"POST /v1/tracesX HTTP/1.1\r\n", False),
        (b"", False),
    ],
)
def test_only_export_requests_are_claimed(first: bytes, ours: bool) -> None:
    assert claims(first) is ours


def test_the_limits_of_the_configuration_hold_together() -> None:
    assert load(Config, {}, {}, "file")[1] == []
    _, problems = load(Config, {"max_body_bytes": "40MiB", "max_connections": 0, "idle_timeout": "0s"}, {}, "file")
    assert list(map(str, problems)) == [
        "file: max_connections: 0 is out of range, expected 1 or more",
        "file: idle_timeout: 0s is out of range, expected more than 0s and at most 1h",
        "file: max_in_flight_bytes: smaller than max_body_bytes, expected 40MiB or more",
    ]
