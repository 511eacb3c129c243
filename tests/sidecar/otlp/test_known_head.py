"""Requests that go past the parser get what the parser would have made of them: the same bytes, in any pieces, to a connection
that recognises heads and to one that does not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from sidecar.logic.otlp_http import Reply, refusal
from sidecar.model.counters import ReceiverCounters
from sidecar.model.signals import Batch
from sidecar.otlp import connection as module
from sidecar.otlp.connection import Connection
from sidecar.otlp.http import Config, Receiver
from tests.sidecar.otlp.receiving import SPAN, TWO_SPANS, field

BODIES = [TWO_SPANS, field(1, field(2, SPAN)), field(1, field(2, SPAN * 400)), b"", b"\x0a\x7fcut", b"garbage"]
USUAL = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %s\r\n\r\n"
Twist = Callable[[bytes], bytes]


def replace(old: bytes, new: bytes) -> Twist:
    return lambda request: request.replace(old, new)


TWISTS: list[Twist] = [
    replace(b"Host: x\r\n", b""),
    replace(b"traces", b"logs"),
    replace(b"traces", b"nothing"),
    replace(b"POST", b"GET"),
    replace(b"HTTP/1.1", b"HTTP/1.0"),
    replace(b"Content-Length", b"content-length"),
    replace(b"Content-Length: ", b"Content-Length:"),
    replace(b"Content-Length: ", b"Content-Length: 0"),
    replace(b"Content-Length: ", b"Content-Length: +"),
    replace(b"Content-Length: ", b"Content-Length: 9999999999"),
    replace(b"Content-Length: ", b"Content-Length: 1\r\nContent-Length: "),
    replace(b"Content-Length: ", b"X: a\r\n b\r\nContent-Length: "),
    replace(b"Content-Length: ", b"Connection: close\r\nContent-Length: "),
    replace(b"Content-Length: ", b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: "),
    replace(b"Content-Length: ", b"Expect: 100-continue\r\nContent-Length: "),
    replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\nContent-Length: "),
    replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\nX: "),
    replace(b"Content-Length: ", b"Outrider-Hop: 2\r\nContent-Length: "),
    replace(b"Content-Length: ", b"Outrider-Hop: 9\r\nContent-Length: "),
    replace(b"Content-Length: ", b"Content-Encoding: gzip\r\nContent-Length: "),
    replace(b"application/x-protobuf", b"application/json"),
    replace(b"application/x-protobuf", b"text/plain"),
    replace(b"\r\nContent-Type", b"\nContent-Type"),
    lambda request: b"\r\n" + request,
    lambda request: request + b"\r\n",
    lambda request: request[:-1],
    lambda request: request[:40],
    lambda request: request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n2\r\n\x0a\x00\r\n0\r\n\r\n",
]


class Wire(asyncio.Transport):
    """What a connection writes, and what it does to its transport."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said.append(bytes(data))

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.said.append(b"<end>")

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def heard(
    pieces: list[bytes], kind: type[Connection] = Connection
) -> tuple[list[bytes], list[Batch], dict[int, int], int]:
    """What was answered, handed on, refused, and is still held."""
    batches: list[Batch] = []

    async def take(batch: Batch) -> Reply:
        batches.append(batch)
        return refusal(503, "no", 1) if batch.items > 100 else Reply(200)

    receiver = Receiver(Config(max_body_bytes=1 << 20), take, ReceiverCounters())
    connection, wire = kind(receiver), Wire()
    connection.connection_made(wire)
    for piece in pieces:
        if not wire.closing:
            connection.data_received(piece)
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    result = [b"".join(wire.said)], batches, dict(receiver.counters.refused), receiver.in_flight
    connection.connection_lost(None)
    await receiver.close()
    return result


def conversation(rng: random.Random) -> list[bytes]:
    said = []
    for _ in range(rng.randint(2, 8)):
        body = rng.choice(BODIES)
        request = USUAL % b"%d" % len(body) + body
        if rng.random() < 0.3:
            request = rng.choice(TWISTS)(request)
        said.append(request)
    if rng.random() < 0.4:
        return said
    data = b"".join(said)
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.choice((1, 3, 30))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


@pytest.mark.parametrize("seed", range(20))
async def test_what_goes_past_the_parser_is_answered_as_by_the_parser(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        pieces = conversation(rng)
        monkeypatch.setattr(module, "BELIEVED", 1000.0)
        quick = await heard(pieces)
        monkeypatch.setattr(module, "BELIEVED", -1.0)
        assert quick == await heard(pieces), pieces


class Checking(Connection):
    """Counts the heads that are parsed and checked."""

    checks = 0

    def _check(self) -> Reply | None:
        Checking.checks += 1
        return super()._check()


async def test_a_known_head_is_used_until_it_is_to_be_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    request = USUAL % b"%d" % len(TWO_SPANS) + TWO_SPANS
    for pieces, believed, checks in (
        ([request] * 5, 1.0, 1),
        ([request, request * 4], 1.0, 1),
        ([request, request[:30], request[30:], request], 1.0, 2),
        ([request, request[:-3], request[-3:] + request], 1.0, 1),
        ([request] * 5, -1.0, 5),
    ):
        monkeypatch.setattr(module, "BELIEVED", believed)
        Checking.checks = 0
        batches = (await heard(pieces, Checking))[1]
        assert (len(batches), Checking.checks) == (b"".join(pieces).count(b"POST"), checks)
