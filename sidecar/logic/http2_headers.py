"""Header blocks: decoded, and checked by the rules of RFC 9113, section 8.

Both sides repeat themselves: after the first message of a kind its block is references to the table, and literals that do
not go into it. What a block means that leaves the table as it is depends on the block and the table alone, and is kept until
the table changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

from hpack import HPACKError

from .http2_frames import Code, Fault
from .http2_hpack import Decoder, Pair

CACHED = 64
SHORT = 1 << 10
"""Bytes of a block and of a header list, up to which what it means is kept."""

Fields = dict[bytes, bytes]
H = TypeVar("H")

_REQUEST = frozenset({b":method", b":scheme", b":path", b":authority"})
_NEEDED = frozenset({b":method", b":scheme", b":path"})
# Section 8.2.2: they belong to HTTP/1.1's connections.
_FORBIDDEN = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[^\0\r\n \t](?:[^\0\r\n]*[^\0\r\n \t])?)?")


class Malformed(Exception):
    """The block decodes, and breaks a rule about its fields."""


class HeaderBlocks(Generic[H]):
    """One connection's decoder. `interpret` makes of a message's fields what its user wants; it must be pure."""

    def __init__(
        self,
        interpret: Callable[[Fields], H],
        fields: Callable[[list[Pair]], Fields] | None = None,
        varying: tuple[bytes, Callable[[H, bytes], H]] | None = None,
    ) -> None:
        """`fields` checks a block's fields: by default those of a request. `varying` is a field that differs from block to block:
        its name, and what its value makes of what the others mean; to `interpret` it is empty."""
        self._interpret = interpret
        self._varying = varying
        self._fields = fields or request
        self._decoder = Decoder()
        self._blocks: dict[bytes, H | Malformed] = {}
        """By the block: only such that change nothing, and only while the table stays as it is."""
        self._lists: dict[tuple[Pair, ...], H | Malformed] = {}
        """By what a block decodes to, which no table can change."""

    def read(self, block: bytes) -> H:
        """Raises `Malformed`; and `Fault` where the table is lost, and the connection with it (section 4.3)."""
        seen = self._blocks.get(block)
        if seen is None:
            seen = self._meaning(self._decode(block))
            if not self._decoder.changed and len(block) <= SHORT:
                if len(self._blocks) >= CACHED:
                    self._blocks.clear()
                self._blocks[block] = seen
        if isinstance(seen, Malformed):
            raise Malformed(*seen.args)
        return seen

    def _meaning(self, pairs: list[Pair]) -> H | Malformed:
        if self._varying is None:
            return self._constant(pairs)
        name, add = self._varying
        values = []
        for at, pair in enumerate(pairs):
            if pair[0] == name:
                values.append(pair[1])
                pairs[at] = name, b""
        seen = self._constant(pairs)
        return add(seen, b", ".join(values)) if values and not isinstance(seen, Malformed) else seen

    def _constant(self, pairs: list[Pair]) -> H | Malformed:
        key = tuple(pairs)
        seen = self._lists.get(key)
        if seen is None:
            try:
                seen = self._interpret(self._fields(pairs))
            except Malformed as error:
                return Malformed(*error.args)
            if len(self._lists) >= CACHED:
                self._lists.clear()
            if sum(len(name) + len(value) for name, value in pairs) <= SHORT:
                self._lists[key] = seen
        return seen

    def trailers(self, block: bytes) -> None:
        """Decoded, which the table needs, checked, and forgotten. Raises as `read` does."""
        trailers(self._decode(block))

    def skip(self, block: bytes) -> None:
        """For a stream that is refused: the table must follow all the same."""
        if block not in self._blocks:
            self._decode(block)

    def _decode(self, block: bytes) -> list[Pair]:
        try:
            pairs = self._decoder.decode(block)
        except HPACKError as error:
            raise Fault(Code.COMPRESSION_ERROR, f"header block: {error}") from None
        if self._decoder.changed:
            self._blocks.clear()
        return pairs


def request(pairs: list[Pair]) -> Fields:
    """The fields of a request (section 8.3.1), repeated ones joined by a comma. Raises `Malformed`."""
    fields: Fields = {}
    regular = False
    for name, value in pairs:
        if name[:1] == b":":
            if regular:
                raise Malformed("a pseudo-header after a regular one")
            if name not in _REQUEST or name in fields:
                raise Malformed("a pseudo-header that is unknown, or comes twice")
            fields[name] = value
            continue
        regular = True
        _check(name, value)
        fields[name] = fields[name] + b", " + value if name in fields else value
    if not fields.keys() >= _NEEDED or not fields[b":path"]:
        raise Malformed(":method, :scheme or :path is missing")
    _check_length(fields)
    return fields


def response(pairs: list[Pair]) -> Fields:
    """The fields of a response's head, which has `:status`, or of its trailers (section 8.3.2). Raises `Malformed`."""
    fields: Fields = {}
    for name, value in pairs:
        if name[:1] == b":":
            if fields or name != b":status" or len(value) != 3 or not value.isdigit():
                raise Malformed("a pseudo-header that is unknown, out of place, or no status")
        else:
            _check(name, value)
        fields[name] = fields[name] + b", " + value if name in fields else value
    _check_length(fields)
    return fields


def trailers(pairs: list[Pair]) -> None:
    for name, value in pairs:
        if name[:1] == b":":
            raise Malformed("a pseudo-header in trailers")
        _check(name, value)


def _check_length(fields: Fields) -> None:
    length = fields.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 18:
        raise Malformed("content-length is not a number")


def _check(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise Malformed("a field name with a character that is not allowed")
    if name in _FORBIDDEN or (name == b"te" and value != b"trailers"):
        raise Malformed("a field that belongs to an HTTP/1.1 connection")
    if not _VALUE.fullmatch(value):
        raise Malformed("a field value with a character that is not allowed")


def literal(name: bytes, value: bytes) -> bytes:
    """One field without any table (RFC 7541, section 6.2.2), so that answers need no encoder and no state."""
    return b"\x00" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    out = bytearray((127,))
    size -= 127
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out) + text
