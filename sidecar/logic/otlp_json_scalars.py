"""JSON values of OTLP's scalar types as the bytes after a field's tag. Every encoder raises `Wrong`.

https://protobuf.dev/programming-guides/json/, with OTLP's exceptions: trace and span ids are hex, enums are numbers. Numbers
may stand in strings, as 64-bit ones should.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Callable
from math import inf, isinf, nan
from typing import Any, TypeAlias

import msgspec

from .protobuf import encode_varint

Encode: TypeAlias = Callable[[Any], bytes]

SHOWN = 40
"""Characters of a wrong value that an error repeats."""
MAX_DIGITS = 20
"""The longest 64-bit number, its sign included."""
MAX_DOUBLE = 400
"""Characters of a number in a string."""

_DOUBLE = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
_FROM_URL_SAFE = str.maketrans("-_", "+/")
_pack_double = struct.Struct("<d").pack


class Wrong(ValueError):
    """This JSON is not the OTLP that it should be. `path` gains a key or an index on the way out: the innermost is first."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.path: list[str | int] = []

    def __str__(self) -> str:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(self.path))
        return f"{path.removeprefix('.')}: {self.args[0]}" if path else self.args[0]


def wrong(value: object, expected: str) -> Wrong:
    return Wrong(f"{show(value)}, expected {expected}")


def show(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "an array"
        case str() if len(value) > SHOWN:
            return f'"{value[:SHOWN]}…"'
        case int() if not -(1 << 64) < value < 1 << 64:
            return "a number of more than 64 bits"
        case _:
            return msgspec.json.encode(value).decode()


def _integer(low: int, high: int, encode: Callable[[int], bytes]) -> Encode:
    expected = f"a whole number from {low} to {high}"

    def put(value: Any) -> bytes:
        number = value
        if type(value) is str:
            if len(value) <= MAX_DIGITS and value.isascii() and value.removeprefix("-").isdigit():
                number = int(value)
        elif type(value) is float and value.is_integer():
            number = int(value)
        if type(number) is not int or not low <= number <= high:
            raise wrong(value, expected)
        return encode(number)

    return put


def _fixed(size: int, *, signed: bool) -> Encode:
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    return _integer(low, high, lambda number: number.to_bytes(size, "little", signed=signed))


def _varint(bits: int, *, signed: bool) -> Encode:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return _integer(low, high, lambda number: encode_varint(number & 0xFFFFFFFFFFFFFFFF))


_zigzag = _integer(
    -(1 << 31), (1 << 31) - 1, lambda number: encode_varint(number * 2 if number >= 0 else -number * 2 - 1)
)
_int32 = _varint(32, signed=True)


def _enum(value: Any) -> bytes:
    if type(value) is str:
        raise wrong(value, "a number: OTLP's JSON has no names of enum values")
    return _int32(value)


def _bool(value: Any) -> bytes:
    if type(value) is not bool:
        raise wrong(value, "true or false")
    return b"\x01" if value else b"\x00"


def _double(value: Any) -> bytes:
    number = value
    if type(value) is str:
        number = _NOT_FINITE.get(value)
        if number is None and len(value) <= MAX_DOUBLE and _DOUBLE.fullmatch(value) and not isinf(float(value)):
            number = float(value)
    if type(number) is not float and type(number) is not int:
        raise wrong(value, 'a number, "NaN", "Infinity" or "-Infinity"')
    try:
        return _pack_double(float(number))
    except OverflowError:
        raise wrong(value, "a number in the range of a double") from None


def _string(value: Any) -> bytes:
    if type(value) is not str:
        raise wrong(value, "a string")
    data = value.encode()
    return encode_varint(len(data)) + data


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise wrong(value, "base64")
    text = value.translate(_FROM_URL_SAFE).rstrip("=")
    try:
        data = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise wrong(value, "base64") from None
    return encode_varint(len(data)) + data


def _identifier(size: int) -> Encode:
    """Hex of any case, or nothing for an id that is not there."""

    def put(value: Any) -> bytes:
        try:
            data = bytes.fromhex(value)
        except (ValueError, TypeError):
            raise wrong(value, f"{2 * size} hex digits") from None
        if len(value) != 2 * len(data) or len(data) not in (0, size):  # fromhex skips blanks
            raise wrong(value, f"{2 * size} hex digits")
        return bytes((len(data),)) + data

    return put


# Wire type, what a zero looks like, and the encoder.
SCALARS: dict[str, tuple[int, bytes, Encode]] = {
    "bool": (0, bytes(1), _bool),
    "bytes": (2, bytes(1), _bytes),
    "double": (1, bytes(8), _double),
    "enum": (0, bytes(1), _enum),
    "fixed32": (5, bytes(4), _fixed(4, signed=False)),
    "fixed64": (1, bytes(8), _fixed(8, signed=False)),
    "int32": (0, bytes(1), _int32),
    "int64": (0, bytes(1), _varint(64, signed=True)),
    "sfixed64": (1, bytes(8), _fixed(8, signed=True)),
    "sint32": (0, bytes(1), _zigzag),
    "span_id": (2, bytes(1), _identifier(8)),
    "string": (2, bytes(1), _string),
    "trace_id": (2, bytes(1), _identifier(16)),
    "uint32": (0, bytes(1), _varint(32, signed=False)),
    "uint64": (0, bytes(1), _varint(64, signed=False)),
}
