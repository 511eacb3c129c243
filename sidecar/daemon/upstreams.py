"""Where telemetry goes: an upstream for each configured export."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..config import Config, Export
from ..export.otlp_grpc import Config as OtlpGrpcConfig
from ..export.otlp_grpc import OtlpGrpc
from ..export.otlp_http import OtlpHttp
from ..io.resolver import Resolver
from ..logic.scalars import masked_url
from ..parcel import Outlet, Upstream


def upstreams_of(config: Config, resolver: Resolver) -> list[Upstream]:
    """Names are for people, so they are the endpoint's host and port, numbered where two are the same: rows in the spool go by
    them."""
    made: list[Upstream] = []
    for export in config.export:
        parts = urlsplit(next(iter(export.sink.urls()))[1])
        address = parts.netloc.rpartition("@")[2]
        same = sum(upstream.name.partition("#")[0] == address for upstream in made)
        name = f"{address}#{same + 1}" if same else address
        endpoint = masked_url(parts._replace(netloc=address).geturl())
        protocol = "grpc" if export.otlp_grpc else "http/protobuf"
        made.append(Upstream(name, _sink(export, resolver), export.required, endpoint, protocol))
    return made


def _sink(export: Export, resolver: Resolver) -> Outlet:
    config = export.sink
    return OtlpGrpc(config, resolver) if isinstance(config, OtlpGrpcConfig) else OtlpHttp(config, resolver)
