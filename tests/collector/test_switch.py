"""One port for OTLP and the API."""

from __future__ import annotations

import asyncio

import msgspec

from collector import resources

from .test_api import collector, get, send_otlp
from .test_traces import request as otlp_request


async def test_otlp_and_the_api_share_the_port() -> None:
    async with collector() as (running, session):
        status, answer = await send_otlp(running, otlp_request("api", {"trace": 1, "span": 1, "error": True}))
        assert (status, answer) == (200, b"")
        assert len(running.traces) == 1
        body = (await get(session, "/v1/traces?service=api&error=true&limit=5"))[2]
        traces = msgspec.json.decode(body, type=resources.Traces).traces
        assert [trace.trace_id for trace in traces] == ["01" * 16]


async def test_otlp_on_a_connection_of_the_api_is_sent_to_another_one() -> None:
    async with collector() as (_, session):
        await get(session, "/livez")
        async with session.post("/v1/traces", data=b"") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert response.headers["Connection"] == "close"


async def in_pieces(port: int, *pieces: bytes) -> bytes:
    """The answer to a request that arrives bit by bit and asks to close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.02)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_first_line_in_pieces_is_understood() -> None:
    async with collector() as (running, _):
        get = (b"G", b"ET /liv", b"ez HTTP/1.1\r", b"\nHost: x\r\n", b"Connection: close\r\n\r\n")
        assert (await in_pieces(running.port, *get)).endswith(b'{"status":"ok"}\n')
        body = otlp_request("api", {"trace": 1, "span": 1})
        head = b"Host: x\r\nConnection: close\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
        post = (b"P", b"OST /v1/tra", b"ces HTTP/1.1\r\n", head % len(body), body[:10], body[10:])
        assert (await in_pieces(running.port, *post)).startswith(b"HTTP/1.1 200")
        assert len(running.traces) == 1
