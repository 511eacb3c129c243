"""kind: http. One request, and conditions on its answer.

As in a Kubernetes httpGet probe a redirect is not followed but counts by its own status. Each look opens a new
connection, because a connection that is kept open proves nothing about the listener. At most `MOST_BODY` bytes of the
answer are read.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable
from time import perf_counter
from typing import Annotated, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from ..io.connect import connect
from ..io.http_connection import Closed, HttpConnection
from ..io.peer import authority
from ..io.resolver import Address
from ..io.secrets import SecretValue
from ..io.tls import ClientTls, told
from ..io.tls import Config as TlsConfig
from ..logic.conditions import DEFAULT_STATUS, Answer, Expect, judge
from ..logic.http_header import HeaderName, HeaderText
from ..logic.http_request import endpoint, request_head
from ..logic.scalars import Invalid, Scalar, StatusRanges, masked_url, quoted, url
from ..model.health import Observed, Result, State
from . import reach
from .base import CheckConfig, Context

KIND = "http"
MOST_BODY = 1 << 20

# Where services answer for their health, most telling first. Tried only when neither the check nor the target's URL
# names a path.
ENDPOINTS = ("/readyz", "/healthz", "/health", "/-/ready", "/")
# These say that there is no such endpoint for us.
_NOT_HERE = frozenset({401, 403, 404, 405, 501})
# Without any endpoint, every answer that is not a server's error means that it serves.
_SERVES = StatusRanges(((100, 499),))


def parse_url_or_path(raw: Any) -> str:
    if isinstance(raw, str) and re.fullmatch(r"/\S*", raw.strip()):
        return raw.strip()
    if isinstance(raw, str) and "://" not in raw and re.fullmatch(r"[\w.\-/]+", raw.strip()):
        raise Invalid(f"{quoted(raw)} is not a URL", meant=f"/{raw.strip()}")
    return url("http", "https")(raw)


def parse_method(raw: Any) -> str:
    if isinstance(raw, str) and raw.upper() in ("GET", "HEAD", "POST", "OPTIONS"):
        return raw.upper()
    raise Invalid(f"{quoted(raw)} is not known")


UrlOrPath = Annotated[
    str, Scalar("a URL such as http://127.0.0.1:8080/readyz, or a path such as /readyz", parse_url_or_path, masked_url)
]
Method = Annotated[str, Scalar("GET, HEAD, POST or OPTIONS", parse_method)]


class Config(CheckConfig, frozen=True, kw_only=True):
    """`url` is a URL, or a path on the target's host; by default the endpoint is found."""

    url: UrlOrPath | None = None
    method: Method = "GET"
    headers: dict[HeaderName, HeaderText] = {}
    expect: Expect = Expect()
    tls: TlsConfig = TlsConfig()


def misses(config: Config, target_url: str | None) -> Iterable[tuple[str, str, str]]:
    if config.url is not None and "://" in config.url:
        return
    if target_url is None:
        yield "url", "no host: target.url is not configured", "a URL such as http://127.0.0.1:8080/readyz"
    elif not target_url.startswith("http"):
        yield "url", f'no HTTP host: target.url is "{target_url}"', "a URL such as http://127.0.0.1:8080/readyz"


class _Way(NamedTuple):
    """What all requests of one look share."""

    addresses: list[Address]
    headers: dict[str, str]
    tls: ssl.SSLContext | None


class HttpProbe:
    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self._context = context
        self._base = urljoin(context.target_url or "", config.url or "")
        self._finds = config.url is None and urlsplit(self._base).path in ("", "/")
        self._theirs = {name: SecretValue(secret) for name, secret in config.headers.items()}
        self._tls = ClientTls(config.tls)
        self._next = 0
        self._found: str | None = None if self._finds else self._base
        self._serves = False
        """No endpoint was found: any answer below 500 will do."""

    async def check(self) -> Result:
        if problem := next(iter(misses(self.config, self._context.target_url)), None):
            return Result(State.UNKNOWN, f"{problem[1]}, expected {problem[2]}")
        where = endpoint(self._base)
        peer = authority(where.host, where.port)
        try:
            headers = self._headers()
            tls = self._tls.context() if where.scheme == "https" else None
        except OSError as error:  # also ssl.SSLError
            return Result(State.UNKNOWN, f"not asked: {error}")
        try:
            addresses = await reach.addresses(self._context.resolver, where.host, self.config.timeout)
            return await self._look(_Way(addresses, headers, tls))
        except ssl.SSLError as error:
            return Result(State.FAIL, told(error, peer))
        except Closed as error:
            return Result(State.FAIL, f"{peer}: {error}")
        except OSError as error:
            if self._finds:  # who comes back may be another release, with other endpoints
                self._found, self._serves = None, False
            return reach.failure(error, peer)
        except ValueError as error:  # a header from a file with a line break in it
            return Result(State.UNKNOWN, f"not asked: {error}")

    async def _look(self, way: _Way) -> Result:
        if self._found is None:
            return await self._find(way)
        answer = await self._ask(self._found, way)
        # It has gone, or a server that said no to everything (it was starting) now has something.
        if self._finds and (answer.status < 400 if self._serves else answer.status == 404):
            self._found = None
            return await self._find(way)
        return self._result(self._found, answer)

    async def _find(self, way: _Way) -> Result:
        """Try the endpoints in turn. Where the deadline cuts this short, the next look goes on from there."""
        while True:
            address = urljoin(self._base, ENDPOINTS[self._next])
            answer = await self._ask(address, way)
            self._next = (self._next + 1) % len(ENDPOINTS)
            self._serves = self._next == 0 and answer.status in _NOT_HERE
            if self._serves or answer.status not in _NOT_HERE:
                self._found, self._next = address, 0
                return self._result(address, answer)

    def _result(self, address: str, answer: Answer) -> Result:
        expect = self.config.expect
        if self._serves and expect.status == DEFAULT_STATUS:
            expect = msgspec.structs.replace(expect, status=_SERVES)
        state, text = judge(expect, answer)
        observed = (Observed("responseTime", answer.seconds, "s"), Observed("status", answer.status, "1"))
        note = " (no health endpoint found: any answer below 500 counts)" if self._serves else ""
        return Result(state, f"{self.config.method} {shown(address)}: {text}{note}", observed)

    async def _ask(self, address: str, way: _Way) -> Answer:
        """One request on a connection of its own. Raises `OSError`, also for an answer that is not HTTP."""
        where, method, random = endpoint(address), self.config.method, self._context.random
        trace = f"00-{random.randrange(1, 1 << 128):032x}-{random.randrange(1, 1 << 64):016x}-00"
        headers = {"traceparent": trace, **way.headers}
        head = request_head(method, where, where.target, headers, 0 if method == "POST" else None)
        connection = HttpConnection(MOST_BODY, cut=True, lenient=True)
        started = perf_counter()
        sock = await connect(way.addresses, where.port)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                sock=sock,
                ssl=way.tls,
                server_hostname=self._tls.server_name(where.host) if way.tls else None,
            )
            answer = await connection.exchange(head, bodiless=method == "HEAD")
        finally:
            connection.close()
        return Answer(answer.status, answer.body, answer.whole, perf_counter() - started, answer.headers)

    def _headers(self) -> dict[str, str]:
        """The caller's, over ours. Secrets in files are read each time, because they rotate."""
        ours = {
            "User-Agent": self._context.user_agent,
            "Accept": "*/*",
            # Nothing is decompressed, so that nothing can unfold in memory.
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        theirs = {name: value.read() for name, value in self._theirs.items()}
        names = {name.lower() for name in theirs}
        return {name: value for name, value in ours.items() if name.lower() not in names} | theirs


def shown(address: str) -> str:
    """A URL without credentials and query, which may hold tokens."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path or '/'}"
