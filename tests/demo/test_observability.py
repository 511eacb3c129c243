"""What the services emit, seen from outside: both as real processes, and a recording server for their OTLP."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from demo import commands
from demo.plan import FreePorts, plan
from tests.fakes import GrpcUpstream

from .test_services import ask, serving


class Recorder:
    """Takes OTLP/HTTP and keeps it."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self.metrics: set[str] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/traces", self.traces)
        app.router.add_post("/v1/metrics", self.meters)
        return app

    async def traces(self, request: web.Request) -> web.Response:
        for block in ExportTraceServiceRequest.FromString(await unpacked(request)).resource_spans:
            told = {a.key: a.value.string_value for a in block.resource.attributes}
            name = told["service.instance.id"]
            self.spans.extend((name, span) for scope in block.scope_spans for span in scope.spans)
        return web.Response(content_type="application/x-protobuf")

    async def meters(self, request: web.Request) -> web.Response:
        for block in ExportMetricsServiceRequest.FromString(await unpacked(request)).resource_metrics:
            self.metrics |= {metric.name for scope in block.scope_metrics for metric in scope.metrics}
        return web.Response(content_type="application/x-protobuf")


async def unpacked(request: web.Request) -> bytes:
    body = await request.read()
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


@asynccontextmanager
async def process(command: commands.Command, env: dict[str, str], log: Path) -> AsyncIterator[None]:
    """A service that has said that it listens; ended by SIGTERM, with exit code 0."""
    with log.open("wb") as out:
        child = await asyncio.create_subprocess_exec(
            *command.argv, env={**commands.clean(os.environ), **command.env, **env}, stdout=out, stderr=out
        )
    try:
        while b'"listening"' not in log.read_bytes():
            assert child.returncode is None, log.read_text()
            await asyncio.sleep(0.02)
        yield
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0, log.read_text()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def facts(spans: list[tuple[str, Span]]) -> list[tuple[str, str, str, bool]]:
    """Instance, kind, name and error of each, in the order of their starts."""
    return [
        (who, Span.SpanKind.Name(span.kind)[10:], span.name, span.status.code == Status.STATUS_CODE_ERROR)
        for who, span in sorted(spans, key=lambda found: found[1].start_time_unix_nano)
    ]


async def test_a_trace_crosses_both_services_and_tells_of_a_dead_cache(tmp_path: Path) -> None:
    recorder, the_plan = Recorder(), plan(FreePorts(any_port=True))
    api = the_plan.apis[0]
    api_log, cache_log = tmp_path / "api.log", tmp_path / "cache.log"
    async with serving(recorder.app()) as url, GrpcUpstream() as over_grpc:
        http, rpc = ({"OTEL_EXPORTER_OTLP_ENDPOINT": where} for where in (url, over_grpc.url))
        async with process(commands.service(the_plan, api, tmp_path / "shop.db"), http, api_log):
            async with process(commands.service(the_plan, the_plan.cache, tmp_path), rpc, cache_log):
                assert (await ask("GET", f"{api.url}/items/7"))[::2] == (200, "miss")
                assert (await ask("GET", f"{api.url}/readyz"))[0] == 200
            assert (await ask("GET", f"{api.url}/items/8"))[::2] == (200, "error")
    recorder.spans += [(resource["service.instance.id"], span) for resource, span in over_grpc.spans]
    traces: dict[bytes, list[tuple[str, Span]]] = {}
    for who, span in recorder.spans:
        traces.setdefault(span.trace_id, []).append((who, span))
    by_start = sorted(traces.values(), key=lambda trace: min(span.start_time_unix_nano for _, span in trace))
    assert [facts(trace) for trace in by_start] == [
        [
            ("fastjson-api-1", "SERVER", "GET /items/{id}", False),
            ("fastjson-api-1", "CLIENT", "GET", False),
            ("cache-server-1", "SERVER", "GET /cache/{key}", False),
            ("fastjson-api-1", "CLIENT", "SELECT items", False),
            ("fastjson-api-1", "CLIENT", "PUT", False),
            ("cache-server-1", "SERVER", "PUT /cache/{key}", False),
        ],
        [
            ("fastjson-api-1", "SERVER", "GET /items/{id}", False),
            ("fastjson-api-1", "CLIENT", "GET", True),
            ("fastjson-api-1", "CLIENT", "SELECT items", False),
        ],
    ]
    assert {"http.server.request.duration", "http.client.request.duration"} <= recorder.metrics

    trace_ids = [next(iter(trace))[1].trace_id.hex() for trace in by_start]
    requests = [line for line in lines(api_log) if line["event"] == "request"]
    assert [(line["path"], line["cache"], line["trace_id"]) for line in requests] == [
        ("/items/7", "miss", trace_ids[0]),
        ("/items/8", "error", trace_ids[1]),
    ]
    warning = next(line for line in lines(api_log) if line["level"] == "warning")
    assert warning["event"] == "cache unreachable, serving from the database"
    assert warning["trace_id"] == trace_ids[1]
    assert [line["trace_id"] for line in lines(cache_log) if line["event"] == "set"] == [trace_ids[0]]


async def test_a_service_without_an_endpoint_logs_json_without_trace_ids(tmp_path: Path) -> None:
    the_plan = plan(FreePorts(any_port=True))
    command = commands.Command((sys.executable, "-m", "demo.cache_server", "--port", str(the_plan.cache.port)))
    log = tmp_path / "cache.log"
    async with process(command, {}, log):
        await ask("PUT", f"{the_plan.cache.url}/cache/a", b"1")
    assert [(line["event"], line["level"]) for line in lines(log)] == [("listening", "info"), ("set", "info")]
    assert not {"trace_id", "span_id"} & lines(log)[1].keys()
