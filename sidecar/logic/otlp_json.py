"""OTLP's JSON as its protobuf, by the table in `otlp_fields`.

https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md, "JSON Protobuf Encoding". Keys are
lowerCamelCase; unknown ones are ignored, of a key that is given twice the last counts, and null is as good as nothing. What
is zero by default is left out, as every encoder of protobuf does. Two members of a oneof are an error.

Written by hand because protobuf's runtime may not be in the sidecar's process; its `json_format` would take ids for base64.

Memory: up to `PIECE` bytes of JSON are decoded at once, of a larger message field by field, of a larger array a run of
elements at a time. So there are the text, the result (while it is joined, twice), and Python objects for one piece; only a
single string is a piece of any size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from ..model.signals import Signal
from .gzip_body import TooLarge
from .json_split import runs
from .otlp_fields import MESSAGES, REQUESTS
from .otlp_json_scalars import SCALARS, Encode, Wrong, wrong
from .protobuf import encode_varint

MAX_DEPTH = 100
"""Messages within messages: more is what upb and Java refuse to read."""
PIECE = 64 << 10

_ABSENT = msgspec.Raw()
_START = re.compile(rb"\s*\{")

Put: TypeAlias = Callable[[bytearray, Any, int], None]
"""Append a field with this value; the number is the depth of the message around it."""


def transcode(signal: Signal, body: bytes, limit: int) -> bytes:
    """The export request in protobuf. Raises `Wrong`, or `TooLarge` for a result of more than `limit` bytes."""
    out = bytearray()
    _messages(limit)[REQUESTS[signal]].put(out, memoryview(body), 0)
    if len(out) > limit:
        raise _too_large(limit)
    return bytes(out)


class _Message:
    """How one type of message is written. `fields` is filled when all types are there, since they contain each other."""

    def __init__(self, name: str) -> None:
        self.fields: dict[str, Put] = {}
        types = {key: kind for key, (_, kind) in MESSAGES[name].items()}
        self._one_of = {key for key, kind in types.items() if kind.endswith("|")}
        self._in_pieces = {key for key, kind in types.items() if kind.endswith("*") or kind.rstrip("|") in MESSAGES}
        self._raw = msgspec.defstruct(name, [(key, msgspec.Raw, _ABSENT) for key in types])

    def put(self, out: bytearray, value: Any, depth: int) -> None:
        """The message's content. `value` is a decoded object or a view of its text."""
        if type(value) is memoryview:
            value = self._opened(value)
        if type(value) is not dict:
            raise wrong(value, "an object")
        if depth > MAX_DEPTH:
            raise Wrong(f"nested too deep, expected at most {MAX_DEPTH} messages within each other")
        if len(value) > 1 and self._one_of:
            given = [key for key in value if key in self._one_of and value[key] is not None]
            if len(given) > 1:
                raise Wrong(f"{' and '.join(given)} are given, expected one of them")
        fields = self.fields
        key = ""
        try:
            for key, item in value.items():
                if item is not None and key in fields:
                    fields[key](out, item, depth)
        except Wrong as error:
            error.path.append(key)
            raise

    def _opened(self, text: memoryview) -> Any:
        if len(text) <= PIECE:
            return _decode(text)
        if _START.match(text) is None:
            raise Wrong("expected an object")
        raw = _decode(text, self._raw)
        given: dict[str, Any] = {}
        for key in self.fields:
            field = getattr(raw, key)
            if field is not _ABSENT:
                view = memoryview(field)
                large = len(view) > PIECE and key in self._in_pieces
                try:
                    given[key] = view if large else _decode(view)
                except Wrong as error:
                    error.path.append(key)
                    raise
        return given


def _decode(text: bytes | memoryview, kind: Any = Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        raise Wrong("nested too deep") from None
    except ValueError as error:
        raise Wrong(str(error).partition(" - at `$")[0]) from None  # its path ends at this piece


@lru_cache(8)
def _messages(limit: int) -> dict[str, _Message]:
    messages = {name: _Message(name) for name in MESSAGES}
    for name, message in messages.items():
        for key, (number, kind) in MESSAGES[name].items():
            message.fields[key] = _field(number, kind, messages, limit)
    return messages


def _field(number: int, kind: str, messages: dict[str, _Message], limit: int) -> Put:
    plain = kind.rstrip("*?|")
    if plain in messages:
        tag = encode_varint(number << 3 | 2)
        return _repeated(tag, messages[plain], limit) if kind.endswith("*") else _message(tag, messages[plain])
    wire, zero, encode = SCALARS[plain]
    tag = encode_varint(number << 3 | wire)
    if not kind.endswith("*"):
        return _scalar(tag, encode, zero if kind == plain else b"")
    if wire == 2:
        return _texts(tag, encode)
    return _packed(encode_varint(number << 3 | 2), encode, limit)


def _scalar(tag: bytes, encode: Encode, zero: bytes) -> Put:
    def put(out: bytearray, value: Any, depth: int) -> None:
        data = encode(value)
        if data != zero:
            out += tag + data

    return put


def _texts(tag: bytes, encode: Encode) -> Put:
    def put(out: bytearray, value: Any, depth: int) -> None:
        for data in _each(encode, value):
            out += tag + data

    return put


def _packed(tag: bytes, encode: Encode, limit: int) -> Put:
    def put(out: bytearray, value: Any, depth: int) -> None:
        packed = bytearray()
        for data in _each(encode, value):
            packed += data
            if len(packed) > limit:
                raise _too_large(limit)
        if packed:
            out += tag + encode_varint(len(packed)) + packed

    return put


def _each(encode: Encode, value: Any) -> Iterator[bytes]:
    index = 0
    for elements in _elements(value):
        try:
            for item in elements:
                yield encode(_decode(item) if type(item) is memoryview else item)
                index += 1
        except Wrong as error:
            error.path.append(index)
            raise


def _message(tag: bytes, message: _Message) -> Put:
    fill = message.put

    def put(out: bytearray, value: Any, depth: int) -> None:
        inner = bytearray()
        fill(inner, value, depth + 1)
        out += tag
        out += encode_varint(len(inner))
        out += inner

    return put


def _repeated(tag: bytes, message: _Message, limit: int) -> Put:
    one = _message(tag, message)

    def put(out: bytearray, value: Any, depth: int) -> None:
        index = 0
        for elements in _elements(value):
            try:
                for item in elements:
                    one(out, item, depth)
                    if len(out) > limit:
                        raise _too_large(limit)
                    index += 1
            except Wrong as error:
                error.path.append(index)
                raise

    return put


def _elements(value: Any) -> Iterator[Sequence[Any]]:
    """Of a decoded array, or of a view of one, its elements a run at a time: decoded, or as a view where one is large."""
    if type(value) is memoryview and value[0] == ord("["):
        for run in runs(value, PIECE):
            yield [run] if len(run) > PIECE else _decode(b"".join((b"[", run, b"]")))
    elif type(value) is list:
        yield value
    else:
        raise Wrong("expected an array") if type(value) is memoryview else wrong(value, "an array")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"becomes more than {limit} bytes of protobuf")
