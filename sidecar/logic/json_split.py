"""Take apart a large JSON array without holding its values: its text, a run of elements at a time.

As Python objects JSON weighs a dozen times its text, and up to thirty times where somebody means harm. The text has passed
a JSON parser before: brackets match and strings end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from .otlp_json_scalars import Wrong

NESTED = 12
"""Levels of brackets that one match takes; what is deeper is walked bracket by bracket."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PLAIN = rb'[^][{}"]*+'


def _value(levels: int) -> bytes:
    """Anything in brackets, down to so many levels below."""
    inner = rb"|" + _value(levels - 1) if levels else b""
    return rb"[\[{]" + _PLAIN + rb"(?:(?:" + _STRING + inner + rb")" + _PLAIN + rb")*+[\]}]"


_BETWEEN = re.compile(rb"[\s,]*+")
_ONE = re.compile(_value(NESTED) + rb"|" + _STRING + rb'|[^][{}",\s]++', re.DOTALL)
_SEVERAL = re.compile(rb"(?:[\s,]*+(?:%b)(?=\s*+[],]))++" % _ONE.pattern, re.DOTALL)
_BRACKET = re.compile(_STRING + rb"|([\[{])|[\]}]", re.DOTALL)


def runs(array: memoryview, size: int) -> Iterator[memoryview]:
    """Of a whole array, `[` and `]` included, what is between them: in views of one element each, or of several that
    together have at most `size` bytes. Raises `Wrong` where it sees that this is not JSON."""
    try:
        yield memoryview(msgspec.json.decode(array[1:-1], type=msgspec.Raw))
        return
    except (msgspec.DecodeError, RecursionError):  # not one element alone, or nested deeper than is decoded
        at = 1
    while True:
        if between := _BETWEEN.match(array, at):  # it always does
            at = between.end()
        if array[at] == ord("]"):
            return
        match = _SEVERAL.match(array, at, at + size) or _ONE.match(array, at)
        end = _deep_end(array, at) if match is None else match.end()
        yield array[at:end]
        at = end


def _deep_end(array: memoryview, at: int) -> int:
    depth = 0
    for match in _BRACKET.finditer(array, at):
        if match[1]:
            depth += 1
        elif match[0] in (b"]", b"}"):
            depth -= 1
            if not depth:
                return match.end()
    raise Wrong("not JSON")
