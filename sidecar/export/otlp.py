"""What both ways of exporting OTLP are configured by. https://opentelemetry.io/docs/specs/otel/protocol/exporter/"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from ..io.tls import Config as TlsConfig
from ..logic.http_header import HeaderName, HeaderText
from ..logic.scalars import HttpUrl, Timeout
from ..logic.schema import Checks
from ..model.signals import Signal


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`…_endpoint` is for one signal, `endpoint` for those that have none of their own; `…_tls` is in place of `tls` as
    a whole."""

    endpoint: HttpUrl | None = None
    traces_endpoint: HttpUrl | None = None
    metrics_endpoint: HttpUrl | None = None
    logs_endpoint: HttpUrl | None = None
    headers: dict[HeaderName, HeaderText] = {}
    compression: Compression = Compression.NONE
    timeout: Timeout = 10.0
    tls: TlsConfig = TlsConfig()
    traces_tls: TlsConfig | None = None
    metrics_tls: TlsConfig | None = None
    logs_tls: TlsConfig | None = None

    def urls(self) -> Iterable[tuple[str, str]]:
        """What is written, by its key."""
        for key in ("endpoint", *(f"{signal}_endpoint" for signal in Signal)):
            if (url := getattr(self, key)) is not None:
                yield key, url

    def tls_of(self, signal: Signal) -> TlsConfig:
        own: TlsConfig | None = getattr(self, f"{signal}_tls")
        return own or self.tls

    def problems(self) -> Checks:
        if self.endpoint is None and len(list(self.urls())) < len(Signal):
            yield "endpoint", "missing", "a URL, or one for each of traces, metrics and logs"
