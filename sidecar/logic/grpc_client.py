"""A unary gRPC call from the client's side: the header block of an export, and its message.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Requests". Blocks are literals without a table, so that one
is built once and sent on every connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from ..model.signals import Signal
from . import http2_frames as f
from .grpc import PATHS
from .http2_headers import literal
from .http_header import HeaderName, HeaderText
from .http_request import Endpoint
from .otlp_http import HOP_HEADER, VIA_HEADER
from .scalars import Rule

PATH_OF = {signal: path for path, signal in PATHS.items()}
_OWN = frozenset({"te", "content-type", "content-length", "host", "user-agent", HOP_HEADER, VIA_HEADER})
_HTTP_1 = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})


def request_block(
    where: Endpoint, signal: Signal, metadata: Mapping[str, str], agent: str, timeout: float, *, gzip: bool
) -> bytes:
    """The request's fields; `timeout` seconds are told to the server. Names in `metadata` become lower case.

    Raises `ValueError` for a value that no metadata can have, or for more than a server must take.
    """
    fields = [
        (":method", "POST"),
        (":scheme", where.scheme),
        (":path", PATH_OF[signal].decode()),
        (":authority", where.authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", agent),
        ("grpc-timeout", f"{max(1, round(timeout * 1000))}m"),
    ]
    if gzip:
        fields += [("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")]
    if where.authorization is not None and "authorization" not in {name.lower() for name in metadata}:
        fields.append(("authorization", where.authorization))
    for name, value in metadata.items():
        if not _is_ascii(value):
            raise ValueError(f"the value of header {name} has a character that gRPC cannot send")
        fields.append((name.lower(), value))
    block = b"".join(literal(name.encode(), value.encode()) for name, value in fields)
    if len(block) > f.LEAST_FRAME - 1:
        raise ValueError(f"headers of {len(block)} bytes, more than the {f.LEAST_FRAME - 1} that fit into one frame")
    return block


def prefix(size: int, *, compressed: bool) -> bytes:
    """What stands before a message of `size` bytes."""
    return bytes((compressed,)) + size.to_bytes(4, "big")


def _is_free(name: str) -> bool:
    low = name.lower()
    return low not in _OWN and low not in _HTTP_1 and not low.startswith("grpc-")


def _is_ascii(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


MetadataName = Annotated[HeaderName, Rule(_is_free, "belongs to gRPC itself", "another name")]
MetadataText = Annotated[
    HeaderText,
    Rule(
        lambda secret: secret.literal is None or _is_ascii(secret.literal),
        "has a character that gRPC cannot send",
        "printable ASCII",
    ),
]
