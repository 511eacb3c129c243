"""Where OTLP is taken, and who may send it there."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..io.server_tls import Config as TlsConfig
from ..logic.cors import Config as CorsConfig
from ..logic.scalars import Address, ListenAddressOrOff, SecretText
from ..logic.schema import Shorthand


class Grpc(msgspec.Struct, frozen=True, kw_only=True):
    """`token` lets in only who brings one of its lines as `Authorization: Bearer`. An address alone is short for `listen`."""

    listen: ListenAddressOrOff = Address("localhost", 4317)
    tls: TlsConfig | None = None
    token: SecretText | None = None


class Http(msgspec.Struct, frozen=True, kw_only=True):
    """The same, and `cors` lets pages of a browser in."""

    listen: ListenAddressOrOff = Address("localhost", 4318)
    tls: TlsConfig | None = None
    token: SecretText | None = None
    cors: CorsConfig = CorsConfig()


GrpcListener = Annotated[Grpc, Shorthand("listen")]
HttpListener = Annotated[Http, Shorthand("listen")]
