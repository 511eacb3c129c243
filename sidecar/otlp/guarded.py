"""The same connection of the OTLP/HTTP receiver, for a listener that asks for a token, or lets pages of a browser in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..io.bearer import Bearer
from ..logic.cors import Cors
from ..logic.otlp_http import JSON, Reply, refusal
from .connection import IDLE, Connection

if TYPE_CHECKING:
    from .http import Receiver

PREFLIGHT = Reply(200)

_NAMES = frozenset({b"authorization", b"origin", b"access-control-request-method", b"access-control-request-headers"})


class GuardedConnection(Connection):
    def __init__(self, receiver: Receiver, bearer: Bearer | None, cors: Cors | None) -> None:
        super().__init__(receiver)
        self._bearer = bearer
        self._cors = cors
        self._is_preflight = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_preflight = False

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        before = self._headers.get(lower)
        super().on_header(name, value)
        if lower in _NAMES:
            # Twice is not once: of two tokens neither is taken.
            self._headers[lower] = value if before is None else before + b", " + value

    def _check(self) -> Reply | None:
        if self._cors is not None:
            origin = self._header(b"origin")
            if self._method() == b"OPTIONS" and b"access-control-request-method" in self._headers:
                self._is_preflight = True
                names = self._header(b"access-control-request-headers")
                self._request.headers = self._cors.preflight(origin, names)
                self._limit = self._length = 0
                return None
            self._request.headers = self._cors.answer(origin)
        if self._bearer is not None:
            problem = self._bearer.problem(self._headers.get(b"authorization", b""))
            if problem is not None:
                content_type = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
                self._request.json = content_type == JSON
                status, why = problem
                return refusal(status, why, 1 if status == 503 else None)
        return super()._check()

    def _header(self, name: bytes) -> str:
        return self._headers.get(name, b"").decode("latin-1")

    def _method(self) -> bytes:
        return b"" if self._parser is None else self._parser.get_method()

    def _complete(self) -> None:
        if not self._is_preflight:
            super()._complete()
            return
        self._is_preflight = False
        self._phase = IDLE
        self._due.append(self._request)
        self._request.answer(PREFLIGHT)
