"""Protobuf's wire format, as much of it as it takes to walk a message without knowing its schema.

https://protobuf.dev/programming-guides/encoding/. Read as upb reads it: a known field number with another wire type is an
unknown field, unknown fields are skipped, groups are skipped whole, varints may be longer than they need to be. What upb
accepts is accepted here.

Positions may point outside the buffer after a length that lies: the caller compares with the end it knows. Reading outside
raises `IndexError`, which callers turn into `Malformed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Buffer: TypeAlias = bytes | memoryview

# Tags: field number << 3 | wire type; 2 is length-delimited, 0 a varint.
VARINT_1 = 0x08
FIELD_1 = 0x0A
FIELD_2 = 0x12

_DELIMITED = frozenset(range(10, 128, 8))
TWO_BYTES = [3 - 128 + (high << 7) for high in range(128)]
"""A length-delimited field with two bytes of length, `low` and `high`, is `low + TWO_BYTES[high]` long, all in all."""

MAX_VARINT = 10
MAX_GROUPS = 100
HEADER = 5 + MAX_VARINT
"""A field's tag and length need at most so many bytes."""


class Malformed(ValueError):
    """These bytes are not the message that they should be: what is wrong, and at which offset."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"{what} at byte {offset}")
        self.offset = offset
        self.what = what


def read_varint(buf: Buffer, p: int) -> tuple[int, int]:
    """Value and the position after it."""
    value = buf[p]
    if value < 128:
        return value, p + 1
    start = p
    value &= 127
    shift = 7
    while True:
        p += 1
        byte = buf[p]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, p + 1
        shift += 7
        if shift >= 7 * MAX_VARINT:
            raise Malformed(start, "a number longer than 10 bytes")


def read_tag(buf: Buffer, p: int) -> tuple[int, int]:
    tag, after = read_varint(buf, p)
    if not 8 <= tag <= 0xFFFFFFFF:
        raise Malformed(p, "an impossible field number")
    return tag, after


def skip(buf: Buffer, p: int) -> int:
    """The position after the field at `p`; it may lie outside the buffer."""
    groups: list[int] = []
    while True:
        start = p
        tag, p = read_tag(buf, p)
        kind = tag & 7
        if kind == 2:
            size, p = read_varint(buf, p)
            p += size
        elif kind == 0:
            p = read_varint(buf, p)[1]
        elif kind == 1:
            p += 8
        elif kind == 5:
            p += 4
        elif kind == 3 and len(groups) < MAX_GROUPS:
            groups.append(tag >> 3)
        elif kind == 4 and groups and groups[-1] == tag >> 3:
            groups.pop()
        else:
            raise Malformed(start, f"wire type {kind} out of place")
        if not groups:
            return p


def field(buf: Buffer, p: int) -> tuple[int, int, int]:
    """The tag of the field at `p` (however long-winded), where its payload starts if it is length-delimited, and where the next
    field starts."""
    tag = buf[p]
    if tag in _DELIMITED:  # one byte of tag, and one or two of length unrolled: it is hot
        low = buf[p + 1]
        if low < 128:
            return tag, p + 2, p + 2 + low
        high = buf[p + 2]
        if high < 128:
            return tag, p + 3, p + low + TWO_BYTES[high]
        size, start = read_varint(buf, p + 1)
        return tag, start, start + size
    if tag >= 128:
        tag, after = read_tag(buf, p)
        if tag & 7 == 2:
            size, start = read_varint(buf, after)
            return tag, start, start + size
    return tag, p, skip(buf, p)


def check_end(p: int, end: int) -> None:
    if p != end:
        raise Malformed(end, "a field reaches over the end of the message around it")


def fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """A small message's fields: tag byte(s) as a number, and the value of a varint or the payload of a length-delimited
    field (0 and nothing otherwise). Raises `Malformed`."""
    p = 0
    try:
        while p < len(message):
            tag, after = read_tag(message, p)
            if tag & 7 == 0:
                number, p = read_varint(message, after)
                yield tag, number, b""
            elif tag & 7 == 2:
                _, start, p = field(message, p)
                if p > len(message):
                    break
                yield tag, 0, message[start:p]
            else:
                p = skip(message, p)
        check_end(p, len(message))
    except IndexError:
        raise Malformed(len(message), "the message ends inside a field") from None


def encode_varint(number: int) -> bytes:
    if number < 1 << 7:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((number & 127 | 128, number >> 7))
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_field(tag: int, payload: bytes) -> bytes:
    return bytes((tag,)) + encode_varint(len(payload)) + payload
