"""Inflate a gzip body without ever holding much more than an honest one needs.

A gzip member ends with its own length (ISIZE, modulo 2^32), which is a hint and no more: of a stream that was cut short it is
noise. What claims more than the limit or an unusual ratio, or runs past the length that it told (legal: several members in
a row), is only counted, not kept, until it is known to be within the limit. A body that inflates more than `RATIO` times is
refused: deflate can reach 1,030.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from isal import isal_zlib

GZIP = 31
"""zlib's `wbits` for the gzip format."""
MAGIC = b"\x1f\x8b"
USUAL = 20
"""Telemetry compresses about so many times; more is counted before it is kept."""
RATIO = 200
ANY_RATIO = 1 << 20
"""Up to so many bytes any ratio is fine."""
SLICE = 64 << 10


class NotGzip(ValueError):
    """Broken, cut short, or something else."""


class TooLarge(ValueError):
    """More than the limit after decoding."""


def announced(body: bytes) -> int:
    """What the (last) member claims to inflate to."""
    return int.from_bytes(body[-4:], "little")


def inflate(body: bytes, limit: int) -> bytes:
    """The content, at most `limit` bytes. Raises `NotGzip` or `TooLarge`, having held at most `ANY_RATIO` bytes or `USUAL`
    times the body."""
    if body[:2] != MAGIC:
        raise NotGzip("it does not start as gzip does")
    claim = announced(body)
    kept: BytesIO | None = None if claim > min(limit, max(ANY_RATIO, USUAL * len(body))) else BytesIO()
    total = 0
    for piece in _pieces(body, limit):
        total += len(piece)
        if kept is not None:
            kept.write(piece)
            if total > claim:
                kept = None
    if kept is None:  # it was only counted: now it is known to be within the limit
        kept = BytesIO()
        for piece in _pieces(body, limit):
            kept.write(piece)
    return kept.getvalue()  # no copy: the buffer itself


def _pieces(body: bytes, limit: int) -> Iterator[bytes]:
    bound = min(limit, max(ANY_RATIO, RATIO * len(body)))
    view = memoryview(body)
    total = at = 0
    member = isal_zlib.decompressobj(GZIP)
    try:
        while at < len(body):
            waiting: bytes | memoryview = view[at : at + SLICE]
            at += len(waiting)
            while True:
                piece = member.decompress(waiting, SLICE)
                total += len(piece)
                if total > bound:
                    why = f"more than {limit} bytes" if bound == limit else f"more than {RATIO} times its length"
                    raise TooLarge(f"inflates to {why}")
                yield piece
                waiting = member.unconsumed_tail
                if member.eof:
                    at -= len(member.unused_data)
                    if at < len(body):
                        member = isal_zlib.decompressobj(GZIP)
                    break
                if not waiting and len(piece) < SLICE:
                    break
    except isal_zlib.error as error:  # type: ignore[misc]  # its stub calls the class an instance
        raise NotGzip(str(error)) from None
    if not member.eof:
        raise NotGzip("the gzip stream is cut short")
