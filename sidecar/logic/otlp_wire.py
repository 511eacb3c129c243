"""OTLP's protobuf without decoding it: count the items, check the framing, put attributes into each Resource.

The three requests have one shape (https://github.com/open-telemetry/opentelemetry-proto)::

    Export…ServiceRequest   1: Resource{Spans,Metrics,Logs}   repeated
      Resource…             1: Resource                       2: Scope{Spans,Metrics,Logs}, repeated
        Scope…              2: Span | Metric | LogRecord      repeated
          Metric            5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary: one of them
            Gauge …         1: data point                     repeated

Only length prefixes on the way down to the items are read, which costs a fifth of a full decode. What lies inside an item
is not looked at: an upstream may still refuse it. No library does this; a full decode in the sidecar is what it exists
to avoid.

In the counting functions each level runs until its end *or past it*, and is compared once, after its loop: that makes a
length that points outside its parent an error without a check on each field.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..model.signals import Signal
from .protobuf import (
    FIELD_1,
    FIELD_2,
    HEADER,
    Buffer,
    Malformed,
    check_end,
    encode_field,
    encode_varint,
    enter,
    read_tag,
    read_varint,
    skip,
)

POINTS_OF = frozenset({5 << 3 | 2, 7 << 3 | 2, 9 << 3 | 2, 10 << 3 | 2, 11 << 3 | 2})


def count(signal: Signal, body: bytes) -> int:
    """Spans, data points or log records in an export request. Raises `Malformed`."""
    try:
        return _count_points(body) if signal is Signal.METRICS else _count_items(body)
    except IndexError:
        raise Malformed(len(body), "the message ends inside a field") from None


def check_start(body: Buffer, at: int) -> int:
    """Look at the outermost fields of a body that is still arriving; raises `Malformed` as early as can be known.

    `at` is where the next field starts, 0 at first. The result is the `at` for the next call: so long the body must at least
    become, which the caller may know to be too much.
    """
    for _ in range(256):  # enough to tell garbage; many tiny fields cost no more than this
        if at + HEADER > len(body):
            break
        try:
            at = skip(body, at)
        except IndexError:  # a group goes on beyond what is here
            break
    return at


def _count_items(buf: bytes) -> int:
    items = p = 0
    end = len(buf)
    while p < end:
        start, end1 = enter(buf, p, FIELD_1)
        if start < 0:
            p = end1
            continue
        p = start
        while p < end1:
            start, end2 = enter(buf, p, FIELD_2)
            if start < 0:
                p = end2
                continue
            p = start
            while p < end2:  # the hot loop: one or two length bytes, unrolled
                if buf[p] == FIELD_2:
                    size = buf[p + 1]
                    if size < 128:
                        p += 2 + size
                    else:
                        high = buf[p + 2]
                        if high < 128:
                            p += 3 + (size & 127) + (high << 7)
                        else:
                            size, p = read_varint(buf, p + 1)
                            p += size
                    items += 1
                else:
                    start, p = enter(buf, p, FIELD_2)
                    if start >= 0:
                        items += 1
            check_end(p, end2)
        check_end(p, end1)
    check_end(p, end)
    return items


def _count_points(buf: bytes) -> int:
    points = p = 0
    end = len(buf)
    while p < end:
        start, end1 = enter(buf, p, FIELD_1)
        if start < 0:
            p = end1
            continue
        p = start
        while p < end1:
            start, end2 = enter(buf, p, FIELD_2)
            if start < 0:
                p = end2
                continue
            p = start
            while p < end2:
                start, end3 = enter(buf, p, FIELD_2)
                if start < 0:
                    p = end3
                    continue
                found, p = _count_in_metric(buf, start, end3)
                points += found
                check_end(p, end3)
            check_end(p, end2)
        check_end(p, end1)
    check_end(p, end)
    return points


def _count_in_metric(buf: bytes, p: int, end: int) -> tuple[int, int]:
    kind = points = 0
    while p < end:
        tag = buf[p]
        after = p + 1
        if tag >= 128:
            tag, after = read_tag(buf, p)
        if tag not in POINTS_OF:
            p = skip(buf, p)
            continue
        if tag != kind:  # one of: the last kind wins and drops what came before, the same kind twice is merged
            kind, points = tag, 0
        size, p = read_varint(buf, after)
        inner = p + size
        while p < inner:
            start, p = enter(buf, p, FIELD_1)
            if start >= 0:
                points += 1
        check_end(p, inner)
    return points, p


class Splicer:
    """Puts resource attributes into every `Resource` of a request; a key that is there already stays as it is.

    The attributes go *inside* the Resource and the two length prefixes around it are rewritten. Appending a second
    `resource` field would be shorter and is legal, but protobuf.js 6 and 7 take the last one for the whole. For the same
    reason a request that arrives with several is written with one, their concatenation, which is what merging means.

    Resources repeat from request to request, so the finished blob is kept by the raw one: at most `CACHED` of them, up to
    `CACHED_BYTES` each. Not for use from two threads at once.
    """

    CACHED = 64
    CACHED_BYTES = 8 << 10

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._entries = {key.encode(): _attribute(key, value) for key, value in attributes.items()}
        self._cache: dict[bytes, bytes] = {}

    def splice(self, body: bytes) -> bytes:
        """`body` is an export request of any signal whose framing `count` has accepted. Raises `Malformed`."""
        if not self._entries:
            return body
        try:
            return self._splice(body)
        except IndexError:
            raise Malformed(len(body), "the message ends inside a field") from None

    def _splice(self, buf: bytes) -> bytes:
        view = memoryview(buf)
        out: list[bytes | memoryview] = []
        p = copied = 0
        end = len(buf)
        while p < end:
            at = p
            start, p = enter(buf, p, FIELD_1)
            if start < 0:
                continue
            rest: list[bytes | memoryview] = []
            blobs: list[bytes] = []
            q = kept = start
            while q < p:
                field = q
                inner, q = enter(buf, q, FIELD_1)
                if inner >= 0:
                    blobs.append(buf[inner:q])
                    if kept < field:
                        rest.append(view[kept:field])
                    kept = q
            check_end(q, p)
            if kept < p:
                rest.append(view[kept:p])
            blob = self._filled(blobs[0] if len(blobs) == 1 else b"".join(blobs))
            size = encode_varint(len(blob))
            length = 1 + len(size) + len(blob) + sum(map(len, rest))
            if copied < at:
                out.append(view[copied:at])
            out += (b"\n", encode_varint(length), b"\n", size, blob, *rest)
            copied = p
        check_end(p, end)
        if copied < end:
            out.append(view[copied:end])
        return b"".join(out)

    def _filled(self, blob: bytes) -> bytes:
        done = self._cache.pop(blob, None)
        if done is None:
            done = self._fill(blob)
            if len(blob) > self.CACHED_BYTES:
                return done
            if len(self._cache) >= self.CACHED:
                del self._cache[next(iter(self._cache))]
        self._cache[blob] = done  # last in, last out
        return done

    def _fill(self, blob: bytes) -> bytes:
        there = _keys(blob)
        return b"".join([blob, *(entry for key, entry in self._entries.items() if key not in there)])


def _keys(resource: bytes) -> set[bytes]:
    """The attribute keys of a serialized Resource, as they are written."""
    keys = set()
    p = 0
    while p < len(resource):
        start, p = enter(resource, p, FIELD_1)
        if start < 0:
            continue
        key = b""
        q = start
        while q < p:
            inner, q = enter(resource, q, FIELD_1)
            if inner >= 0:
                key = resource[inner:q]  # the last one counts
        check_end(q, p)
        keys.add(key)
    check_end(p, len(resource))
    return keys


def _attribute(key: str, value: str) -> bytes:
    """One entry of `Resource.attributes`: KeyValue{1: key, 2: AnyValue{1: string}}."""
    return encode_field(
        FIELD_1, encode_field(FIELD_1, key.encode()) + encode_field(FIELD_2, encode_field(FIELD_1, value.encode()))
    )
