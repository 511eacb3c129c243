"""An answer without end is read as it comes; how it ended is told, and a server that is faster than its reader waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.io.http_connection import BadResponse, Closed
from sidecar.io.http_stream import HttpStream
from tests.fakes import until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def connected(path: Path, serve: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[HttpStream]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(writer)
        except ConnectionError:
            pass  # the reader has gone
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, path)
    _, stream = await asyncio.get_running_loop().create_unix_connection(HttpStream, str(path))
    yield stream
    stream.close()
    server.close()
    await server.wait_closed()


def sends(*pieces: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def serve(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)

    return serve


async def everything(stream: HttpStream) -> bytes:
    whole = b""
    while data := await stream.read():
        whole += data
    return whole


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNKED, b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"],
        [CHUNKED + b"6\r\nonetwo\r\n0\r\n\r\n"],
        [OK + b"Content-Length: 6\r\n\r\non", b"etwo"],
        [OK + b"\r\n", b"onetwo"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 6\r\n\r\nonetwo"],
    ],
    ids=["chunks", "at once", "length", "until the end of the connection", "after an interim answer"],
)
async def test_a_body_comes_whole_however_it_is_framed(tmp_path: Path, pieces: list[bytes]) -> None:
    async with connected(tmp_path / "s", sends(*pieces)) as stream:
        assert await stream.get(GET) == 200
        assert await everything(stream) == b"onetwo"
        assert await stream.read() == b""


@pytest.mark.parametrize("head", [CHUNKED + b"3\r\n", OK + b"Content-Length: 100\r\n\r\n"])
async def test_a_connection_that_breaks_in_the_middle_is_no_end(tmp_path: Path, head: bytes) -> None:
    async with connected(tmp_path / "s", sends(head + b"one")) as stream:
        await stream.get(GET)
        assert await stream.read() == b"one"
        with pytest.raises(Closed, match="in the middle of the answer"):
            await stream.read()


async def test_no_answer_at_all_is_told(tmp_path: Path) -> None:
    async with connected(tmp_path / "s", sends()) as stream:
        with pytest.raises(Closed, match="without an answer"):
            await stream.get(GET)


async def test_what_is_not_http_is_told(tmp_path: Path) -> None:
    async with connected(tmp_path / "s", sends(b"+PONG\r\n")) as stream:
        with pytest.raises(BadResponse, match="not HTTP"):
            await stream.get(GET)


async def test_a_head_without_end_is_not_kept(tmp_path: Path) -> None:
    async with connected(tmp_path / "s", sends(OK, *[b"X-A: " + b"a" * 8000 + b"\r\n"] * 20)) as stream:
        with pytest.raises(BadResponse):
            await stream.get(GET)


async def test_a_read_that_was_given_up_loses_nothing(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await go.wait()
        writer.write(b"3\r\none\r\n0\r\n\r\n")
        await writer.drain()

    async with connected(tmp_path / "s", serve) as stream:
        await stream.get(GET)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stream.read()
        go.set()
        assert await everything(stream) == b"one"


async def test_a_server_that_is_faster_than_its_reader_waits(tmp_path: Path) -> None:
    sent = 0

    async def serve(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        for _ in range(256):
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            sent += 65536
        writer.write(b"0\r\n\r\n")

    async with connected(tmp_path / "s", serve) as stream:
        await stream.get(GET)
        await until(lambda: sent)
        await asyncio.sleep(0.05)
        assert sent < 4 << 20
        assert len(await everything(stream)) == 16 << 20


async def test_a_body_that_is_longer_than_allowed_is_not_taken(tmp_path: Path) -> None:
    async with connected(tmp_path / "s", sends(OK + b"Content-Length: 6\r\n\r\nonetwo")) as stream:
        await stream.get(GET)
        with pytest.raises(BadResponse, match="longer than 5 bytes"):
            await stream.body(5)
