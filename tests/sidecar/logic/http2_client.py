"""The other side of `logic.http2_server`, for tests: frames by hand, header blocks by `hpack`, and a server that keeps what it
hears."""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack

from hpack import Decoder, Encoder

from sidecar.logic import http2_server
from sidecar.logic.http2_headers import Fields
from sidecar.logic.http2_stream import Answer, Stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
PADDED = 8
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", EXPORT),
    (":authority", "x"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
GET = b"\x82\x86\x84"
"""GET http / as a header block, all of it in the static table."""

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream and payload."""


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + pack(">I", stream) + payload


def frames(data: bytes) -> list[Frame]:
    out = []
    while data:
        size = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + size, "whole frames only"
        out.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return out


def setting(key: int, value: int) -> bytes:
    return pack(">HI", key, value)


def block(fields: Iterable[tuple[str, str]], encoder: Encoder | None = None) -> bytes:
    return (encoder or Encoder()).encode(list(fields))


def fields_of(payload: bytes) -> dict[str, str]:
    """Of an answer's header block; our answers use no table."""
    return {str(name): str(value) for name, value in Decoder().decode(payload)}


def message(body: bytes, compressed: bool = False) -> bytes:
    return bytes((compressed,)) + len(body).to_bytes(4, "big") + body


class Heard(Stream):
    """Keeps its body; says what happens to it in the server's `events`."""

    def __init__(self, number: int, fields: Fields, server: Server) -> None:
        super().__init__(number, int(fields.get(b"content-length", b"-1")))
        self.fields, self.server, self.body = fields, server, b""

    def on_data(self, data: bytes, start: int, stop: int) -> None:
        self.body += data[start:stop]

    def on_end(self) -> None:
        self.server.events.append(("end", self.id, self.body))
        if self.server.reply is not None:
            self.server.connection.answer(self, self.server.reply)

    def on_reset(self) -> None:
        self.server.events.append(("reset", self.id, self.body))


class Server:
    """A connection that has been greeted; `reply` answers each request at once unless it is None."""

    def __init__(self, reply: Answer | None = None, *, greeted: bool = True, window: int = 1 << 20) -> None:
        self.reply = reply
        self.events: list[tuple[str, int, bytes]] = []
        self.now = 0.0
        self.connection: http2_server.Server[Fields] = http2_server.Server(
            lambda fields: fields, lambda number, fields: Heard(number, fields, self), window
        )
        if greeted:
            self.send(PREFACE + frame(SETTINGS))

    def send(self, *data: bytes) -> list[Frame]:
        """What is said to that."""
        self.connection.receive(b"".join(data), self.now)
        return self.said()

    def said(self) -> list[Frame]:
        out = frames(b"".join(self.connection.output))
        self.connection.output.clear()
        return out

    def blocked(self) -> bool:
        return bool(self.connection.sending.waiting)

    def ended(self) -> bool:
        return self.connection.ended

    def answer(self, number: int, answer: Answer) -> list[Frame]:
        self.connection.answer(self.connection.streams[number], answer)
        return self.said()


def goaway(said: list[Frame]) -> int:
    """The code with which the connection has ended; there must be one."""
    (code,) = (int.from_bytes(payload[4:8], "big") for kind, _, _, payload in said if kind == GOAWAY)
    return code


def resets(said: list[Frame]) -> dict[int, int]:
    return {stream: int.from_bytes(payload, "big") for kind, _, stream, payload in said if kind == RST_STREAM}
