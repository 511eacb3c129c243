"""The client, against real sockets that answer as each test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.io.http_client import HttpClient
from sidecar.io.http_connection import BadResponse
from sidecar.io.resolver import Address, NameNotFound, Resolver

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: V\r\n\r\nhi"


class Server:
    """Counts connections; `answers` are written one for each request, `b""` closes instead."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if not answer or b"HTTP/1.0" in answer or b"close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[tuple[Server, HttpClient]]:
    server = Server(list(answers))
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    client = HttpClient(f"http://127.0.0.1:{server.port}/base/", environ={})
    try:
        yield server, client
    finally:
        await client.close()
        listening.close()
        await asyncio.sleep(0)


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with serving(OK, OK) as (server, client):
        for _ in range(2):
            response = await client.post("/v1/traces", b"body", {"A": "b"}, 20.0)
            assert (response.status, response.body, response.headers["x-name"]) == (200, b"hi", "V")
        assert server.connections == 1
        expected = (
            f"POST /base/v1/traces HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nA: b\r\nContent-Length: 4\r\n\r\nbody"
        )
        assert server.requests == [expected.encode()] * 2


@pytest.mark.parametrize(
    ("answer", "body", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hi", True),
        (b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + OK, b"hi", True),
        (b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", b"", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end", False),
    ],
)
async def test_every_way_to_end_a_body_is_understood(answer: bytes, body: bytes, kept: bool) -> None:
    async with serving(answer, OK) as (server, client):
        response = await client.post("/", b"", {}, 20.0)
        assert (response.body, "x-early" in response.headers) == (body, False)
        await client.post("/", b"", {}, 20.0)
        assert server.connections == (1 if kept else 2)


async def test_a_kept_connection_that_the_server_closed_is_replaced() -> None:
    """It closes after its first answer, and once more in place of an answer: the request is sent again."""
    async with serving(OK, b"", OK) as (server, client):
        await client.post("/", b"", {}, 20.0)
        assert (await client.post("/", b"", {}, 20.0)).status == 200
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_second_answer_is_never_taken_for_that_of_the_next_request() -> None:
    async with serving(OK + OK.replace(b"hi", b"no").replace(b": V", b": W"), OK, OK) as (server, client):
        for _ in range(3):
            response = await client.post("/", b"", {}, 20.0)
            assert (response.body, response.headers["x-name"]) == (b"hi", "V")
        assert server.connections == 2


async def test_user_and_password_of_the_url_are_sent_as_basic_authorization() -> None:
    async with serving(OK, OK) as (server, _):
        client = HttpClient(f"http://user:p%40ss@127.0.0.1:{server.port}", environ={})
        await client.post("/", b"", {}, 20.0)
        await client.post("/", b"", {"authorization": "Bearer x"}, 20.0)
        await client.close()
        assert b"\r\nAuthorization: Basic dXNlcjpwQHNz\r\n" in server.requests[0]
        assert server.requests[1].lower().count(b"authorization") == 1
        assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in server.requests[0]


async def test_a_new_connection_that_closes_is_an_error_and_nothing_is_sent_twice() -> None:
    async with serving(b"", OK) as (server, client):
        with pytest.raises(ConnectionResetError, match="closed without an answer"):
            await client.post("/", b"", {}, 20.0)
        assert len(server.requests) == 1


async def test_half_a_response_is_an_error_and_nothing_is_sent_twice() -> None:
    async with serving(OK, b"HTTP/1.1 200 close\r\nContent-Length: 9\r\n\r\nhi", OK) as (server, client):
        await client.post("/", b"", {}, 20.0)
        with pytest.raises(ConnectionResetError):
            await client.post("/", b"", {}, 20.0)
        assert len(server.requests) == 2


async def test_a_server_that_does_not_answer_is_a_timeout_and_its_connection_is_not_used_again() -> None:
    async with serving(OK, b"HTTP/1.1 ", OK) as (server, client):
        await client.post("/", b"", {}, 20.0)
        with pytest.raises(TimeoutError):
            await client.post("/", b"", {}, 0.05)
        assert (await client.post("/", b"", {}, 20.0)).status == 200
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the answer is not HTTP "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000), "longer than 4194304 bytes"),
    ],
)
async def test_what_is_not_a_bounded_http_response_is_an_error(answer: bytes, why: str) -> None:
    async with serving(answer) as (_, client):
        with pytest.raises(BadResponse, match=why):
            await client.post("/", b"", {}, 20.0)


async def test_more_requests_than_connections_wait_for_their_turn() -> None:
    async with serving(*[OK] * 50) as (server, client):
        responses = await asyncio.gather(*[client.post("/", b"", {}, 20.0) for _ in range(50)])
        assert [response.status for response in responses] == [200] * 50
        assert server.connections == 8


async def test_a_header_cannot_smuggle_another() -> None:
    async with serving(OK) as (server, client):
        with pytest.raises(ValueError, match="the value of header A has a line break in it"):
            await client.post("/", b"", {"A": "b\r\nC: d"}, 20.0)
        assert server.requests == []


async def test_names_are_resolved_by_the_resolver_that_was_given() -> None:
    async with serving(OK) as (server, _):
        names = {"up.test": [Address(socket.AF_INET, "127.0.0.2"), Address(socket.AF_INET, "127.0.0.1")]}
        resolver = Resolver(lambda name: names.get(name, []))
        client = HttpClient(f"http://up.test:{server.port}", resolver, environ={})
        assert (await client.post("/", b"", {}, 20.0)).status == 200  # after the first address refused
        await client.close()
        missing = HttpClient(f"http://gone.test:{server.port}", resolver, environ={})
        with pytest.raises(NameNotFound):
            await missing.post("/", b"", {}, 20.0)


async def test_tls_trouble_is_an_os_error() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"not TLS")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    client = HttpClient(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", environ={})
    try:
        with pytest.raises(OSError, match=r"^no TLS with 127\.0\.0\.1:[0-9]+: it does not speak TLS$"):
            await client.post("/", b"", {}, 20.0)
    finally:
        await client.close()
        server.close()


async def test_an_answer_that_was_seen_before_means_the_same_and_one_that_differs_what_it_says() -> None:
    other = OK.replace(b"hi", b"no")
    both = OK + b"HTTP/1.1 200 OK\r\nContent-"
    async with serving(OK, OK, other, OK, both, OK, OK) as (server, client):
        bodies = [(await client.post("/", b"", {}, 20.0)).body for _ in range(7)]
        assert bodies == [b"hi", b"hi", b"no", b"hi", b"hi", b"hi", b"hi"]
        assert server.connections == 2  # after `both` nobody knows where the next one begins


async def test_an_answer_that_ends_the_connection_is_no_precedent() -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
    async with serving(OK, last, OK, last, OK) as (server, client):
        for _ in range(5):
            assert (await client.post("/", b"", {}, 20.0)).body == b"hi"
        assert server.connections == 3


async def test_headers_that_change_are_sent_as_they_are_now() -> None:
    async with serving(*[OK] * 40) as (server, client):
        for n in range(40):
            await client.post("/", b"x" * (n % 3), {"Authorization": f"Bearer {n % 20}"}, 20.0)
        sent = [(r.partition(b"Bearer ")[2].partition(b"\r")[0], r.partition(b"\r\n\r\n")[2]) for r in server.requests]
        assert sent == [(b"%d" % (n % 20), b"x" * (n % 3)) for n in range(40)]
