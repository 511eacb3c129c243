"""OTLP/HTTP with JSON, over real sockets."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from sidecar.logic.otlp_http import REJECTED, Reply, encode_partial_success
from sidecar.model.signals import Batch, Signal
from tests.sidecar.otlp.receiving import TWO_SPANS, receiving

JSON_SPANS = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{}, {}]}]}]}'


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
async def test_a_json_request_is_handed_on_in_protobuf_and_answered_in_json(content_type: str) -> None:
    async with receiving() as setup:
        client = await setup.client()
        for body, encoding in ((JSON_SPANS, ""), (gzip.compress(JSON_SPANS), "gzip")):
            client.post(body, Content_Type=content_type, Content_Encoding=encoding)
            assert await client.answer() == (200, {"content-type": "application/json", "content-length": "2"}, b"{}")
        assert setup.taker.batches == [Batch(Signal.TRACES, TWO_SPANS, 2)] * 2
        assert setup.receiver.counters.items[Signal.TRACES] == 4
        assert setup.receiver.counters.bytes[Signal.TRACES] == 2 * len(TWO_SPANS)
        assert setup.receiver.in_flight == 0


async def test_json_and_protobuf_share_a_connection() -> None:
    async with receiving() as setup:
        client = await setup.client()
        for _ in range(2):
            client.post(TWO_SPANS)
            client.post(JSON_SPANS, Content_Type="application/json")
        assert [(await client.answer())[2] for _ in range(4)] == [b"", b"{}"] * 2
        assert setup.taker.batches == [Batch(Signal.TRACES, TWO_SPANS, 2)] * 4


@pytest.mark.parametrize(("signal", "name"), list(REJECTED.items()))
async def test_partial_success_is_told_in_json(signal: Signal, name: str) -> None:
    point: Any = {"gauge": {"dataPoints": [{}]}}
    bodies: dict[Signal, Any] = {
        Signal.TRACES: {"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]},
        Signal.METRICS: {"resourceMetrics": [{"scopeMetrics": [{"metrics": [point]}]}]},
        Signal.LOGS: {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}]}]}]},
    }
    async with receiving() as setup:
        setup.taker.replies = [Reply(200, encode_partial_success(3, "too old"))]
        client = await setup.client()
        client.post(json.dumps(bodies[signal]).encode(), f"/v1/{signal}", Content_Type="application/json")
        status, headers, body = await client.answer()
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body) == {"partialSuccess": {name: "3", "errorMessage": "too old"}}
        assert [(b.signal, b.items) for b in setup.taker.batches] == [(signal, 1)]


REFUSED_JSON: list[tuple[str, dict[str, str], bytes, tuple[int, int, str]]] = [
    (
        "/v1/traces",
        {},
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "abc"}]}]}]}',
        (
            400,
            3,
            'the body is not an OTLP request: resourceSpans[0].scopeSpans[0].spans[0].traceId: "abc", expected 32 hex digits',
        ),
    ),
    ("/v1/traces", {}, TWO_SPANS, (400, 3, "the body is not an OTLP request: JSON is malformed: invalid character (byte 1)")),
    ("/v1/traces", {}, b"", (400, 3, "the body is not an OTLP request: Input data was truncated")),
    ("/v1/traces", {"Content_Encoding": "gzip"}, b"{}", (400, 3, "the body is not gzip: it does not start as gzip does")),
    ("/v1/spans", {}, b"{}", (404, 12, "no such path, expected /v1/traces, /v1/metrics or /v1/logs")),
    ("/v1/traces", {"Content_Length": "20971521"}, b"", (413, 8, "the body has 20971521 bytes, more than 20MiB")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "headers", "body", "expected"), REFUSED_JSON)
async def test_a_json_request_is_refused_in_json(
    path: str, headers: dict[str, str], body: bytes, expected: tuple[int, int, str]
) -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(body, path, Content_Type="application/json", **headers)
        status, answered, reply = await client.answer()
        assert answered["content-type"] == "application/json"
        assert (status, json.loads(reply)) == (expected[0], {"code": expected[1], "message": expected[2]})
        assert setup.receiver.counters.refused == {status: 1}
        assert setup.taker.batches == []
        assert setup.receiver.in_flight == 0


async def test_json_is_limited_before_and_after_it_is_protobuf() -> None:
    counts = b",".join([b"0"] * 1000)
    body = (
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[%b]}]}}]}]}]}'
    )
    async with receiving(max_body_bytes=4096) as setup:
        client = await setup.client()
        client.post(body % counts, "/v1/metrics", Content_Type="application/json")
        assert json.loads((await client.answer())[2]) == {
            "code": 8,
            "message": "the body becomes more than 4096 bytes of protobuf",
        }
        bomb = gzip.compress(body % (counts + b" " * 5000))
        client.post(bomb, "/v1/metrics", Content_Type="application/json", Content_Encoding="gzip")
        status, _, reply = await client.answer()
        assert (status, json.loads(reply)["message"][:31]) == (413, "the body inflates to more than ")
        assert setup.receiver.in_flight == 0


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_large_json_body_leaves_the_loop_and_arrives_whole(encoding: str) -> None:
    spans = [{"name": f"span-{n}", "traceState": "x" * 100} for n in range(20_000)]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    async with receiving() as setup:
        client = await setup.client()
        client.post(
            gzip.compress(body, 1) if encoding else body, Content_Type="application/json", Content_Encoding=encoding
        )
        assert (await client.answer())[2] == b"{}"
        (batch,) = setup.taker.batches
        assert (batch.items, b"span-19999" in batch.body) == (20_000, True)
        assert setup.receiver.in_flight == 0


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_json_in_chunks_in_any_cut_is_the_same(piece: int) -> None:
    async with receiving() as setup:
        client = await setup.client()
        client.post(b"", Content_Type="application/json", Content_Length="", Transfer_Encoding="chunked")
        for at in range(0, len(JSON_SPANS), piece):
            cut = JSON_SPANS[at : at + piece]
            client.send(b"%x\r\n%s\r\n" % (len(cut), cut))
        client.send(b"0\r\n\r\n")
        assert (await client.answer())[0] == 200
        assert setup.taker.batches == [Batch(Signal.TRACES, TWO_SPANS, 2)]
