"""OTLP over HTTP to a backend, another Outrider or a collector."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from ..io.gzip import Gzip
from ..io.http_client import HttpClient
from ..io.resolver import Resolver
from ..io.secrets import SecretValue
from ..io.tls import ClientTls
from ..io.tls import Config as TlsConfig
from ..logic.http_request import endpoint
from ..logic.otlp_http import HOP_HEADER, PROTOBUF, VIA_HEADER, outcome
from ..model.signals import Batch, Outcome, RetryLater, Signal
from ..version import VERSION
from . import otlp
from .otlp import Compression


class Config(otlp.Config, frozen=True, kw_only=True):
    """To `endpoint` the signal's path is added, `…_endpoint` is used as it is written."""

    def url(self, signal: Signal) -> str:
        """Where a signal goes."""
        own: str | None = getattr(self, f"{signal}_endpoint")
        return own or f"{(self.endpoint or '').rstrip('/')}/v1/{signal}"


class OtlpHttp:
    """A `Sink`. One pool of connections for each host, and way to verify it, that the configuration names."""

    def __init__(self, config: Config, resolver: Resolver | None = None, now: Callable[[], float] = time.time) -> None:
        """`now` is unix seconds: some servers say "retry after" with a date."""
        self._timeout = config.timeout
        self._gzip = Gzip() if config.compression is Compression.GZIP else None
        self._now = now
        self._secrets = {name: SecretValue(secret) for name, secret in config.headers.items()}
        self._headers = {
            "User-Agent": f"outrider/{VERSION}",
            "Content-Type": PROTOBUF.decode(),
            **({"Content-Encoding": "gzip"} if self._gzip else {}),
        }
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
        if batch.via:
            headers[VIA_HEADER] = batch.via
        try:
            for name, secret in self._secrets.items():
                headers[name] = secret.read()
            body = await self._gzip.compress(batch.body) if self._gzip else batch.body
            response = await client.post(path, body, headers, self._timeout)
        except TimeoutError:
            return RetryLater(None, f"no answer within {self._timeout:g} s")
        except (OSError, ValueError) as error:  # ValueError: a secret from a file with a line break in it
            return RetryLater(None, str(error) or type(error).__name__)
        wait = response.headers.get("retry-after")
        return outcome(response.status, response.body, wait, len(batch.body), self._now())

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        if self._gzip is not None:
            self._gzip.close()
