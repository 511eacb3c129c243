"""`key=value` pairs, as logfmt (https://brandur.org/logfmt), slog, klog and others write them.

A value is a bare word or a string in double quotes with Go's escapes. Bare words that are integers of 64 bits, decimal fractions,
`true` and `false` become what they look like; what is quoted stays a text.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool

MAX_PAIRS = 1024

# Nothing is gone back to: the alternatives differ in their first byte, and the repetitions are possessive.
_PAIR = re.compile(rb'[ \t]*+([^\s="\\]{1,256}+)=("(?:[^"\\]++|\\.)*+"|[^\s"]*+)(?=[ \t]|$)', re.DOTALL)
_NUMBER = re.compile(rb"-?(?:0|[1-9]\d{0,17})(\.\d{1,18})?", re.ASCII)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_WORDS = {b"true": True, b"false": False}


def pairs(line: bytes, start: int = 0) -> dict[str, Scalar] | None:
    """The pairs that `line` consists of from `start` on, the last of a name; None where something else is among them, or where
    they are more than `MAX_PAIRS`."""
    found: dict[str, Scalar] = {}
    end = start
    for _ in range(MAX_PAIRS + 1):
        pair = _PAIR.match(line, end)
        if pair is None:
            return found if not line[end:].strip() else None
        key, value = pair.groups()
        found[key.decode("utf-8", "replace")] = unquoted(value) if value[:1] == b'"' else _bare(value)
        end = pair.end()
    return None


def unquoted(value: bytes) -> str:
    """Of a string in double quotes, which may hold any bytes: what is no UTF-8 is replaced."""
    text = value[1:-1].decode("utf-8", "replace")
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code is None:
        return _LETTERS.get(escape[4], escape[4])
    number = int(code, 16)
    return "\ufffd" if 0xD800 <= number < 0xE000 else chr(number)


def _bare(value: bytes) -> Scalar:
    number = _NUMBER.fullmatch(value)
    if number:
        return float(value) if number[1] else int(value)
    known = _WORDS.get(value)
    return value.decode("utf-8", "replace") if known is None else known
