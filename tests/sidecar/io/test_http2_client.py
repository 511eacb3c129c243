"""Requests over HTTP/2 on real sockets: what is sent on which connection, when servers take no more, vanish or say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from struct import pack
from typing import Any

import pytest

from sidecar.io import http2_client
from sidecar.io.http2_client import Http2Client
from sidecar.io.http2_connection import Http2Connection, Keepalive, Response, TooLong, Unprocessed
from sidecar.logic import http2
from sidecar.logic.http2_frames import Code
from sidecar.logic.http_request import endpoint
from tests.fakes import HttpServer, Proxy, until
from tests.sidecar.logic.http2_client import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    frame,
    setting,
)
from tests.sidecar.logic.http2_peers import HEAD


def ok(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x88")


class Peer:
    """The server's end of one connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def frame(self) -> Frame:
        head = await self.reader.readexactly(9)
        payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    async def hears(self, kind: int) -> Frame:
        """The next frame of a kind."""
        while True:
            said = await self.frame()
            if said[0] == kind and not (kind in (SETTINGS, PING) and said[1] & ACK):
                return said

    def says(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))


class Server:
    """Takes connections on a free port; `settings` is what it says first."""

    def __init__(self, settings: bytes = b"") -> None:
        self.settings = settings
        self.accepted: asyncio.Queue[Peer] = asyncio.Queue()
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        assert await reader.readexactly(len(PREFACE)) == PREFACE
        peer = Peer(reader, writer)
        peer.says(frame(SETTINGS, 0, 0, self.settings), frame(SETTINGS, ACK))
        await self.accepted.put(peer)

    async def peer(self) -> Peer:
        return await self.accepted.get()


@asynccontextmanager
async def client(port: int, keepalive: Keepalive | None = None, most_body: int = 1000) -> AsyncIterator[Http2Client]:
    made = Http2Client(endpoint(f"http://127.0.0.1:{port}"), None, None, keepalive, most_body)
    try:
        yield made
    finally:
        await made.close()


def asked(made: Http2Client, body: bytes = b"body", timeout: float = 20.0) -> asyncio.Task[Response]:
    return asyncio.create_task(made.exchange(HEAD, [body], timeout))


async def test_requests_share_a_connection_and_are_answered_in_any_order() -> None:
    async with Server() as server, client(server.port) as made:
        one, two = asked(made), asked(made)
        peer = await server.peer()
        assert [(await peer.hears(DATA))[2] for _ in range(2)] == [1, 3]
        peer.says(ok(3))
        assert (await two).head == {b":status": b"200"}
        assert not one.done()
        peer.says(
            frame(HEADERS, END_HEADERS, 1, b"\x88"),
            frame(DATA, 0, 1, b"hello"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x01a\x01b"),
        )
        assert await one == Response({b":status": b"200"}, {b"a": b"b"}, b"hello")
        assert server.connections == 1


class Written(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False


@pytest.mark.parametrize("size", [100, 16_384, 60_000])
async def test_a_request_is_one_write(size: int) -> None:
    transport = Written()
    connection = Http2Connection("x", 1000, None, lambda: None)
    connection.connection_made(transport)
    connection.data_received(frame(SETTINGS))
    transport.writes.clear()
    task = asyncio.create_task(connection.exchange(HEAD, [bytes(5), bytes(size)]))
    await asyncio.sleep(0)
    assert len(transport.writes) == 1
    assert len(transport.writes[0]) > size
    connection.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        await task


async def test_a_large_body_arrives_whole_through_small_windows() -> None:
    body = bytes(range(256)) * 4096
    async with Server() as server, client(server.port) as made:
        task = asked(made, body)
        peer = await server.peer()
        got, ends = b"", 0
        while not ends:
            _, flags, _, payload = await peer.hears(DATA)
            got, ends = got + payload, flags & END_STREAM
            grant = pack(">I", len(payload))
            peer.says(frame(WINDOW_UPDATE, 0, 0, grant), frame(WINDOW_UPDATE, 0, 1, grant))
        assert got == body
        peer.says(ok(1))
        await task


async def test_a_server_that_takes_one_stream_gets_another_connection_and_no_more_than_four() -> None:
    async with Server(setting(3, 1)) as server, client(server.port) as made:
        tasks = [asked(made) for _ in range(6)]
        peers = [await server.peer() for _ in range(4)]
        for peer in peers:
            await peer.hears(DATA)
        await asyncio.sleep(0.02)
        assert server.connections == 4
        peers[0].says(ok(1))
        assert (await peers[0].hears(DATA))[2] == 3
        peers[0].says(ok(3))
        assert (await peers[0].hears(DATA))[2] == 5
        for peer in peers[1:]:
            peer.says(ok(1))
        peers[0].says(ok(5))
        await asyncio.gather(*tasks)


async def test_a_server_may_take_more_streams_later() -> None:
    async with Server(setting(3, 0)) as server, client(server.port) as made:
        task = asked(made)
        peer = await server.peer()
        peer.says(frame(SETTINGS, 0, 0, setting(3, 5)))
        await peer.hears(DATA)
        peer.says(ok(1))
        await task


async def test_what_lies_above_goaways_last_stream_is_sent_again_at_once_and_the_rest_is_waited_for() -> None:
    async with Server() as server, client(server.port) as made:
        one, two = asked(made, b"one"), asked(made, b"two")
        old = await server.peer()
        await old.hears(DATA)
        await old.hears(DATA)
        old.says(frame(GOAWAY, 0, 0, pack(">II", 1, 0)))
        new = await server.peer()
        assert await new.hears(DATA) == (DATA, END_STREAM, 1, b"two")
        new.says(ok(1))
        old.says(ok(1))
        await asyncio.gather(one, two)
        assert await old.reader.read() == b"", "the old connection is closed by us"
        three = asked(made, b"three")
        assert await new.hears(DATA) == (DATA, END_STREAM, 3, b"three")
        new.says(ok(3))
        await three
        assert server.connections == 2


async def test_a_server_that_ends_each_connection_at_once_is_not_asked_for_ever() -> None:
    accepted = 0

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.write(frame(SETTINGS) + frame(GOAWAY, 0, 0, bytes(8) + b"bye"))
        writer.close()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    async with client(server.sockets[0].getsockname()[1]) as made:
        with pytest.raises(ConnectionError):
            await made.exchange(HEAD, [b"x"], 20.0)
    assert accepted <= 4
    server.close()
    await server.wait_closed()


async def test_a_request_that_is_always_refused_is_sent_four_times() -> None:
    async with Server() as server, client(server.port) as made:
        task = asked(made)
        peer = await server.peer()
        for n in range(4):
            assert (await peer.hears(DATA))[2] == 2 * n + 1
            peer.says(frame(RST_STREAM, 0, 2 * n + 1, pack(">I", Code.REFUSED_STREAM)))
        with pytest.raises(Unprocessed, match="REFUSED_STREAM"):
            await task


async def test_who_waits_no_more_resets_the_stream_and_silence_gives_the_connection_up() -> None:
    async with Server() as server, client(server.port) as made:
        slow = asked(made)
        peer = await server.peer()
        await peer.hears(DATA)
        peer.says(frame(PING, 0, 0, b"12345678"))
        while (await peer.frame())[::3] != (PING, b"12345678"):
            pass
        slow.cancel()
        assert await peer.hears(RST_STREAM) == (RST_STREAM, 0, 1, pack(">I", Code.CANCEL))
        await asyncio.sleep(0.01)  # the loop's clock has milliseconds
        silent = asked(made)
        assert (await peer.hears(DATA))[2] == 3, "it had said something"
        silent.cancel()
        await asyncio.gather(silent, return_exceptions=True)
        again = asked(made)
        peer = await server.peer()
        await peer.hears(DATA)
        peer.says(ok(1))
        await again


async def test_of_a_connection_that_is_lost_the_request_fails_and_the_next_one_connects() -> None:
    async with Server() as server, client(server.port) as made:
        task = asked(made)
        peer = await server.peer()
        await peer.hears(DATA)
        peer.writer.close()
        with pytest.raises(ConnectionResetError, match="the server has closed the connection"):
            await task
        again = asked(made)
        peer = await server.peer()
        await peer.hears(DATA)
        peer.says(ok(1))
        await again


async def test_nobody_there_or_somebody_else() -> None:
    async with HttpServer({}) as http1, client(http1.port) as made:
        with pytest.raises(ConnectionError, match="the server speaks HTTP/1, expected HTTP/2"):
            await made.exchange(HEAD, [b"x"], 20.0)
    async with client(http1.port) as made:
        with pytest.raises(OSError, match="refused"):
            await made.exchange(HEAD, [b"x"], 20.0)


async def test_a_server_that_never_greets_is_waited_for_as_long_as_the_request_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with client(port) as made:
        with pytest.raises(TimeoutError):
            await made.exchange(HEAD, [b"x"], 0.05)
    monkeypatch.setattr(http2_client, "CONNECT", 0.05)
    async with client(port) as made:
        with pytest.raises(ConnectionError, match=r"no HTTP/2 connection within 0.05 s"):
            await made.exchange(HEAD, [b"x"], 20.0)
    release.set()
    server.close()
    await server.wait_closed()


async def test_a_response_that_is_too_long_fails_alone() -> None:
    async with Server() as server, client(server.port, most_body=10) as made:
        one, two = asked(made), asked(made)
        peer = await server.peer()
        await peer.hears(DATA)
        peer.says(frame(HEADERS, END_HEADERS, 1, b"\x88"), frame(DATA, 0, 1, bytes(11)))
        with pytest.raises(TooLong, match="longer than 10 bytes"):
            await one
        assert await peer.hears(RST_STREAM) == (RST_STREAM, 0, 1, pack(">I", Code.CANCEL))
        peer.says(ok(3))
        await two


async def flooding(peer: Peer, frames: bytes, at_most: int) -> int:
    """Until the other side closes; how many times `frames` were written before that."""
    n = 0
    try:
        while n < at_most and not peer.reader.at_eof():
            peer.says(frames)
            await peer.writer.drain()
            n += 1
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    return n


@pytest.mark.parametrize(
    "late",
    [frame(HEADERS, END_HEADERS, 1, b"\x88"), frame(WINDOW_UPDATE, 0, 0, pack(">I", 1))],
    ids=["headers", "windows"],
)
async def test_a_server_that_floods_us_is_left_and_the_request_hears_why(late: bytes) -> None:
    async with Server() as server, client(server.port) as made:
        gone, waiting = asked(made), asked(made)
        peer = await server.peer()
        await peer.hears(DATA)
        gone.cancel()
        await peer.hears(RST_STREAM)
        flood = asyncio.create_task(flooding(peer, late * 1000, 1000))
        with pytest.raises(ConnectionResetError, match="too many frames that bring nothing"):
            await waiting
        assert await flood < 1000
        await asyncio.gather(gone, return_exceptions=True)


async def test_a_request_ends_in_time_also_while_frames_that_bring_nothing_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as are taken for no flood, were that any number."""
    monkeypatch.setattr(http2, "FLOOD", 1e12)
    async with Server() as server, client(server.port) as made:
        gone, waiting = asked(made), asked(made, timeout=0.2)
        peer = await server.peer()
        await peer.hears(DATA)
        gone.cancel()
        await peer.hears(RST_STREAM)
        flood = asyncio.create_task(flooding(peer, ok(1) * 500, 1_000_000))
        with pytest.raises(TimeoutError):
            await waiting
        assert not flood.done()
        flood.cancel()
        await asyncio.gather(gone, flood, return_exceptions=True)


async def test_keepalive_asks_after_silence_and_gives_up_without_an_answer() -> None:
    async with Server() as server, client(server.port, Keepalive(0.05, 0.5)) as made:
        task = asked(made)
        peer = await server.peer()
        _, _, _, payload = await peer.hears(PING)
        peer.says(frame(PING, ACK, 0, payload))
        await peer.hears(PING)
        with pytest.raises(ConnectionResetError, match=r"no answer to a PING within 0.5 s"):
            await task


async def test_a_server_that_finds_the_pings_too_many_gets_half_as_many() -> None:
    async with Server() as server, client(server.port, Keepalive(0.02, 1.0)) as made:
        task = asked(made)
        peer = await server.peer()
        await peer.hears(PING)
        peer.says(ok(1), frame(GOAWAY, 0, 0, pack(">II", 1, Code.ENHANCE_YOUR_CALM) + b"too_many_pings"))
        await task
        task = asked(made)
        await server.peer()
        assert made._keepalive == Keepalive(0.04, 1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_closing_says_goodbye_and_ends_what_is_under_way() -> None:
    async with Server() as server:
        async with client(server.port) as made:
            task = asked(made)
            peer = await server.peer()
            await peer.hears(DATA)
        assert await peer.hears(GOAWAY) == (GOAWAY, 0, 0, bytes(8))
        with pytest.raises(ConnectionResetError, match="closed"):
            await task
        await until(peer.reader.at_eof)


async def test_a_proxy_of_the_environment_takes_us_there() -> None:
    """By CONNECT also without TLS: nobody between us and a server knows HTTP/2 better."""
    async with Server() as server, Proxy(server.port) as proxy:
        environ = {"http_proxy": f"http://user:hunter2@127.0.0.1:{proxy.port}"}
        made = Http2Client(endpoint("http://gateway.test:4317"), environ=environ)
        task = asked(made)
        peer = await server.peer()
        await peer.hears(DATA)
        peer.says(ok(1))
        await task
        assert proxy.requests == [("CONNECT gateway.test:4317 HTTP/1.1", "Basic dXNlcjpodW50ZXIy")]
        await made.close()


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("http://user:hunter2@127.0.0.1:{}", "through the proxy http://user:***@127.0.0.1:{}: it answered 407 No"),
        (
            "https://127.0.0.1:{}",
            "through the proxy https://127.0.0.1:{}: only proxies that are spoken to over http are known",
        ),
    ],
)
async def test_what_fails_at_a_proxy_is_told_without_its_credentials(proxy: str, why: str) -> None:
    async with Server() as server, Proxy(server.port, refuse=407) as refusing:
        environ = {"all_proxy": proxy.format(refusing.port)}
        made = Http2Client(endpoint("http://gateway.test:4317"), environ=environ)
        with pytest.raises(ConnectionError) as failed:
            await asked(made)
        assert str(failed.value) == why.format(refusing.port)
        await made.close()


async def test_what_is_no_proxy_is_told() -> None:
    async with HttpServer({"gateway.test:4317": b"SSH-2.0-x\r\n\r\n"}) as other:
        made = Http2Client(endpoint("http://gateway.test:4317"), environ={"all_proxy": other.url})
        with pytest.raises(ConnectionError, match=r"it answered SSH-2\.0-x"):
            await asked(made)
        await made.close()
