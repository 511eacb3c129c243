"""What the receiver refuses because it is too much, too long or too slow."""

from __future__ import annotations

import asyncio
import gzip
import struct

import pytest

from sidecar.logic.otlp_http import decode_status
from sidecar.otlp.connection import MAX_FRAMING
from tests.fakes import until
from tests.sidecar.otlp.receiving import TWO_SPANS, field, large, receiving


async def test_a_body_of_undeclared_length_is_refused_once_it_is_too_long() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(b"", Content_Length="", Transfer_Encoding="chunked")
        piece = field(1, bytes(100_000))
        try:
            for _ in range(100):
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                await client.writer.drain()
        except ConnectionError:
            pass
        assert (await client.refusal()) == (413, 8, "the body without Content-Length has more than 8MiB")
        assert setup.receiver.in_flight == 0


async def test_chunks_that_say_much_and_hold_little_are_refused() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(b"", Content_Length="", Transfer_Encoding="chunked")
        client.send(b"1;")
        try:
            for _ in range(100):
                client.send(b"a" * 100_000)
                await client.writer.drain()
        except ConnectionError:
            pass
        assert (await client.refusal()) == (400, 3, "the body has little in its chunks")


async def test_a_chunk_for_each_byte_is_taken() -> None:
    async with receiving() as setup:
        client = await setup.client()
        body = field(1, field(2, b"".join(field(2, field(5, b"%d" % n)) for n in range(40_000))))
        assert 6 * len(body) > MAX_FRAMING + len(body)
        client.post(b"", Content_Length="", Transfer_Encoding="chunked")
        client.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert (await client.answer())[0] == 200
        assert [b.body for b in setup.taker.batches] == [body]


async def test_garbage_is_refused_before_all_of_it_has_come() -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(bytes(1000), Content_Length=str(10 << 20))
        assert await client.refusal() == (
            400,
            3,
            "the body is not an OTLP request: an impossible field number at byte 0",
        )


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(bytes(50 << 20), 1),
        gzip.compress(bytes(50 << 20), 1)[:-4] + struct.pack("<I", 100),
        gzip.compress(bytes(19 << 20), 9),
    ],
    ids=["honest", "lying", "within the limit"],
)
async def test_gzip_bombs_are_refused(bomb: bytes) -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(bomb, Content_Encoding="gzip")
        status, _, body = await client.answer()
        assert (status, decode_status(body)[0]) == (413, 8)
        assert setup.receiver.in_flight == 0


async def test_slow_headers_and_slow_bodies_get_408_and_unused_connections_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sidecar.otlp.http.SWEEP", 0.02)
    async with receiving(header_timeout=0.2, body_timeout=0.2, idle_timeout=0.2) as setup:
        head, body, idle, used = [await setup.client() for _ in range(4)]
        head.send(b"POST /v1/traces HTTP/1.1\r\nX")
        body.post(TWO_SPANS[:3], Content_Length="10")
        used.post(TWO_SPANS)
        assert (await used.answer())[0] == 200
        for _ in range(3):  # a trickle does not help: the headers as a whole have a time
            await asyncio.sleep(0.05)
            head.send(b"T")
        assert await head.refusal() == (408, 4, "the headers took too long")
        assert await body.refusal() == (408, 4, "the body took too long")
        assert await idle.reader.read() == b""
        assert await used.reader.read() == b""


async def test_a_request_that_waits_for_its_answer_has_no_deadline_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.otlp.http.SWEEP", 0.02)
    async with receiving(header_timeout=0.1, body_timeout=0.1, idle_timeout=0.1) as setup:
        setup.taker.open.clear()
        client = await setup.client()
        client.post(TWO_SPANS)
        await asyncio.sleep(0.3)
        setup.taker.open.set()
        assert (await client.answer())[0] == 200


async def test_one_connection_too_many_is_refused() -> None:
    async with receiving(max_connections=2) as setup:
        first, second, third = [await setup.client() for _ in range(3)]
        assert await third.refusal() == (503, 14, "too many connections")
        for client in (first, second):
            client.post(TWO_SPANS)
            assert (await client.answer())[0] == 200


async def test_reading_pauses_while_too_much_waits_for_answers() -> None:
    body = large(100_000)
    async with receiving(max_body_bytes=200_000, max_in_flight_bytes=300_000) as setup:
        setup.taker.open.clear()
        clients = [await setup.client() for _ in range(10)]
        for client in clients:
            client.post(body)
        await until(lambda: len(setup.taker.batches) == 3)
        await asyncio.sleep(0.1)
        assert len(setup.taker.batches) == 3
        assert setup.receiver.in_flight < 300_000 + 256 * 1024  # one read past the limit
        setup.taker.open.set()
        assert [(await client.answer())[0] for client in clients] == [200] * 10
        assert setup.receiver.in_flight == 0


async def test_unfinished_requests_cannot_block_each_other() -> None:
    body = large(190_000)
    async with receiving(max_body_bytes=200_000, max_in_flight_bytes=300_000) as setup:
        greedy = [await setup.client() for _ in range(2)]
        for client in greedy:
            client.post(body[:-10], Content_Length=str(len(body)))
        # The largest is told to come again; the other goes on.
        done, waiting = await asyncio.wait(
            [asyncio.create_task(client.answer()) for client in greedy], return_when=asyncio.FIRST_COMPLETED
        )
        status, headers, reply = done.pop().result()
        assert (status, headers["retry-after"]) == (503, "1")
        assert decode_status(reply) == (14, "too many unfinished requests at once")
        for client in greedy:
            client.send(body[-10:])
        assert (await waiting.pop())[0] == 200
