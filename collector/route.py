"""A row of the API's table, and what its handler may answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from .resources import Health, NoQuery


class Failure(Exception):
    """Answered as a problem (RFC 9457)."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class Gate(msgspec.Struct, frozen=True):
    """A gate's answer: 200 where `is_open`, else 503; as a document or, for a terminal, as text."""

    is_open: bool
    document: Callable[[], Health]
    text: str


Answer = msgspec.Struct | dict[str, Any]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`returns` is the type of the answer, `query` has the parameters, `takes` is the body."""

    method: str
    path: str
    handler: Callable[[Any, web.Request, Any], Awaitable[Answer]]
    returns: Any
    summary: str
    query: type[msgspec.Struct] = NoQuery
    takes: type[msgspec.Struct] | None = None
    is_gate: bool = False
    """200 or 503, in three forms."""
    is_tagged: bool = False
    """Answers with an ETag of the revision, and 304 to it."""
