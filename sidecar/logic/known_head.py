"""Recognise the head of an HTTP/1.1 request that differs from one before it in nothing but the number in Content-Length.

Exporters send the same head with each request, and parsing it costs more than reading the body. What is recognised here
means what the parser said of the first one; everything else is for the parser, also what is merely written differently.
"""

from __future__ import annotations

LONGEST = 4 << 10
"""Bytes of a head that is worth remembering."""
_NAME = b"\ncontent-length:"
_DIGITS = 9


class KnownHead:
    """Around the number: `before` ends where its digits begin, `after` is from the line's end to that of the head."""

    __slots__ = ("after", "before")

    def __init__(self, before: bytes, after: bytes) -> None:
        self.before = before
        self.after = after

    def match(self, data: bytes) -> tuple[int, int] | None:
        """Where the body begins and how long it is, if `data` begins with this whole head."""
        if not data.startswith(self.before):
            return None
        start = len(self.before)
        end = data.find(b"\r", start, start + _DIGITS + 1)
        digits = data[start:end]
        if not digits.isdigit() or not data.startswith(self.after, end):
            return None
        return end + len(self.after), int(digits)


def learn(data: bytes) -> KnownHead | None:
    """The head that `data` begins with, which the parser has accepted; None where it is not of the usual form: another method
    than POST, line ends that are not CRLF, folded lines, more or less than one plain Content-Length."""
    end = data.find(b"\r\n\r\n", 0, LONGEST) + 4
    head = data[:end]
    lines = head.count(b"\r\n")
    if end < 4 or not head.startswith(b"POST ") or head.count(b"\n") != lines or head.count(b"\r") != lines:
        return None
    low = head.lower()
    at = low.find(_NAME)
    if at < 0 or low.count(_NAME) > 1 or b"\n " in head or b"\n\t" in head:
        return None
    start = at + len(_NAME)
    if head[start : start + 1] == b" ":
        start += 1
    stop = head.find(b"\r", start)
    if stop - start > _DIGITS or not head[start:stop].isdigit():
        return None
    return KnownHead(head[:start], head[stop:])
