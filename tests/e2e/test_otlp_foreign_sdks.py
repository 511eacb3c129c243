"""The OpenTelemetry SDKs of Go, Node and Java, with their own exporters, send through a sidecar process.

Each sends N spans, points and records; they say themselves which ids they gave to their spans::

    span-n   server, 1700000000 s + n ms, for 5 ms; n, text "én", ratio n/8, even, list [a, b]; an event; odd ones have failed
    orders   a counter with n points, n = n         latency  a histogram of N times 0.5         level  a gauge, 0.25
    line-n   INFO, at the time of the span; n
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sidecar.logic.otlp_http import encode_status
from tests.e2e import foreign
from tests.e2e.test_otlp_sdk import check_resource, relayed
from tests.fakes import RecordingUpstream, until

MANY = 1000
START = 1_700_000_000_000_000_000
MS = 1_000_000
GZIP = b"\x1f\x8b\x08" + bytes(5)
"""How it begins where no time is given, which none of them does. Shorter, and random ids would hold it now and then."""

CASES = [
    ("go", "grpc", "gzip"),
    ("go", "http/protobuf", "none"),
    ("node", "grpc", "none"),
    ("node", "http/protobuf", "gzip"),
    ("node", "http/json", "none"),
    ("java", "grpc", "none"),
    ("java", "http/protobuf", "gzip"),
]


class Wire:
    """A listener before a port, which keeps what clients send."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self.connections = 0
        self.sent = bytearray()

    async def __aenter__(self) -> Wire:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink, kept in ((reader, back, self.sent), (there, writer, bytearray())):
            self._tasks.add(asyncio.create_task(self._copy(source, sink, kept)))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray) -> None:
        try:
            while data := await source.read(1 << 16):
                kept += data
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass  # whoever ends it first
        finally:
            sink.close()


async def run(command: list[str], count: int, url: str, **settings: str) -> tuple[str, str]:
    """What it prints and what its error handler says."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environ = {f"OTEL_EXPORTER_OTLP_{key.upper()}": value for key, value in {"endpoint": url, **settings}.items()}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, str(count), stdout=pipe, stderr=pipe, env={**clean, **environ}
    )
    try:
        async with asyncio.timeout(50):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return out.decode(), errors.decode()


def attributes(item: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in item.attributes}


def check_spans(upstream: RecordingUpstream, printed: str) -> None:
    ids = {name: (trace, span) for name, trace, span in map(str.split, printed.splitlines())}
    assert len(ids) == MANY
    assert Counter(span.name for _, span in upstream.spans) == Counter(list(ids))
    for resource, span in upstream.spans:
        check_resource(resource)
        assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id) == (*ids[span.name], b"")
        n = int(span.name.removeprefix("span-"))
        began = START + n * MS
        assert (span.kind, span.start_time_unix_nano, span.end_time_unix_nano) == (2, began, began + 5 * MS)
        given = attributes(span)
        assert [value.string_value for value in given.pop("list").values] == ["a", "b"]
        # JSON has one kind of number: a whole ratio arrives as an integer.
        assert given == {"n": n, "text": f"é{n}", "ratio": n / 8, "even": n % 2 == 0}
        assert [(event.name, event.time_unix_nano) for event in span.events] == [("cache.miss", began + MS)]
        assert (span.status.code, span.status.message) == ((2, "odd") if n % 2 else (0, ""))


def check_points(upstream: RecordingUpstream) -> None:
    orders: list[Any] = []
    others: list[Any] = []
    for resource, point in upstream.points:
        check_resource(resource)
        (orders if point.attributes else others).append(point)
    assert sorted((attributes(point)["n"], point.as_int) for point in orders) == [(n, n) for n in range(MANY)]
    seen = {type(point).__name__: point for point in others}
    assert len(others) == 2
    assert (seen["HistogramDataPoint"].count, seen["HistogramDataPoint"].sum) == (MANY, MANY / 2)
    assert seen["NumberDataPoint"].as_double == 0.25


def check_records(upstream: RecordingUpstream) -> None:
    lines = {record.body.string_value: (resource, record) for resource, record in upstream.records}
    assert len(lines) == len(upstream.records) == MANY
    for n in range(MANY):
        resource, record = lines[f"line-{n}"]
        check_resource(resource)
        assert (record.severity_number, record.severity_text) == (9, "INFO")
        assert (record.time_unix_nano, attributes(record)) == (START + n * MS, {"n": n})


@pytest.mark.parametrize(("language", "protocol", "compression"), CASES)
async def test_everything_arrives_once_as_it_was_sent_with_the_resource_added(
    tmp_path: Path, language: str, protocol: str, compression: str
) -> None:
    command = foreign.command(language)
    async with relayed(tmp_path, "none") as (upstream, http, rpc), Wire(rpc if protocol == "grpc" else http) as wire:
        printed, said = await run(command, MANY, wire.url, protocol=protocol, compression=compression)
        assert said == ""
        check_spans(upstream, printed)
        check_points(upstream)
        check_records(upstream)
        assert (GZIP in wire.sent) == (compression == "gzip")


class Moody:
    """Refuses all traces with 400, and the first request of metrics with 503."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def __call__(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        if path == "/v1/traces":
            self.refused.append(path)
            return 400, {}, encode_status(3, "poison")
        if path == "/v1/metrics" and path not in self.refused:
            self.refused.append(path)
            return 503, {}, b""
        return None


NEVER_RETRIES = ("node", "grpc")


@pytest.mark.parametrize(("language", "protocol"), [case[:2] for case in CASES if case[:2] != NEVER_RETRIES])
async def test_a_rejection_is_reported_and_an_outage_is_ridden_out(
    tmp_path: Path, language: str, protocol: str
) -> None:
    """No span arrives, and the SDK says why; every point and record arrives once, because the SDK tries again."""
    command = foreign.command(language)
    async with relayed(tmp_path, "none") as (upstream, http, rpc):
        upstream.answer = moody = Moody()
        url = rpc if protocol == "grpc" else http
        _, said = await run(command, 20, url, protocol=protocol, compression="none")
        assert moody.refused == ["/v1/traces", "/v1/metrics"]
        assert "the upstream rejects it: HTTP 400: poison" in said
        assert "HTTP 503" not in said
        assert (len(upstream.spans), len(upstream.points), len(upstream.records)) == (0, 22, 20)


@pytest.mark.parametrize(("language", "spooled"), [("node", False), ("node", True)])
async def test_nodes_exporter_over_grpc_never_tries_again_so_what_it_loses_depends_on_the_spool(
    tmp_path: Path, language: str, spooled: bool
) -> None:
    command = foreign.command(language)
    spool = {"OUTRIDER_SPOOL_PATH": str(tmp_path / "spool")} if spooled else {}
    async with relayed(tmp_path, "none", **spool) as (upstream, _, rpc):
        upstream.answer = moody = Moody()
        _, said = await run(command, 20, rpc, protocol="grpc", compression="none")
        assert "the upstream rejects it: HTTP 400: poison" in said
        assert ("HTTP 503" in said) != spooled
        if spooled:
            await until(lambda: len(upstream.points) == 22 and len(upstream.records) == 20)
        assert moody.refused == ["/v1/traces", "/v1/metrics"]
        assert len(upstream.points) == (22 if spooled else 0)


@pytest.mark.parametrize(("language", "protocol"), [("go", "grpc"), ("node", "http/json"), ("java", "http/protobuf")])
async def test_a_loop_of_upstreams_is_reported_and_not_tried_again(
    tmp_path: Path, language: str, protocol: str
) -> None:
    """The first signal finds it out, the others hear of it at once."""
    command = foreign.command(language)
    async with relayed(tmp_path, "none") as (upstream, http, rpc):
        way = "the upstreams form a loop: a~1 -> b~2 -> a~1"
        before = len(upstream.requests)
        upstream.answer = lambda path, body: (508, {}, encode_status(9, way))
        url = rpc if protocol == "grpc" else http
        _, said = await run(command, 5, url, protocol=protocol, compression="none")
        assert way in said
        assert len(upstream.requests) == before + 1


@pytest.mark.parametrize("language", ["go"])
async def test_a_hundred_streams_of_grpc_go_on_one_connection(tmp_path: Path, language: str) -> None:
    """All hundred requests are on their way before the first of them is answered."""
    command = [*foreign.command(language)[:-1], "streams"]
    async with relayed(tmp_path, "none") as (upstream, _, rpc), Wire(rpc) as wire:
        await run(command, 1, wire.url)
        before = len(wire.sent)
        upstream.hold.clear()
        running = asyncio.create_task(run(command, 100, wire.url))
        try:
            async with asyncio.timeout(20):
                while wire.sent.count(b"stream-", before) < 100:
                    await asyncio.sleep(0.01)
        finally:
            upstream.hold.set()
            _, said = await running
        assert (said, wire.connections) == ("", 2)
        assert Counter(span.name for _, span in upstream.spans) == Counter(
            ["stream-0000", *(f"stream-{n:04}" for n in range(100))]
        )
