"""OTLP's protobuf without decoding it: count the items, check the framing, put attributes into each Resource, in one walk.

The three requests have one shape (https://github.com/open-telemetry/opentelemetry-proto)::

    Export…ServiceRequest   1: Resource{Spans,Metrics,Logs}   repeated
      Resource…             1: Resource                       2: Scope{Spans,Metrics,Logs}, repeated
        Scope…              2: Span | Metric | LogRecord      repeated
          Metric            5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary: one of them
            Gauge …         1: data point                     repeated

Only length prefixes on the way down to the items are read, which costs a fifth of a full decode. What lies inside an item
is not looked at: an upstream may still refuse it. No library does this; a full decode in the sidecar is what it exists
to avoid.

Each level runs until its end *or past it*, and is compared once, after its loop: that makes a length that points outside its
parent an error without a check on each field.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from ..model.signals import Signal
from .protobuf import (
    FIELD_1,
    FIELD_2,
    HEADER,
    TWO_BYTES,
    Buffer,
    Malformed,
    check_end,
    encode_field,
    encode_varint,
    field,
    skip,
)

POINTS_OF = frozenset({5 << 3 | 2, 7 << 3 | 2, 9 << 3 | 2, 10 << 3 | 2, 11 << 3 | 2})

_METRICS = Signal.METRICS  # members of an enumeration are slow to come by


class TooMany(ValueError):
    """So many Resources that the attributes to add would take too much memory."""


def count(signal: Signal, body: bytes) -> int:
    """Spans, data points or log records in an export request. Raises `Malformed`."""
    return _PLAIN.read(signal, body)[0]


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


def _occurrences(buf: bytes, p: int, end: int, tag: int = FIELD_2) -> int:
    """How many of the fields up to `end` are `tag`: spans or log records in a scope, data points. The hot loop."""
    found = 0
    while p < end:
        try:
            while p < end:
                seen = buf[p]
                if seen == tag:
                    low = buf[p + 1]
                    p += low + 2 if low < 128 else low + TWO_BYTES[buf[p + 2]]
                    found += 1
                elif seen == FIELD_1:
                    low = buf[p + 1]
                    p += low + 2 if low < 128 else low + TWO_BYTES[buf[p + 2]]
                else:
                    break
        except IndexError:  # more than two bytes of length; or the end of it all, which `field` will meet too
            pass
        if p < end:
            seen, _, p = field(buf, p)
            found += seen == tag
    check_end(p, end)
    return found


def _points_in_scope(buf: bytes, p: int, end: int) -> int:
    points = 0
    while p < end:
        tag, start, p = field(buf, p)
        if tag == FIELD_2:
            points += _points_in_metric(buf, start, p)
    check_end(p, end)
    return points


def _points_in_metric(buf: bytes, p: int, end: int) -> int:
    kind = points = 0
    while p < end:
        tag, start, p = field(buf, p)
        if tag not in POINTS_OF:
            continue
        if tag != kind:  # one of: the last kind wins and drops what came before, the same kind twice is merged
            kind, points = tag, 0
        points += _occurrences(buf, start, p, FIELD_1)
    check_end(p, end)
    return points


class Splicer:
    """Counts the items of requests, and puts resource attributes into every `Resource`; a key that is there already stays as
    it is.

    The attributes go *inside* the Resource and the two length prefixes around it are rewritten. Appending a second
    `resource` field would be shorter and is legal, but protobuf.js 6 and 7 take the last one for the whole. For the same
    reason a request that arrives with several is written with one, their concatenation, which is what merging means.

    Resources repeat from request to request, so the finished field is kept by the raw blob: at most `CACHED` of them, up to
    `CACHED_BYTES` each. May be used from several threads.
    """

    CACHED = 64
    CACHED_BYTES = 8 << 10
    ADDED = 16 << 20
    """Bytes that may be added to one request, `OVERHEAD` counted for each Resource: an empty one is two bytes on the wire."""
    OVERHEAD = 256

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._entries = {key.encode(): _attribute(key, value) for key, value in attributes.items()}
        self._cache: dict[bytes, bytes] = {}

    def read(self, signal: Signal, body: bytes) -> tuple[int, bytes]:
        """The number of items in an export request, and the request with the attributes. Raises `Malformed`, `TooMany`."""
        try:
            return self._read(body, _points_in_scope if signal is _METRICS else _occurrences)
        except IndexError:
            raise Malformed(len(body), "the message ends inside a field") from None

    def _read(self, buf: bytes, items_in_scope: Callable[[bytes, int, int], int]) -> tuple[int, bytes]:
        entries, view = self._entries, memoryview(buf)
        out: list[Buffer] = []
        items = p = copied = added = 0
        end = len(buf)
        while p < end:
            outer = p
            tag, start, p = field(buf, p)
            if tag != FIELD_1:
                continue
            resources = 0
            at = inner = behind = q = start
            while q < p:
                this = q
                tag, payload, q = field(buf, q)
                if tag == FIELD_2:
                    items += items_in_scope(buf, payload, q)
                elif tag == FIELD_1:
                    resources += 1
                    at, inner, behind = this, payload, q
            check_end(q, p)
            if not entries:
                continue
            if resources > 1:
                at, behind, resource = start, p, self._merged(buf, start, p)
            else:
                resource = self._filled(buf[inner:behind])
                if not resource:
                    continue
            grown = len(resource) - (behind - at)
            added += grown + self.OVERHEAD
            if added > self.ADDED:
                raise TooMany("has more Resources than can be completed in one request")
            if copied < outer:
                out.append(view[copied:outer])
            out.append(b"\n" + encode_varint(p - start + grown))
            if start < at:
                out.append(view[start:at])
            out.append(resource)
            copied = behind
        check_end(p, end)
        if not copied:
            return items, buf
        out.append(view[copied:])
        return items, b"".join(out)

    def _filled(self, blob: bytes) -> bytes:
        """The field that takes the place of a Resource; empty where it lacks nothing."""
        done = self._cache.get(blob)
        if done is None:
            more = self._missing(blob)
            done = encode_field(FIELD_1, blob + more) if more else b""
            if len(blob) <= self.CACHED_BYTES:
                if len(self._cache) >= self.CACHED:
                    self._cache.clear()
                self._cache[blob] = done
        return done

    def _merged(self, buf: bytes, p: int, end: int) -> bytes:
        """What is inside a Resource{Spans,Metrics,Logs} with its several Resources made one, in front."""
        blob, rest = bytearray(), bytearray()
        while p < end:
            at = p
            tag, start, p = field(buf, p)
            if tag == FIELD_1:
                blob += buf[start:p]
            else:
                rest += buf[at:p]
        return encode_field(FIELD_1, bytes(blob) + self._missing(bytes(blob))) + rest

    def _missing(self, blob: bytes) -> bytes:
        there = _keys(blob, self._entries)
        return b"".join([entry for key, entry in self._entries.items() if key not in there])


def _keys(resource: bytes, wanted: Container[bytes]) -> set[bytes]:
    """The attribute keys of a serialized Resource that are wanted; it may have millions of others."""
    keys = set()
    p = 0
    while p < len(resource):
        tag, q, p = field(resource, p)
        if tag != FIELD_1:
            continue
        key = b""
        while q < p:
            tag, start, q = field(resource, q)
            if tag == FIELD_1:
                key = resource[start:q]  # the last one counts
        check_end(q, p)
        if key in wanted:
            keys.add(key)
    check_end(p, len(resource))
    return keys


def _attribute(key: str, value: str) -> bytes:
    """One entry of `Resource.attributes`: KeyValue{1: key, 2: AnyValue{1: string}}."""
    return encode_field(
        FIELD_1, encode_field(FIELD_1, key.encode()) + encode_field(FIELD_2, encode_field(FIELD_1, value.encode()))
    )


_PLAIN = Splicer({})
