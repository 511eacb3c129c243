"""The server of the surface, against raw sockets that say what a test tells them to."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.io.http_server import HttpServer, Limits
from sidecar.logic.http_message import Request, Response
from tests.fakes import until

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
BIG = 12 << 20
"""Bytes: three times what the kernel may take for a reader that does not read (tcp_wmem)."""
LAST = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


class Served:
    """A server on a free port: `/a` says what it was asked, `/slow` waits for `go`, `/big` is long, `/bug` raises."""

    def __init__(self, limits: Limits) -> None:
        self.go = asyncio.Event()
        self.asked: list[Request] = []
        self.bugs: list[str] = []
        routes = {"/a": self.a, "/slow": self.slow, "/big": self.big, "/bug": self.bug}
        self.server = HttpServer(routes, limits)
        self.port = 0

    async def a(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(200, f"a{len(self.asked)}".encode(), headers={"X-Y": "z"})

    async def slow(self, request: Request) -> Response:
        await self.go.wait()
        return Response(200, b"slow")

    async def big(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(200, bytes(BIG))

    async def bug(self, request: Request) -> Response:
        raise RuntimeError("scripted")

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, data: bytes) -> str:
        """All that comes back until the server closes."""
        reader, writer = await self.open()
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer.decode("latin-1")


@asynccontextmanager
async def serving(limits: Limits | None = None) -> AsyncIterator[Served]:
    served = Served(limits or Limits())
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: served.bugs.append(f"{context['message']}: {context['exception']}"))
    listening = await loop.create_server(served.server.protocol, "127.0.0.1", 0, backlog=1024)
    served.port = listening.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listening.close()
        await served.server.close(0.1)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1


def statuses(answers: str) -> list[int]:
    return [int(status) for status in re.findall(r"HTTP/1\.1 (\d+) ", answers)]


def detail(answer: str) -> str:
    problem = json.loads(answer.partition("\r\n\r\n")[2])
    assert problem["status"] == statuses(answer)[0]
    text: str = problem["detail"]
    return text


async def test_an_answer_has_its_length_type_and_date() -> None:
    async with serving() as served:
        answer = await served.say(LAST)
    assert re.sub(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "Date: NOW", answer) == (
        "HTTP/1.1 200 OK\r\nDate: NOW\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\nX-Y: z\r\n"
        "Connection: close\r\n\r\na1"
    )


async def test_a_request_is_decoded() -> None:
    async with serving() as served:
        await served.say(
            b"GET http://host/%61?p=%2Fx+y&q=&p=%C3%BC HTTP/1.1\r\nAccept: text/plain\r\nACCEPT: */*\r\n"
            b"Connection: close\r\n\r\n"
        )
        (asked,) = served.asked
    assert (asked.path, asked.query) == ("/a", (("p", "/x y"), ("q", ""), ("p", "ü")))
    assert asked.headers == {"accept": "text/plain, */*", "connection": "close"}


async def test_head_is_answered_without_a_body() -> None:
    async with serving() as served:
        answer = await served.say(GET.replace(b"GET", b"HEAD") + LAST)
    heads = answer.split("\r\n\r\n")
    assert ("Content-Length: 2" in heads[0], heads[1].startswith("HTTP/1.1 200"), heads[2]) == (True, True, "a2")


async def test_requests_at_once_are_answered_in_order_on_one_connection() -> None:
    async with serving() as served:
        reader, writer = await served.open()
        writer.write(GET.replace(b"/a", b"/slow") + GET + GET.replace(b"/a", b"/nowhere") + LAST)
        await asyncio.sleep(0.01)
        served.go.set()
        answers = (await reader.read()).decode()
        writer.close()
    assert statuses(answers) == [200, 200, 404, 200]
    assert re.findall(r"\r\n\r\n(slow|a\d)", answers) == ["slow", "a1", "a2"]


async def test_too_many_requests_at_once_are_refused_after_those_that_are_not() -> None:
    async with serving() as served:
        assert statuses(await served.say(GET * 1000)) == [200] * 16 + [429]


@pytest.mark.parametrize("data", [GET.replace(b"1.1", b"1.0"), LAST, GET.replace(b"1.1", b"2.0")])
async def test_the_connection_ends_where_the_client_can_not_keep_it(data: bytes) -> None:
    """HTTP/1.0 too, also where it asks to keep it; what comes after is not looked at."""
    async with serving() as served:
        assert statuses(await served.say(data + GET)) == [200]
        assert statuses(await served.say(data.replace(b"Host: h", b"Connection: keep-alive") + LAST))[0] == 200


async def test_a_client_that_ends_its_side_still_gets_its_answers() -> None:
    async with serving() as served:
        reader, writer = await served.open()
        writer.write(GET + GET)
        writer.write_eof()
        assert statuses((await reader.read()).decode()) == [200, 200]
        writer.close()
        reader, writer = await served.open()
        writer.write(GET.replace(b"/a", b"/slow"))
        writer.write_eof()
        await asyncio.sleep(0.02)
        served.go.set()
        assert (await reader.read()).endswith(b"slow")
        writer.close()
        reader, writer = await served.open()
        writer.write(GET[:-5])
        writer.write_eof()
        assert detail((await reader.read()).decode()) == "the request is cut short"
        writer.close()


async def test_an_offer_of_another_protocol_is_ignored() -> None:
    offer = GET.replace(b"Host: h", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk")
    async with serving() as served:
        assert statuses(await served.say(offer + LAST)) == [200, 200]


# Refusals


async def test_a_path_that_is_not_there_is_told_those_that_are() -> None:
    async with serving() as served:
        answer = await served.say(LAST.replace(b"/a", b"/%3Cb%3E?c"))
    assert "Content-Type: application/problem+json\r\n" in answer
    assert detail(answer) == "no such path /<b>, expected /a, /slow, /big, /bug"


async def test_a_bug_in_an_answer_is_a_500_and_is_logged_and_the_connection_goes_on() -> None:
    async with serving() as served:
        assert statuses(await served.say(GET.replace(b"/a", b"/bug") + LAST)) == [500, 200]
        assert served.bugs == ["the answer to /bug failed on a bug: scripted"]


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405, "the method is not GET or HEAD"),
        (b"DELETE /a HTTP/1.1\r\n\r\n", 405, "the method is not GET or HEAD"),
        (b"CONNECT h:1 HTTP/1.1\r\n\r\n", 405, "the method is not GET or HEAD"),
        (b"GET /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 413, "requests have no body here"),
        (b"GET /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", 413, "requests have no body here"),
        (b"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413, "requests have no body here"),
        (
            b"GET /a HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\na",
            413,
            "requests have no",
        ),
        (b"GET /%ff%fe?\xff HTTP/1.1\r\n\r\n", 400, ""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not HTTP/1.1: "),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 400, "not HTTP/1.1: "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "not HTTP/1.1: "),
        (b"GET /a HTTP/1.1\r\nA\x00: b\r\n\r\n", 400, "not HTTP/1.1: "),
        (b"GET /a HTTP/1.1\r\nA: b\x00c\r\n\r\n", 400, "not HTTP/1.1: "),
        (b"GET /a HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, "not HTTP/1.1: "),
        (b"GET /a HTTP/1.1\nHost: h\n\n", 400, "not HTTP/1.1: "),
    ],
)
async def test_what_is_not_a_plain_request_is_refused_and_ends_the_connection(
    data: bytes, status: int, text: str
) -> None:
    async with serving() as served:
        answer = await served.say(data + GET)
        assert statuses(answer) == [status]
        assert "Connection: close\r\n" in answer
        assert ("Allow: GET, HEAD\r\n" in answer) is (status == 405)
        assert detail(answer).startswith(text)
        assert served.asked == []


@pytest.mark.parametrize(
    "shape",
    [
        b"Content-Length: 25\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 25",
        b"Content-Length: 0\r\nContent-Length: 25",
        b"Content-Length: 0, 25",
        b"Content-Length: +25",
        b"Content-Length: 0x19",
        b"Content-Length : 25",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"X: y\rTransfer-Encoding: chunked",
    ],
)
async def test_no_request_is_smuggled_inside_another(shape: bytes) -> None:
    async with serving() as served:
        answer = await served.say(b"GET /a HTTP/1.1\r\nHost: h\r\n" + shape + b"\r\n\r\n0\r\n\r\n" + LAST)
        assert statuses(answer) in ([400], [413])
        assert served.asked == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
        b"GET /a HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_headers_of_more_than_16_kib_are_refused(head: bytes) -> None:
    async with serving() as served:
        assert detail(await served.say(GET[:0] + head)) == "more than 16 KiB of headers"


async def test_a_header_without_end_is_refused_before_it_ends() -> None:
    async with serving() as served:
        reader, writer = await served.open()
        writer.write(b"GET /a HTTP/1.1\r\nA: ")
        answer = asyncio.ensure_future(reader.read())
        sent = 0
        while not answer.done() and sent < 1 << 20:
            writer.write(b"b" * 4096)
            sent += 4096
            await asyncio.wait([answer], timeout=0.005)
        assert detail((await answer).decode()) == "more than 16 KiB of headers"
        assert sent <= 128 << 10
        writer.close()


async def test_a_refusal_reaches_a_client_that_goes_on_sending() -> None:
    async with serving() as served:
        reader, writer = await served.open()
        writer.write(b"POST /a HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}\n"):
            answer += await reader.read(1000)
        for _ in range(20):
            writer.write(bytes(1000))
            await asyncio.sleep(0.001)
        assert await reader.read() == b""
        writer.close()
    assert detail(answer.decode()) == "the method is not GET or HEAD"


# Time and numbers


async def test_a_head_that_trickles_is_ended_by_its_own_deadline() -> None:
    async with serving(Limits(header_timeout=0.2)) as served:
        reader, writer = await served.open()
        answer = asyncio.ensure_future(reader.read())
        for byte in GET[:16] + b"x" * 1000:
            writer.write(bytes([byte]))
            await asyncio.wait([answer], timeout=0.02)
            if answer.done():
                break
        assert detail((await answer).decode()) == "the headers took too long"
        writer.close()


async def test_an_unused_connection_is_closed_without_a_word() -> None:
    async with serving(Limits(idle_timeout=0.05)) as served:
        assert await served.say(b"") == ""
        assert await served.say(b"\r\n") == ""


async def test_answers_that_are_not_taken_are_not_piled_up_and_end_the_connection() -> None:
    async with serving(Limits(write_timeout=1.5)) as served:
        _, writer = await served.open()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET.replace(b"/a", b"/big"))
        await until(lambda: served.asked)
        writer.write(GET * 500_000)
        await asyncio.sleep(0.05)
        assert (len(served.asked), writer.transport.get_write_buffer_size() > 0) == (1, True), "it read on"
        await until(lambda: not served.server.connections)
        writer.close()


async def test_a_slow_reader_gets_everything() -> None:
    async with serving() as served:
        reader, writer = await served.open()
        writer.write(GET.replace(b"/a", b"/big") * 3 + LAST)
        size = 0
        while data := await reader.read(300_000):
            size += len(data)
            await asyncio.sleep(0.0005)
        writer.close()
    assert size > 3 * BIG
    assert len(served.asked) == 4


async def test_of_too_many_connections_the_longest_unused_makes_place() -> None:
    async with serving() as served:
        opened = [await served.open() for _ in range(600)]
        for _, writer in opened[-10:]:
            writer.write(GET)
        for reader, _ in opened[-10:]:
            assert statuses((await reader.readuntil(b"\r\n\r\n")).decode()) == [200]
        assert len(served.server.connections) == 256
        assert await opened[0][0].read() == b""
        for _, writer in opened:
            writer.close()


async def test_half_a_request_keeps_no_place_however_it_goes_on_dripping() -> None:
    async with serving() as served:
        opened = [await served.open() for _ in range(256)]
        for _, writer in opened:
            writer.write(GET[:9])
        await until(lambda: all(c._arriving for c in served.server.connections))
        opened[0][1].write(GET[9:12])
        more = [await served.open() for _ in range(44)]
        for _, writer in more:
            writer.write(GET[:9])
        assert statuses(await served.say(LAST)) == [200]
        assert await opened[0][0].read() == b"", "it had waited longest"
        for _, writer in [*opened, *more]:
            writer.close()


async def test_where_none_is_unused_the_new_one_is_refused() -> None:
    async with serving() as served:
        opened = [await served.open() for _ in range(256)]
        for _, writer in opened:
            writer.write(GET.replace(b"/a", b"/slow"))
        await until(lambda: not served.server.unused)
        refused = [await served.say(b"") for _ in range(344)]
        assert {detail(answer) for answer in refused} == {"too many connections"}
        assert "Retry-After: 1\r\n" in refused[0]
        served.go.set()
        for reader, writer in opened:
            assert statuses((await reader.readuntil(b"\r\n\r\n")).decode()) == [200]
            writer.close()


async def test_closing_ends_the_unused_and_waits_for_what_is_being_answered() -> None:
    async with serving() as served:
        idle, _ = unused = await served.open()
        reader, writer = await served.open()
        writer.write(GET.replace(b"/a", b"/slow"))
        await until(lambda: len(served.server.connections) == 2 and len(served.server.unused) == 1)
        closing = asyncio.create_task(served.server.close(5))
        assert await idle.read() == b""
        assert not closing.done()
        served.go.set()
        answer = (await reader.read()).decode()
        assert (statuses(answer), "Connection: close\r\n" in answer) == ([200], True)
        await closing
        for each in (unused[1], writer):
            each.close()


async def test_closing_does_not_wait_for_ever() -> None:
    async with serving() as served:
        reader, writer = await served.open()
        writer.write(GET.replace(b"/a", b"/slow"))
        await until(lambda: any(c.serving for c in served.server.connections))
        await served.server.close(0.01)
        assert await reader.read() == b""
        writer.close()
