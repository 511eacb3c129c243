"""What is measured: each cell of the matrix by a name of its own, such as `grpc-5-64` or `http-100-4-gzip`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Load of one kind. Without `rate` each connection (each of its `streams`) sends when it has been answered."""

    protocol: str
    """By which requests come: http or grpc."""
    upstream: str
    """By which they leave."""
    spans: int
    """A request."""
    connections: int
    streams: int = 1
    delay: float = 0.0
    """Seconds that the upstream takes for an answer."""
    gzip: bool = False
    """Upstream."""
    rate: float = 0.0
    """Requests a second in all."""
    outage: float = 0.0
    """Seconds that the upstream is gone."""

    @property
    def name(self) -> str:
        parts = [self.protocol]
        if self.upstream != self.protocol:
            parts.append(self.upstream)
        parts += [str(self.spans), str(self.connections)]
        if self.gzip:
            parts.append("gzip")
        if self.delay:
            parts.append(f"{self.delay * 1e3:.0f}ms")
        if self.outage:
            parts.append("outage")
        elif self.rate:
            parts.append("steady")
        return "-".join(parts)


STEADY = 1000.0
"""Requests a second, of ten spans each."""
ROUND_TRIP = 0.08


def matrix(upstream: str | None = None) -> Iterator[Cell]:
    """All cells, in the order of the tables. `upstream`: by one protocol only, whichever requests come by."""
    cells = list(_cells())
    names = set()
    for cell in cells:
        cell = msgspec.structs.replace(cell, upstream=upstream or cell.upstream)
        if cell.name not in names:
            names.add(cell.name)
            yield cell


def _cells() -> Iterator[Cell]:
    both = ("grpc", "http")
    for protocol in both:
        for spans in (5, 100, 512):
            for connections in (4, 64):
                # As an SDK's exporter at many small requests: several in the air on one connection.
                streams = 4 if (protocol, spans, connections) == ("grpc", 5, 4) else 1
                yield Cell(protocol=protocol, upstream=protocol, spans=spans, connections=connections, streams=streams)
    for protocol, other in (both, both[::-1]):
        yield Cell(protocol=protocol, upstream=other, spans=100, connections=4)
    for protocol in both:
        for spans in (5, 100, 512):
            yield Cell(protocol=protocol, upstream=protocol, spans=spans, connections=4, gzip=True)
    for protocol in both:
        yield Cell(protocol=protocol, upstream=protocol, spans=100, connections=64, delay=ROUND_TRIP)
    for protocol in both:
        yield Cell(protocol=protocol, upstream=protocol, spans=10, connections=4, rate=STEADY)
    # So many connections that no request is late because others wait for their answers.
    yield Cell(protocol="grpc", upstream="grpc", spans=10, connections=128, rate=STEADY, delay=ROUND_TRIP)
    yield Cell(protocol="grpc", upstream="grpc", spans=10, connections=64, rate=STEADY, outage=60.0)
