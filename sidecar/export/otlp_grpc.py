"""OTLP over gRPC to a backend, another Outrider or a collector."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ..io.gzip import Gzip
from ..io.http2_client import Http2Client
from ..io.http2_connection import Keepalive
from ..io.resolver import Resolver
from ..io.secrets import SecretValue
from ..io.tls import ClientTls
from ..io.tls import Config as TlsConfig
from ..logic.grpc_client import MetadataName, MetadataText, prefix, request_block
from ..logic.grpc_outcome import outcome
from ..logic.http2_frames import LEAST_FRAME, Piece
from ..logic.http_request import endpoint
from ..logic.otlp_http import HOP_HEADER, VIA_HEADER
from ..logic.scalars import Bytes, Duration, Rule, masked_url, show_bytes
from ..logic.schema import Checks
from ..model.signals import Batch, Outcome, RetryLater, Signal, Split
from ..version import VERSION
from . import otlp
from .otlp import Compression

MAX_BLOCKS = 32


class KeepaliveConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A PING after `interval` in which the upstream has said nothing; the connection is given up when no answer comes within
    `timeout`. Many servers refuse more than one in five minutes (gRPC's own default)."""

    interval: Annotated[Duration, Rule(lambda s: 10 <= s <= 86400, "is out of range", "10s to 1d")]
    timeout: Annotated[Duration, Rule(lambda s: 1 <= s <= 300, "is out of range", "1s to 5m")] = 20.0


class Config(otlp.Config, frozen=True, kw_only=True):
    """Endpoints are scheme, host and port. Requests above `max_message_bytes`, as the upstream's own limit is, are split
    before they are sent; without it, when the upstream says so."""

    headers: dict[MetadataName, MetadataText] = {}
    max_message_bytes: Annotated[Bytes, Rule(lambda n: n >= 1 << 10, "is too small", "at least 1KiB")] | None = None
    keepalive: KeepaliveConfig | None = None

    def url(self, signal: Signal) -> str:
        """Where a signal goes."""
        own: str | None = getattr(self, f"{signal}_endpoint")
        return own or self.endpoint or ""

    def problems(self) -> Checks:
        yield super().problems()
        for key, url in self.urls():
            yield _path_problems(key, url)


def _path_problems(key: str, url: str) -> Checks:
    parts = urlsplit(url)
    if parts.path or parts.query:
        alone = masked_url(f"{parts.scheme}://{parts.netloc}")
        yield key, f'"{masked_url(url)}" has a path, and gRPC has its own', f'"{alone}"'


class OtlpGrpc:
    """A `Sink`. One connection, while one is enough, for each host, and way to verify it, that the configuration names."""

    def __init__(self, config: Config, resolver: Resolver | None = None, now: Callable[[], float] = time.time) -> None:
        """`now` is unix seconds: some proxies say "retry after" with a date."""
        self._config = config
        self._now = now
        self._gzip = Gzip() if config.compression is Compression.GZIP else None
        self._secrets = {name: SecretValue(secret) for name, secret in config.headers.items()}
        self._metadata: dict[str, str] = {}
        self._blocks: dict[tuple[Signal, int, str], bytes] = {}
        """Built once, while the metadata stay as they are."""
        self._clients: dict[tuple[str, TlsConfig], Http2Client] = {}
        self._targets: dict[Signal, Http2Client] = {}
        alive = config.keepalive
        keepalive = Keepalive(alive.interval, alive.timeout) if alive else None
        for signal in Signal:
            key = url, tls = config.url(signal), config.tls_of(signal)
            client = self._clients.get(key) or Http2Client(endpoint(url), resolver, ClientTls(tls, "h2"), keepalive)
            self._targets[signal] = self._clients[key] = client

    async def send(self, batch: Batch) -> Outcome:
        """Within the configured timeout. Never raises what a network, a file or an upstream can cause."""
        config, size = self._config, len(batch.body)
        if config.max_message_bytes is not None and size > config.max_message_bytes:
            return Split(f"{size} bytes, more than max_message_bytes, {show_bytes(config.max_message_bytes)}")
        try:
            block = self._block(batch)
            message = await self._gzip.compress(batch.body) if self._gzip else batch.body
            start = prefix(len(message), compressed=self._gzip is not None)
            body: list[Piece] = [start, message] if len(message) > LEAST_FRAME else [start + message]
            response = await self._targets[batch.signal].exchange(block, body, config.timeout)
        except TimeoutError:
            return RetryLater(None, f"no answer within {config.timeout:g} s")
        except (OSError, ValueError) as error:  # ValueError: a secret from a file that no header can carry
            return RetryLater(None, str(error) or type(error).__name__)
        return outcome(response.head, response.trailers, response.body, size, self._now())

    def _block(self, batch: Batch) -> bytes:
        metadata = {name: secret.read() for name, secret in self._secrets.items()}
        if metadata != self._metadata:
            self._metadata = metadata
            self._blocks.clear()
        key = batch.signal, batch.hops + 1, batch.via
        block = self._blocks.get(key)
        if block is None:
            config = self._config
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.clear()
            block = self._blocks[key] = request_block(
                endpoint(config.url(batch.signal)),
                batch.signal,
                {**metadata, HOP_HEADER: str(batch.hops + 1), **({VIA_HEADER: batch.via} if batch.via else {})},
                f"outrider/{VERSION}",
                config.timeout,
                gzip=self._gzip is not None,
            )
        return block

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        if self._gzip is not None:
            self._gzip.close()
