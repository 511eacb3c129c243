"""A receiver of OTLP/HTTP over real sockets, and who stands before and behind it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sidecar.logic.otlp_http import OK, Reply, decode_status
from sidecar.model.counters import ReceiverCounters
from sidecar.model.signals import Batch
from sidecar.otlp.http import Config, Receiver


def field(number: int, payload: bytes) -> bytes:
    size, out = len(payload), bytearray([number << 3 | 2])
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes(out) + bytes([size]) + payload


SPAN = field(2, b"")


TWO_SPANS = field(1, field(2, SPAN * 2))


def large(size: int) -> bytes:
    """A request with one span of about so many bytes that do not compress."""
    return field(1, field(2, field(2, random.Random(size).randbytes(size))))


class Taker:
    """What stands behind a receiver: keeps batches and answers OK, or as told, once `open` is set."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.replies: list[Reply] = []
        self.open = asyncio.Event()
        self.open.set()

    async def take(self, batch: Batch) -> Reply:
        self.batches.append(batch)
        await self.open.wait()
        return self.replies.pop(0) if self.replies else OK


class Client:
    """A raw connection: what was answered, as (status, headers, body)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def post(self, body: bytes, path: str = "/v1/traces", **headers: str) -> None:
        given = {"Content-Type": "application/x-protobuf", "Content-Length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        self.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode() + body)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def refusal(self) -> tuple[int, int, str]:
        """HTTP status, and code and message of the Status; the connection must close after it."""
        status, headers, body = await self.answer()
        assert headers["content-type"] == "application/x-protobuf"
        assert headers["connection"] == "close"
        assert await self.reader.read() == b""
        return (status, *decode_status(body))


class Setup:
    def __init__(self, receiver: Receiver, taker: Taker, port: int) -> None:
        self.receiver, self.taker, self.port = receiver, taker, port
        self.clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


Start = Callable[..., Any]


@asynccontextmanager
async def receiving(*, attributes: dict[str, str] | None = None, **config: Any) -> AsyncIterator[Setup]:
    taker = Taker()
    receiver = Receiver(Config(**config), taker.take, ReceiverCounters(), attributes)
    server = await asyncio.get_running_loop().create_server(receiver.protocol, "127.0.0.1", 0)
    setup = Setup(receiver, taker, server.sockets[0].getsockname()[1])
    try:
        yield setup
    finally:
        for client in setup.clients:
            client.writer.close()
        await receiver.close()
        server.close()
