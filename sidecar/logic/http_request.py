"""What an HTTP/1.1 request says: a URL taken apart as its parts travel, and the bytes of a head."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

import msgspec

PORTS = {"http": 80, "https": 443}
# What a path or query may hold as it is (RFC 3986, 3.3 and 3.4); `%`, because it is escaped already.
_SAFE = "%/:@!$&'()*+,;=-._~?"


class Endpoint(msgspec.Struct, frozen=True):
    """`host` is a name in ASCII or a numeric address without brackets; `authority` is for the Host header; `target` for
    the request line; `authorization` is the URL's user and password, which are never part of anything that is shown."""

    scheme: str
    host: str
    port: int
    authority: str
    target: str
    authorization: str | None


def endpoint(url: str) -> Endpoint:
    """The parts of an absolute http or https URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            pass  # it can be no name, and the resolver says so
    default = PORTS[parts.scheme]
    port = parts.port or default
    name = f"[{host.partition('%')[0]}]" if ":" in host else host  # a zone means nothing to others (RFC 6874)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(pair.encode()).decode('ascii')}"
    target = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        target += f"?{quote(parts.query, safe=_SAFE)}"
    return Endpoint(parts.scheme, host, port, name if port == default else f"{name}:{port}", target, authorization)


def request_head(
    method: str, where: Endpoint, target: str, headers: Mapping[str, str], length: int | None = None
) -> bytes:
    """The head with `Host` and the URL's `Authorization`, unless `headers` has its own, and `Content-Length` for a body.

    Raises `ValueError` for a header that would end its line: it could smuggle another.
    """
    given = {name.lower() for name in headers}
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"Host: {where.authority}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if where.authorization is not None and "authorization" not in given:
        lines.append(f"Authorization: {where.authorization}")
    for name, value in headers.items():
        line = f"{name}: {value}"
        if "\n" in line or "\r" in line or "\0" in line:
            raise ValueError(f"the value of header {name} has a line break in it")
        lines.append(line)
    return "\r\n".join([*lines, "", ""]).encode()
