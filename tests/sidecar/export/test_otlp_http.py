from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.export.otlp import Compression
from sidecar.export.otlp_http import Config, OtlpHttp
from sidecar.io.tls import Config as Tls
from sidecar.logic.otlp_http import encode_partial_success, encode_status
from sidecar.logic.scalars import Secret
from sidecar.logic.schema import load
from sidecar.model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, RetryLater, Signal
from sidecar.version import VERSION
from tests.certificates import Authority
from tests.fakes import RecordingUpstream, resetting
from tests.ports import free_port
from tests.sidecar.otlp.receiving import SPAN, TWO_SPANS, field

BATCH = Batch(Signal.TRACES, TWO_SPANS, 2, 1, "a b")


async def sent(config: Config, batch: Batch = BATCH) -> Outcome:
    sink = OtlpHttp(config, now=lambda: 0.0)
    try:
        return await sink.send(batch)
    finally:
        await sink.close()


async def test_a_batch_arrives_with_who_we_are_and_one_more_hop() -> None:
    async with RecordingUpstream() as upstream:
        assert await sent(Config(endpoint=upstream.url)) == Accepted()
        ((path, headers, length),) = upstream.requests
        assert (path, length, len(upstream.spans)) == ("/v1/traces", len(TWO_SPANS), 2)
        assert headers["user-agent"] == f"outrider/{VERSION}"
        assert headers["content-type"] == "application/x-protobuf"
        assert (headers["outrider-hop"], headers["outrider-via"]) == ("2", "a b")


@pytest.mark.parametrize("size", [1000, 400_000])
async def test_gzip_is_what_the_upstream_can_read(size: int) -> None:
    """Both on the loop and, above 256 KiB, off it."""
    body = field(1, field(1, field(1, field(1, b"k") + field(2, field(1, b"v" * size)))) + field(2, SPAN))
    async with RecordingUpstream() as upstream:
        config = Config(endpoint=upstream.url, compression=Compression.GZIP)
        assert await sent(config, Batch(Signal.TRACES, body, 1)) == Accepted()
        assert [resource for resource, _ in upstream.spans] == [{"k": "v" * size}]
        assert upstream.requests[0][1]["content-encoding"] == "gzip"


async def test_each_signal_may_have_its_own_endpoint_used_as_it_is_written() -> None:
    async with RecordingUpstream() as upstream:
        config = Config(endpoint=f"{upstream.url}/base/", logs_endpoint=f"{upstream.url}/my/logs?tenant=a")
        for signal in Signal:
            await sent(config, Batch(signal, b"", 0))
        assert [path for path, _, _ in upstream.requests] == [
            "/base/v1/traces",
            "/base/v1/metrics",
            "/my/logs?tenant=a",
        ]


async def test_who_refuses_or_resets_the_connection_is_told() -> None:
    port = free_port()
    assert await sent(Config(endpoint=f"http://127.0.0.1:{port}")) == RetryLater(
        None, f"connection refused by 127.0.0.1:{port}"
    )
    async with resetting() as port:
        assert await sent(Config(endpoint=f"http://127.0.0.1:{port}")) == RetryLater(
            None, f"connection reset by 127.0.0.1:{port}"
        )


async def test_headers_are_sent_and_a_token_in_a_file_may_rotate(tmp_path: Path) -> None:
    token = tmp_path / "token"
    config = Config(
        endpoint="http://x", headers={"Authorization": Secret(file=str(token)), "X-Tenant": Secret(literal="a")}
    )
    async with RecordingUpstream() as upstream:
        config = Config(endpoint=upstream.url, headers=config.headers)
        assert await sent(config) == RetryLater(None, f"[Errno 2] No such file or directory: '{token}'")
        token.write_text("Bearer one\n")
        assert await sent(config) == Accepted()
        token.write_text("Bearer three\n")
        assert await sent(config) == Accepted()
        assert [h["authorization"] for _, h, _ in upstream.requests] == ["Bearer one", "Bearer three"]
        assert upstream.requests[0][1]["x-tenant"] == "a"


async def test_each_signal_may_have_its_own_tls(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    async with RecordingUpstream(ours.server()) as upstream:
        config = Config(endpoint=upstream.url, tls=Tls(ca=str(ours.ca)), logs_tls=Tls(ca=str(theirs.ca)))
        assert await sent(config) == Accepted()
        assert await sent(config, Batch(Signal.METRICS, b"", 0)) == Accepted()
        refused = await sent(config, Batch(Signal.LOGS, b"", 0))
        where = upstream.url.removeprefix("https://")
        why = f"certificate of {where} not accepted: unable to get local issuer certificate"
        assert refused == RetryLater(None, why)


@pytest.mark.parametrize(
    ("status", "headers", "body", "outcome"),
    [
        (200, {}, encode_partial_success(1, "too long"), PartlyAccepted(1, "too long")),
        (503, {"Retry-After": "3"}, encode_status(14, "full"), RetryLater(3.0, "HTTP 503: full")),
        (429, {"Retry-After": "Thu, 01 Jan 1970 00:00:09 GMT"}, b"", RetryLater(9.0, "HTTP 429")),
        (401, {}, b"", Hold("HTTP 401")),
        (302, {"Location": "/elsewhere"}, b"", Hold("HTTP 302")),
    ],
)
async def test_an_answer_becomes_an_outcome(
    status: int, headers: dict[str, str], body: bytes, outcome: Outcome
) -> None:
    async with RecordingUpstream() as upstream:
        upstream.script = [(status, headers, body)]
        assert await sent(Config(endpoint=upstream.url)) == outcome


async def test_an_upstream_that_is_not_there_or_says_nothing_is_tried_later() -> None:
    async with RecordingUpstream() as upstream:
        upstream.hold.clear()
        assert await sent(Config(endpoint=upstream.url, timeout=0.05)) == RetryLater(None, "no answer within 0.05 s")
    refused = await sent(Config(endpoint=upstream.url))
    assert isinstance(refused, RetryLater)
    assert "refused" in refused.why or "Connect call failed" in refused.why


def problems(**raw: object) -> list[str]:
    return [str(problem) for problem in load(Config, raw, {}, "file")[1]]


def test_a_configuration_needs_an_endpoint_for_each_signal() -> None:
    assert problems(endpoint="http://a", compression="gzip", headers={"x-token": "t"}) == []
    assert problems(traces_endpoint="http://a", metrics_endpoint="http://b", logs_endpoint="http://c") == []
    assert problems(traces_endpoint="http://a") == [
        "file: endpoint: missing, expected a URL, or one for each of traces, metrics and logs"
    ]


def test_headers_that_http_cannot_carry_are_refused() -> None:
    assert problems(endpoint="http://a", headers={"bad name": "x", "x-token": "a\r\nb: c"}) == [
        'file: headers.bad name: "bad name" is not a header\'s name, expected letters, digits and dashes',
        "file: headers.x-token: has a line break or control character in it, expected one line",
    ]
