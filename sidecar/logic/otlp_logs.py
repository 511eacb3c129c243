"""Log records as the bytes of an OTLP `ExportLogsServiceRequest`, written by hand.

Written by hand because it is what a line costs most, and because protobuf's runtime may not be in the sidecar's process; a test
reads everything back with the generated classes. Field numbers: opentelemetry/proto/logs/v1/logs.proto, common.proto.

Nothing here is joined before the end: records are pieces of bytes in a list, whose lengths are known.
"""

from __future__ import annotations

import struct
from binascii import hexlify
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Final

from ..model.logs import LogRecord, Value
from .otlp_metrics import field, key_value, resource, text
from .protobuf import FIELD_1, FIELD_2, encode_field, encode_varint

UID: Final = "log.record.uid"
MARK_BYTES: Final = 12
"""Of 96 bits a mark takes 80, which leaves 16 for summaries that stand beside a line."""
UID_DIGITS: Final = 16 + 2 * MARK_BYTES
"""Of the stream and of the mark, in hex."""

_SHORT: Final = 1024
_LENGTHS: Final = [encode_varint(n) for n in range(_SHORT)]
_SMALL: Final = 120
"""Texts shorter than this have what stands around them ready made; keys may be twice as long."""
_PAIR: Final = [b"\x32" + length for length in _LENGTHS]
_TEXT: Final = [encode_varint(n + 2) + b"\x0a" + encode_varint(n) for n in range(_SMALL)]
_NUMBER: Final = [encode_varint(1 + len(length)) + b"\x18" + length for length in _LENGTHS]
_DEEPEST: Final = 16
"""Levels of maps and lists below an attribute; what is deeper is text."""
_MOST_KEYS: Final = 1024
_INT64: Final = range(-(1 << 63), 1 << 63)

# LogRecord's tags: field number << 3 | wire type.
_ATTRIBUTE: Final = 0x32
_time = struct.Struct("<BQ").pack
_double = struct.Struct("<Bd").pack
_flags = struct.Struct("<BI").pack


def varint(number: int) -> bytes:
    return _LENGTHS[number] if number < _SHORT else encode_varint(number)


def _body(size: int) -> bytes:
    """What stands before a body: the field of the record, and of its `AnyValue`."""
    length = varint(size)
    return b"\x2a" + varint(1 + len(length) + size) + b"\x0a" + length


_BODY: Final = [_body(n) for n in range(_SHORT)]
_RECORD: Final = [b"\x12" + length for length in _LENGTHS]


class Packer:
    """Turns one stream's records into pieces of a `ScopeLogs`. Holds what they all have in common, encoded."""

    def __init__(self, uid: bytes, attributes: Mapping[str, str]) -> None:
        """`uid` is 16 hex digits; `attributes` stand on every record."""
        common = b"".join(key_value(6, key, value) for key, value in attributes.items())
        value = encode_field(FIELD_2, encode_field(FIELD_1, bytes(UID_DIGITS)))
        head = encode_field(_ATTRIBUTE, text(1, UID) + value).removesuffix(bytes(UID_DIGITS))
        self._tail = common + head + uid
        self._common = len(self._tail) + 2 * MARK_BYTES

    def pack(self, records: Sequence[LogRecord], marks: Sequence[int], observed: bytes, parts: list[bytes]) -> int:
        """Append the records to `parts`, and say how many bytes they are. `observed` comes from `observed_at`."""
        common = self._common
        known: dict[tuple[int, str], bytes] = {}
        heads: list[bytes] = []
        bodies: list[bytes] = []
        for record in records:
            head = known.get((record.severity, record.severity_text))
            if head is None:
                head = observed + _severity(record)
                known[record.severity, record.severity_text] = head
            if record.time:
                head += _time(0x09, record.time)
            if record.encoded:
                head += record.encoded
            elif record.attributes:
                head += attributes_of(record.attributes)
            if record.trace_id:
                head += b"\x4a\x10" + record.trace_id
            if record.span_id:
                head += b"\x52\x08" + record.span_id
            if record.flags:
                head += _flags(0x45, record.flags)
            if record.dropped:
                head += b"\x38" + varint(record.dropped)
            body = record.body
            size = len(body)
            head += _BODY[size] if size < _SHORT else _body(size)
            size += len(head) + common
            heads.append((_RECORD[size] if size < _SHORT else b"\x12" + encode_varint(size)) + head)
            bodies.append(body)
        return self._put(heads, bodies, marks, parts)

    def pack_bare(self, bodies: Sequence[bytes], marks: Sequence[int], observed: bytes, parts: list[bytes]) -> int:
        """As `pack`, of records that say nothing beside their bodies."""
        sizes = list(map(len, bodies))
        head = {size: observed + (_BODY[size] if size < _SHORT else _body(size)) for size in set(sizes)}
        for size in head:
            head[size] = b"\x12" + varint(len(head[size]) + size + self._common) + head[size]
        return self._put([head[size] for size in sizes], bodies, marks, parts)

    def _put(self, heads: list[bytes], bodies: Sequence[bytes], marks: Sequence[int], parts: list[bytes]) -> int:
        try:
            # What is no more than 64 bits long goes at once; some sources' marks are longer.
            zeros, digits = b"0" * 8, hexlify(struct.pack(f">{len(marks)}Q", *marks), b" ", -8).split(b" ")
        except struct.error:
            raw = b"".join([mark.to_bytes(MARK_BYTES, "big") for mark in marks])
            zeros, digits = b"", hexlify(raw, b" ", -MARK_BYTES).split(b" ")
        parts += chain.from_iterable(zip(heads, bodies, repeat(self._tail + zeros), digits))
        return sum(map(len, heads)) + sum(map(len, bodies)) + len(heads) * self._common


def _severity(record: LogRecord) -> bytes:
    head = b"\x10" + varint(record.severity) if record.severity else b""
    return head + text(3, record.severity_text) if record.severity_text else head


def observed_at(now: int) -> bytes:
    """`observed_time_unix_nano` of everything that is read now."""
    return _time(0x59, now)


def attributes_of(attributes: Mapping[str, Value]) -> bytes:
    """A record's attributes, each with its type."""
    parts: list[bytes] = []
    for key, value in attributes.items():
        known = _keys.get(key) or _key(key)
        kind = type(value) if len(known) < 2 * _SMALL else None
        if kind is str and len(raw := _utf8(value)) < _SMALL:  # type: ignore[arg-type]
            parts += (_PAIR[len(known) + len(raw) + 3], known, _TEXT[len(raw)], raw)
        elif kind is int and 0 <= value < _SHORT:  # type: ignore[operator]
            number = _NUMBER[value]  # type: ignore[index]
            parts += (_PAIR[len(known) + len(number)], known, number)
        else:
            any_value = _any(value, _DEEPEST)
            length = varint(len(any_value))
            size = len(known) + len(length) + len(any_value)
            parts += (b"\x32", varint(size), known, length, any_value)
    return b"".join(parts)


def _utf8(value: str) -> bytes:
    """A lone surrogate, which JSON can spell and UTF-8 cannot, becomes a question mark."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="replace")


_keys: dict[str, bytes] = {}
"""Field 1 of a KeyValue, whole, and the tag of field 2. The keys of a program's logs repeat; strange ones are not kept."""


def key_head(key: str) -> bytes:
    return _keys.get(key) or _key(key)


def _key(key: str) -> bytes:
    raw = _utf8(key)
    made = encode_field(FIELD_1, raw) + b"\x12"
    if len(_keys) < _MOST_KEYS and len(raw) <= 64:
        _keys[key] = made
    return made


def _any(value: Value, depth: int) -> bytes:
    """The fields of an `AnyValue`; none is one that is empty."""
    match value:
        case None:
            return b""
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int() if value in _INT64:
            return b"\x18" + encode_varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        case float():
            return _double(0x21, value)
        case list() if depth:
            return encode_field(0x2A, b"".join(encode_field(FIELD_1, _any(item, depth - 1)) for item in value))
        case dict() if depth:
            return encode_field(0x32, b"".join(encode_field(FIELD_1, _pair(k, v, depth)) for k, v in value.items()))
    return encode_field(FIELD_1, _utf8(str(value)))


def _pair(key: str, value: Value, depth: int) -> bytes:
    any_value = _any(value, depth - 1)
    return key_head(key) + varint(len(any_value)) + any_value


class Frame:
    """Puts records into a request: one resource, one scope."""

    def __init__(self, attributes: Mapping[str, str], scope: str, version: str) -> None:
        self._resource = field(1, resource(attributes))
        self._scope = field(1, text(1, scope) + text(2, version))

    def around(self, parts: Iterable[bytes], size: int) -> bytes:
        """`parts` are pieces of records, `size` bytes in all."""
        logs = self._scope_head(size)
        whole = len(self._resource) + len(logs) + len(self._scope) + size
        return b"".join((b"\x0a", encode_varint(whole), self._resource, logs, self._scope, *parts))

    def _scope_head(self, size: int) -> bytes:
        return b"\x12" + encode_varint(len(self._scope) + size)
