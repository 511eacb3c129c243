"""`logic.http2_client` for tests: what it hears is kept in words, what it says is taken apart into frames."""

from __future__ import annotations

from sidecar.logic.http2_client import Client, Exchange
from sidecar.logic.http2_headers import Fields
from tests.sidecar.logic.http2_client import SETTINGS, Frame, frame, frames

HEAD = b"\x83\x86\x84"
"""POST http / as a header block, all of it in the static table."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Heard(Exchange):
    """Keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[Fields] = []
        self.body = b""
        self.end = ""

    def on_fields(self, fields: Fields) -> None:
        self.fields.append(fields)

    def on_data(self, data: bytes, start: int, stop: int) -> None:
        self.body += data[start:stop]

    def on_end(self) -> None:
        self.end = "whole"

    def on_reset(self) -> None:
        self.end = "unprocessed" if self.unprocessed else "lost"


class Caller:
    """A client whose server has said `settings`, unless that is None."""

    def __init__(self, settings: bytes | None = b"") -> None:
        self.connection = Client(1 << 20)
        self.now = 0.0
        self.opening = bytes(b"".join(self.connection.output))
        self.connection.output.clear()
        if settings is not None:
            self.hear(frame(SETTINGS, 0, 0, settings))

    def hear(self, *data: bytes) -> list[Frame]:
        """What it says to that."""
        self.connection.receive(b"".join(data), self.now)
        return self.said()

    def said(self) -> list[Frame]:
        out = frames(b"".join(self.connection.output))
        self.connection.output.clear()
        return out

    def ask(self, *body: bytes) -> Heard:
        heard = Heard()
        self.connection.request(heard, HEAD, body)
        return heard

    def open(self) -> bool:
        return self.connection.open

    def free(self) -> bool:
        return self.connection.free

    def ended(self) -> bool:
        return self.connection.ended

    def failed(self) -> bool:
        return self.connection.failed
