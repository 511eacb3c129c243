"""What our own HTTP surface is asked and what it answers, as values and as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

import msgspec


class Request(NamedTuple):
    """GET or HEAD. `path` and `query` are decoded, the query's pairs in their order. Header names are in lower case; the
    values of a repeated header are joined by a comma."""

    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]


class Response(NamedTuple):
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as RFC 9457 says."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(status, msgspec.json.encode(body) + b"\n", "application/problem+json", headers or {})


def encode(response: Response, now: float, *, bodiless: bool = False, is_last: bool = False) -> bytes:
    """`bodiless` for HEAD; `is_last`: the connection is closed after it. `now` is unix seconds."""
    head = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Date: {datetime.fromtimestamp(now, UTC):%a, %d %b %Y %H:%M:%S GMT}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        *(("Connection: close",) if is_last else ()),
        "",
        "",
    ]
    return "\r\n".join(head).encode("latin-1") + (b"" if bodiless else response.body)
