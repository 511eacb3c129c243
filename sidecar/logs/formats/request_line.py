"""The first line of an HTTP request as servers log it, by the names of OpenTelemetry's HTTP conventions."""

from __future__ import annotations

import re

from ...model.logs import Value
from .text import text

_REQUEST = re.compile(rb"([A-Za-z][A-Za-z-]{0,31}) (\S++)(?: HTTP/(\d(?:\.\d)?))?")
_METHODS = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY".split())


def request_attributes(request: bytes) -> dict[str, Value]:
    """Of `GET /a?b=1 HTTP/1.1`; none of what is no request, such as a TLS handshake on a port for plain text.
    A method that the conventions don't know is `_OTHER`, with its name beside it."""
    found = _REQUEST.fullmatch(request)
    if found is None:
        return {}
    method, target, version = found[1], text(found[2]), found[3]
    attributes: dict[str, Value] = {"http.request.method": text(method)}
    if method not in _METHODS:
        attributes = {"http.request.method": "_OTHER", "http.request.method_original": text(method)}
    if target.startswith("/"):
        path, _, query = target.partition("?")
        attributes["url.path"] = path
        if query:
            attributes["url.query"] = query
    elif "://" in target:
        attributes["url.full"] = target
    if version:
        attributes["network.protocol.version"] = version.decode()
    return attributes
