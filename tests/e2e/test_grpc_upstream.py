"""A sidecar process whose upstream speaks gRPC: grpcio's server, the real Collector, another sidecar."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.certificates import Authority
from tests.e2e.processes import eventually, get, outrider, running
from tests.e2e.test_otlp_sdk import MANY, exporters_over_grpc, send_points, send_records, send_spans
from tests.fakes import GrpcUpstream, RecordingUpstream
from tests.ports import free_port
from tests.real import require


class Sidecar:
    """Where one process listens."""

    def __init__(self) -> None:
        self.http, self.rpc, self.api = free_port(), free_port(), free_port()

    def relay(self) -> Any:
        return json.loads(get(f"http://127.0.0.1:{self.api}/status").text)["relay"]


@contextmanager
def sidecar(folder: Path, sink: str, spool: str = "", metrics: str = "10m") -> Iterator[Sidecar]:
    """With `sink` as its one upstream, as YAML; its own metrics go out after each `metrics`."""
    made = Sidecar()
    folder.mkdir(exist_ok=True)
    config = folder / "outrider.yaml"
    config.write_text(
        f"export: [{sink}]\n{spool}otlp: {{grpc: '127.0.0.1:{made.rpc}', http: '127.0.0.1:{made.http}'}}\n"
        f"api: {{listen: '127.0.0.1:{made.api}'}}\nmetrics: {{interval: {metrics}}}\ndrain: 100ms\n"
    )
    with running(outrider("run", "--config", str(config)), folder / "sidecar.log"):
        eventually(lambda: get(f"http://127.0.0.1:{made.api}/livez").status == 200)
        yield made


def request(number: int, spans: int = 10, pad: int = 10) -> bytes:
    export = ExportTraceServiceRequest()
    scope = export.resource_spans.add().scope_spans.add()
    for n in range(spans):
        scope.spans.add(name=f"{number}-{n}").attributes.add(key="pad").value.string_value = "x" * pad
    body: bytes = export.SerializeToString()
    return body


async def post(port: int, bodies: list[bytes], at_once: int = 8, signal: str = "traces") -> Counter[int]:
    """Statuses of requests to a sidecar."""
    url = f"http://127.0.0.1:{port}/v1/{signal}"
    statuses: Counter[int] = Counter()
    left = iter(bodies)
    headers = {"Content-Type": "application/x-protobuf"}
    async with aiohttp.ClientSession() as session:

        async def work() -> None:
            for body in left:
                async with session.post(url, data=BytesIO(body), headers=headers) as answer:
                    await answer.read()
                    statuses[answer.status] += 1

        await asyncio.gather(*(work() for _ in range(at_once)))
    return statuses


def names(spans: list[tuple[dict[str, str], Any]]) -> Counter[str]:
    return Counter(span.name for _, span in spans)


def expected(requests: int, spans: int = 10) -> Counter[str]:
    return Counter(f"{number}-{n}" for number in range(requests) for n in range(spans))


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_everything_the_sdk_sends_over_grpc_goes_on_over_grpc_once(tmp_path: Path, compression: str) -> None:
    async with GrpcUpstream() as upstream:
        sink = f"{{otlp_grpc: {{endpoint: '{upstream.url}', compression: {compression}}}}}"
        with sidecar(tmp_path, sink) as made:
            tracing, metering, logging = exporters_over_grpc(f"http://127.0.0.1:{made.rpc}", False)
            await asyncio.to_thread(send_spans, tracing)
            await asyncio.to_thread(send_points, metering)
            await asyncio.to_thread(send_records, logging)
            assert names(upstream.spans) == Counter(f"span-{n}" for n in range(MANY))
            kinds = {method.split(".")[-3] for method, _, _ in upstream.requests}
            assert kinds == {"trace", "metrics", "logs"}
            assert len(upstream.peers) == 1, "one connection"
            assert {resource["service.name"] for resource, _ in upstream.spans} == {"checkout"}


async def test_a_request_above_the_upstreams_limit_arrives_in_pieces(tmp_path: Path) -> None:
    """grpcio takes 4 MiB, this one has 6."""
    async with GrpcUpstream() as upstream:
        with sidecar(tmp_path, f"{{otlp_grpc: {{endpoint: '{upstream.url}'}}}}") as made:
            body = request(0, spans=60, pad=100_000)
            assert len(body) > 6_000_000 > 4 << 20
            assert await post(made.http, [body]) == {200: 1}
            assert names(upstream.spans) == expected(1, 60)


async def test_over_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    cert, key = authority.issue()
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    async with GrpcUpstream(credentials=credentials) as upstream:
        sink = f"{{otlp_grpc: {{endpoint: '{upstream.url}', tls: {{ca: {authority.ca}}}}}}}"
        with sidecar(tmp_path, sink) as made:
            assert await post(made.http, [request(n) for n in range(50)]) == {200: 50}
            assert names(upstream.spans) == expected(50)


async def test_connections_that_end_by_age_under_load_lose_and_repeat_nothing(tmp_path: Path) -> None:
    options = [("grpc.max_connection_age_ms", 150), ("grpc.max_connection_age_grace_ms", 5000)]
    async with GrpcUpstream(*options) as upstream:
        with sidecar(tmp_path, f"{{otlp_grpc: {{endpoint: '{upstream.url}'}}}}") as made:
            for start in range(0, 1000, 100):
                bodies = [request(n) for n in range(start, start + 100)]
                assert await post(made.http, bodies) == {200: 100}
                await asyncio.sleep(0.1)
            assert names(upstream.spans) == expected(1000)
            assert len(upstream.peers) > 3


async def test_through_restarts_of_the_upstream_everything_acknowledged_arrives(tmp_path: Path) -> None:
    """Without a grace: what is under way is cut off, and may arrive twice."""
    spool = f"spool: {{path: {tmp_path}/spool}}\n"
    first = GrpcUpstream()
    first.start()
    arrived: Counter[str] = Counter()
    with sidecar(tmp_path, f"{{otlp_grpc: {{endpoint: '{first.url}'}}}}", spool) as made:
        load = asyncio.create_task(post(made.http, [request(n) for n in range(600)], at_once=4))
        upstream = first
        for _ in range(3):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(upstream.stop)
            arrived += names(upstream.spans)
            await asyncio.sleep(0.2)
            upstream = GrpcUpstream(port=first.port)
            upstream.start()
        assert await load == {200: 600}
        await asyncio.to_thread(eventually, lambda: made.relay()[0]["queue_rows"] == 0, 30)
        arrived += names(upstream.spans)
        assert arrived.keys() == expected(600).keys()
        await asyncio.to_thread(upstream.stop)


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_one_sidecar_after_another_over_grpc(tmp_path: Path, compression: str) -> None:
    async with RecordingUpstream() as upstream:
        with (
            sidecar(tmp_path / "gateway", f"{{otlp_http: {{endpoint: '{upstream.url}'}}}}") as gateway,
            sidecar(
                tmp_path / "edge",
                f"{{otlp_grpc: {{endpoint: 'http://127.0.0.1:{gateway.rpc}', compression: {compression}}}}}",
            ) as edge,
        ):
            bodies = [request(n) for n in range(300)] + [request(300, 10, 400_000)]
            assert await post(edge.http, bodies) == {200: 301}
            assert names(upstream.spans) == expected(301)
            hops = {headers["outrider-hop"] for path, headers, _ in upstream.requests if path == "/v1/traces"}
            assert hops == {"2"}


async def test_two_sidecars_in_a_circle_over_grpc_say_so(tmp_path: Path) -> None:
    port = free_port()
    with sidecar(tmp_path / "a", f"{{otlp_grpc: {{endpoint: 'http://127.0.0.1:{port}'}}}}") as a:
        config = tmp_path / "b.yaml"
        config.write_text(
            f"export: [{{otlp_grpc: {{endpoint: 'http://127.0.0.1:{a.rpc}'}}}}]\n"
            f"otlp: {{grpc: '127.0.0.1:{port}', http: '127.0.0.1:{free_port()}'}}\n"
            f"api: {{listen: '127.0.0.1:{free_port()}'}}\nmetrics: {{interval: 10m}}\ndrain: 100ms\n"
        )
        with running(outrider("run", "--config", str(config)), tmp_path / "b.log"):
            await asyncio.to_thread(eventually, lambda: "otlp open" in (tmp_path / "b.log").read_text())
            assert await post(a.http, [request(0)]) == {508: 1}
            (relay,) = a.relay()
            assert relay["state"] == "held"
            assert "the upstreams form a loop: " in relay["why"]


@asynccontextmanager
async def collector(folder: Path, upstream: RecordingUpstream, protocol: str = "grpc") -> AsyncIterator[int]:
    """The OpenTelemetry Collector with an OTLP receiver, whose port this is, and `upstream` behind it, for traces alone."""
    port = free_port()
    config = folder / "otelcol.json"
    config.write_text(
        json.dumps(
            {
                "receivers": {"otlp": {"protocols": {protocol: {"endpoint": f"127.0.0.1:{port}"}}}},
                "exporters": {"otlp_http": {"endpoint": upstream.url, "compression": "none"}},
                "service": {
                    "telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
                },
            }
        )
    )
    log = folder / "otelcol.log"
    with running([require("otelcol"), "--config", f"file:{config}"], log):
        await asyncio.to_thread(eventually, lambda: "Everything is ready" in log.read_text(), 30)
        yield port


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_to_the_collector(tmp_path: Path, compression: str) -> None:
    """Also above its 4 MiB, and also metrics, for which it has no pipeline: it says that it does not know the service."""
    async with RecordingUpstream() as upstream, collector(tmp_path, upstream) as port:
        sink = f"{{otlp_grpc: {{endpoint: 'http://127.0.0.1:{port}', compression: {compression}}}}}"
        with sidecar(tmp_path / "sidecar", sink) as made:
            bodies = [request(n) for n in range(500)] + [request(500, 10, 600_000)]
            assert await post(made.http, bodies) == {200: 501}
            await asyncio.to_thread(eventually, lambda: len(upstream.spans) >= 5010)
            assert names(upstream.spans) == expected(501)
            export = ExportMetricsServiceRequest()
            metric = export.resource_metrics.add().scope_metrics.add().metrics.add(name="no-pipeline")
            metric.gauge.data_points.add(as_int=1)
            assert await post(made.http, [export.SerializeToString()], signal="metrics") == {503: 1}
            (relay,) = made.relay()
            assert (relay["state"], relay["held_signals"]["metrics"][:18]) == ("ok", "gRPC UNIMPLEMENTED")
