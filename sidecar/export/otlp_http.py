"""OTLP over HTTP to a backend, another Outrider or a collector."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec
from isal import isal_zlib

from ..io.http_client import HttpClient
from ..io.resolver import Resolver
from ..io.secrets import SecretValue
from ..io.tls import ClientTls
from ..io.tls import Config as TlsConfig
from ..logic.gzip_body import GZIP
from ..logic.http_header import header_problems
from ..logic.http_request import endpoint
from ..logic.otlp_http import HOP_HEADER, PROTOBUF, outcome
from ..logic.scalars import Duration, HttpUrl, SecretText, show_duration
from ..model.signals import Batch, Outcome, RetryLater, Signal
from ..version import VERSION

LARGE = 256 << 10
"""Bytes from which compression leaves the event loop."""
FASTEST = 1
"""isal's level 1: a fifteenth of zlib's time at its default level, for the same size (telemetry compresses well anyway)."""


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """As in OpenTelemetry's exporter specification: to `endpoint` the signal's path is added, `…_endpoint` is used as it
    is written. `…_tls` is in place of `tls` as a whole."""

    endpoint: HttpUrl | None = None
    traces_endpoint: HttpUrl | None = None
    metrics_endpoint: HttpUrl | None = None
    logs_endpoint: HttpUrl | None = None
    headers: dict[str, SecretText] = {}
    compression: Compression = Compression.NONE
    timeout: Duration = 10.0
    tls: TlsConfig = TlsConfig()
    traces_tls: TlsConfig | None = None
    metrics_tls: TlsConfig | None = None
    logs_tls: TlsConfig | None = None

    def urls(self) -> Iterable[tuple[str, str]]:
        """What is written, by its key."""
        for key in ("endpoint", *(f"{signal}_endpoint" for signal in Signal)):
            if (url := getattr(self, key)) is not None:
                yield key, url

    def url(self, signal: Signal) -> str:
        """Where a signal goes."""
        own: str | None = getattr(self, f"{signal}_endpoint")
        return own or f"{(self.endpoint or '').rstrip('/')}/v1/{signal}"

    def tls_of(self, signal: Signal) -> TlsConfig:
        own: TlsConfig | None = getattr(self, f"{signal}_tls")
        return own or self.tls

    def problems(self) -> Iterable[tuple[str, str, str]]:
        if self.endpoint is None and len(list(self.urls())) < len(Signal):
            yield "endpoint", "missing", "a URL, or one for each of traces, metrics and logs"
        if not 0 < self.timeout <= 300:
            yield "timeout", f"{show_duration(self.timeout)} is out of range", "more than 0s and at most 5m"
        yield from header_problems(self.headers)


class OtlpHttp:
    """A `Sink`. One pool of connections for each host, and way to verify it, that the configuration names."""

    def __init__(self, config: Config, resolver: Resolver | None = None, now: Callable[[], float] = time.time) -> None:
        """`now` is unix seconds: some servers say "retry after" with a date."""
        self._timeout = config.timeout
        self._gzip = config.compression is Compression.GZIP
        self._now = now
        self._secrets = {name: SecretValue(secret) for name, secret in config.headers.items()}
        self._headers = {
            "User-Agent": f"outrider/{VERSION}",
            "Content-Type": PROTOBUF.decode(),
            **({"Content-Encoding": "gzip"} if self._gzip else {}),
        }
        self._worker: ThreadPoolExecutor | None = None
        self._clients: dict[tuple[str, TlsConfig], HttpClient] = {}
        self._targets: dict[Signal, tuple[HttpClient, str]] = {}
        for signal in Signal:
            url = config.url(signal)
            parts = urlsplit(url)
            origin, tls = f"{parts.scheme}://{parts.netloc}", config.tls_of(signal)
            client = self._clients.get((origin, tls)) or HttpClient(origin, resolver, tls=ClientTls(tls))
            self._clients[origin, tls] = client
            self._targets[signal] = (client, endpoint(url).target)

    async def send(self, batch: Batch) -> Outcome:
        """Within the configured timeout. Never raises what a network, a file or an upstream can cause."""
        client, path = self._targets[batch.signal]
        headers = dict(self._headers)
        headers[HOP_HEADER] = str(batch.hops + 1)
        try:
            for name, secret in self._secrets.items():
                headers[name] = secret.read()
            body = await self._compressed(batch.body) if self._gzip else batch.body
            response = await client.post(path, body, headers, self._timeout)
        except TimeoutError:
            return RetryLater(None, f"no answer within {self._timeout:g} s")
        except (OSError, ValueError) as error:  # ValueError: a secret from a file with a line break in it
            return RetryLater(None, str(error) or type(error).__name__)
        wait = response.headers.get("retry-after")
        return outcome(response.status, response.body, wait, len(batch.body), self._now())

    async def _compressed(self, body: bytes) -> bytes:
        if len(body) <= LARGE:
            return _gzip(body)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="otlp-gzip")
        return await asyncio.get_running_loop().run_in_executor(self._worker, _gzip, body)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)


def _gzip(body: bytes) -> bytes:
    compressed: bytes = isal_zlib.compress(body, FASTEST, GZIP)
    return compressed
