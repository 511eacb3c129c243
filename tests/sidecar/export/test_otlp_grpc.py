"""The gRPC sink against grpcio's server."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

from sidecar.export.otlp import Compression
from sidecar.export.otlp_grpc import Config, OtlpGrpc
from sidecar.io.tls import Config as Tls
from sidecar.logic.otlp_http import encode_partial_success
from sidecar.logic.protobuf import FIELD_1, encode_field
from sidecar.logic.scalars import Secret
from sidecar.logic.schema import load
from sidecar.model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split
from sidecar.version import VERSION
from tests.certificates import Authority
from tests.fakes import GrpcUpstream, resetting, until
from tests.ports import free_port
from tests.sidecar.otlp.receiving import SPAN, TWO_SPANS, field

BATCH = Batch(Signal.TRACES, TWO_SPANS, 2, 1)


def large(size: int) -> bytes:
    return field(1, field(1, field(1, field(1, b"k") + field(2, field(1, b"v" * size)))) + field(2, SPAN))


async def sent(config: Config, batch: Batch = BATCH) -> Outcome:
    sink = OtlpGrpc(config, now=lambda: 0.0)
    try:
        return await sink.send(batch)
    finally:
        await sink.close()


async def test_a_batch_arrives_with_who_we_are_and_one_more_hop() -> None:
    async with GrpcUpstream() as upstream:
        assert await sent(Config(endpoint=upstream.url)) == Accepted()
        ((method, metadata, body),) = upstream.requests
        assert method == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        assert metadata == {"user-agent": f"outrider/{VERSION}", "outrider-hop": "2"}
        assert body == TWO_SPANS


async def test_a_batch_names_those_that_it_has_been_through() -> None:
    async with GrpcUpstream() as upstream:
        assert await sent(Config(endpoint=upstream.url), Batch(Signal.TRACES, b"", 0, 1, "a~1 b~2")) == Accepted()
        assert upstream.requests[0][1]["outrider-via"] == "a~1 b~2"


async def test_each_signal_has_its_service_and_may_have_its_own_endpoint() -> None:
    async with GrpcUpstream() as upstream, GrpcUpstream() as other:
        sink = OtlpGrpc(Config(endpoint=upstream.url, logs_endpoint=other.url))
        for signal in Signal:
            assert await sink.send(Batch(signal, b"", 0)) == Accepted()
        assert [method.split(".")[-3:] for method, _, _ in upstream.requests] == [
            ["trace", "v1", "TraceService/Export"],
            ["metrics", "v1", "MetricsService/Export"],
        ]
        assert [method.split(".")[-3:] for method, _, _ in other.requests] == [["logs", "v1", "LogsService/Export"]]
        await sink.close()


@pytest.mark.parametrize("size", [10, 16_000, 17_000, 3_000_000])
@pytest.mark.parametrize("compression", Compression)
async def test_any_size_arrives_as_it_was_plain_and_compressed(size: int, compression: Compression) -> None:
    body = large(size)
    async with GrpcUpstream() as upstream:
        config = Config(endpoint=upstream.url, compression=compression)
        assert await sent(config, Batch(Signal.TRACES, body, 1)) == Accepted()
        assert upstream.requests[0][2] == body


async def test_a_hundred_requests_at_once_use_one_connection() -> None:
    async with GrpcUpstream() as upstream:
        sink = OtlpGrpc(Config(endpoint=upstream.url))
        bodies = [large(n * 997) for n in range(100)]
        outcomes = await asyncio.gather(*(sink.send(Batch(Signal.TRACES, body, 1)) for body in bodies))
        assert outcomes == [Accepted()] * 100
        assert sorted(len(body) for _, _, body in upstream.requests) == sorted(map(len, bodies))
        assert len(upstream.peers) == 1
        await sink.close()


async def test_a_server_that_takes_two_streams_at_once_gets_them_all() -> None:
    """To grpcio a stream is there for a moment after we have seen its end: it may refuse the next one, which is sent later."""
    refused = RetryLater(None, "the server has reset the stream (REFUSED_STREAM)")
    async with GrpcUpstream(("grpc.max_concurrent_streams", 2)) as upstream:
        sink = OtlpGrpc(Config(endpoint=upstream.url))
        left = 30
        while left:
            outcomes = await asyncio.gather(*(sink.send(BATCH) for _ in range(left)))
            left = outcomes.count(refused)
            assert outcomes.count(Accepted()) + left == len(outcomes), outcomes
        assert len(upstream.requests) == 30
        assert len(upstream.peers) <= 4
        await sink.close()


async def test_metadata_are_sent_and_a_token_in_a_file_may_rotate(tmp_path: Path) -> None:
    token = tmp_path / "token"
    headers = {"Authorization": Secret(file=str(token)), "X-Tenant": Secret(literal="a")}
    async with GrpcUpstream() as upstream:
        sink = OtlpGrpc(Config(endpoint=upstream.url, headers=headers))
        assert await sink.send(BATCH) == RetryLater(None, f"[Errno 2] No such file or directory: '{token}'")
        token.write_text("Bearer one\n")
        assert await sink.send(BATCH) == Accepted()
        token.write_text("Bearer three\n")
        assert await sink.send(BATCH) == Accepted()
        token.write_text("Bearer\tno\n")
        assert await sink.send(BATCH) == RetryLater(
            None, "the value of header Authorization has a character that gRPC cannot send"
        )
        assert [metadata["authorization"] for _, metadata, _ in upstream.requests] == ["Bearer one", "Bearer three"]
        assert upstream.requests[0][1]["x-tenant"] == "a"
        await sink.close()


def refusing(code: grpc.StatusCode, message: str, *trailers: tuple[str, bytes]) -> Any:
    def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(trailers)
        context.abort(code, message)
        return b""

    return answer


INFO = encode_field(FIELD_1, b"\x08\x03")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (lambda body, context: encode_partial_success(1, "too long"), PartlyAccepted(1, "too long")),
        (refusing(grpc.StatusCode.UNAVAILABLE, "down"), RetryLater(None, "gRPC UNAVAILABLE: down")),
        (
            refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow", ("google.rpc.retryinfo-bin", INFO)),
            RetryLater(3.0, "gRPC RESOURCE_EXHAUSTED: slow"),
        ),
        (refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "no"), Rejected("gRPC RESOURCE_EXHAUSTED: no")),
        (refusing(grpc.StatusCode.UNAUTHENTICATED, "who"), Hold("gRPC UNAUTHENTICATED: who")),
        (refusing(grpc.StatusCode.UNIMPLEMENTED, "what"), Hold("gRPC UNIMPLEMENTED: what", of_signal=True)),
        (refusing(grpc.StatusCode.INVALID_ARGUMENT, "ein Köder\n"), Rejected("gRPC INVALID_ARGUMENT: ein Köder")),
    ],
)
async def test_an_answer_becomes_an_outcome(answer: Any, outcome: Outcome) -> None:
    async with GrpcUpstream() as upstream:
        upstream.answer = answer
        assert await sent(Config(endpoint=upstream.url)) == outcome


async def test_what_is_larger_than_the_server_takes_is_split_and_so_is_what_is_known_to_be() -> None:
    batch = Batch(Signal.TRACES, large(5 << 20), 1)
    async with GrpcUpstream() as upstream:
        outcome = await sent(Config(endpoint=upstream.url), batch)
        assert isinstance(outcome, Split)
        assert "larger than max" in outcome.why
        config = Config(endpoint=upstream.url, max_message_bytes=1 << 20)
        assert await sent(config, batch) == Split(f"{len(batch.body)} bytes, more than max_message_bytes, 1MiB")
        assert upstream.requests == []


async def test_an_upstream_that_is_not_there_or_says_nothing_is_tried_later() -> None:
    async with GrpcUpstream() as upstream:
        upstream.hold.clear()
        assert await sent(Config(endpoint=upstream.url, timeout=0.3)) == RetryLater(None, "no answer within 0.3 s")
    refused = await sent(Config(endpoint=upstream.url))
    assert isinstance(refused, RetryLater)
    assert "refused" in refused.why


async def test_the_server_hears_how_long_we_wait() -> None:
    remaining = []
    async with GrpcUpstream() as upstream:

        def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
            remaining.append(context.time_remaining())
            return b""

        upstream.answer = answer
        assert await sent(Config(endpoint=upstream.url, timeout=60.0)) == Accepted()
    assert 30 < remaining[0] <= 60


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def test_a_server_that_restarts_in_order_loses_nothing_and_gets_nothing_twice() -> None:
    """It ends what it has taken, says GOAWAY, and what comes meanwhile waits for the next one on the same port."""
    first = GrpcUpstream()
    first.start()
    sink = OtlpGrpc(Config(endpoint=first.url))
    first.hold.clear()
    taken = asyncio.create_task(sink.send(BATCH))
    await until(lambda: first.requests)
    stopping = asyncio.create_task(asyncio.to_thread(first.stop, 5.0))
    await until(lambda: not listens(first.port))
    refused = await sink.send(BATCH)
    assert isinstance(refused, RetryLater), "nobody listens now"
    first.hold.set()
    assert await taken == Accepted()
    await stopping
    second = GrpcUpstream(port=first.port)
    second.start()
    assert await sink.send(BATCH) == Accepted()
    assert (len(first.requests), len(second.requests)) == (1, 1)
    await sink.close()
    await asyncio.to_thread(second.stop)


async def test_connections_that_the_server_ends_by_their_age_cost_nothing() -> None:
    async with GrpcUpstream(
        ("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 2000)
    ) as upstream:
        sink = OtlpGrpc(Config(endpoint=upstream.url))
        outcomes: list[Outcome] = []
        for _ in range(40):
            outcomes += await asyncio.gather(*(sink.send(BATCH) for _ in range(4)))
            await asyncio.sleep(0.02)
        assert outcomes == [Accepted()] * 160
        assert len(upstream.requests) == 160
        assert len(upstream.peers) > 3
        await sink.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def credentials(authority: Authority, verify_clients: bool = False) -> grpc.ServerCredentials:
    cert, key = authority.issue()
    pairs = [(key.read_bytes(), cert.read_bytes())]
    return grpc.ssl_server_credentials(pairs, authority.ca.read_bytes() if verify_clients else None, verify_clients)


@pytest.mark.parametrize("size", [100, 300_000])
async def test_over_tls_with_our_own_authority(authority: Authority, size: int) -> None:
    body = large(size)
    async with GrpcUpstream(credentials=credentials(authority)) as upstream:
        tls = Tls(ca=str(authority.ca))
        assert await sent(Config(endpoint=upstream.url, tls=tls), Batch(Signal.TRACES, body, 1)) == Accepted()
        assert upstream.requests[0][2] == body
        refused = await sent(Config(endpoint=upstream.url))
        assert isinstance(refused, RetryLater)
        assert refused.why.startswith(f"certificate of localhost:{upstream.port} not accepted: ")


async def test_over_tls_to_a_server_that_asks_who_we_are(authority: Authority) -> None:
    cert, key = map(str, authority.issue("us"))
    async with GrpcUpstream(credentials=credentials(authority, verify_clients=True)) as upstream:
        tls = Tls(ca=str(authority.ca), cert=cert, key=key)
        assert await sent(Config(endpoint=upstream.url, tls=tls)) == Accepted()
        refused = await sent(Config(endpoint=upstream.url, tls=Tls(ca=str(authority.ca))))
        assert isinstance(refused, RetryLater)


async def test_a_certificate_that_rotates_is_used_by_the_next_connection(authority: Authority, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.ca.read_bytes())
    async with GrpcUpstream(credentials=credentials(authority)) as upstream:
        sink = OtlpGrpc(Config(endpoint=upstream.url, tls=Tls(ca=str(ca))))
        assert await sink.send(BATCH) == Accepted()
        ca.write_bytes(b"\n" + authority.ca.read_bytes())
        assert await sink.send(BATCH) == Accepted()
        assert len(upstream.peers) == 2
        await sink.close()


async def test_who_refuses_or_resets_the_connection_is_told() -> None:
    port = free_port()
    assert await sent(Config(endpoint=f"http://127.0.0.1:{port}")) == RetryLater(
        None, f"connection refused by 127.0.0.1:{port}"
    )
    async with resetting() as port:
        assert await sent(Config(endpoint=f"http://127.0.0.1:{port}")) == RetryLater(
            None, f"connection reset by 127.0.0.1:{port}"
        )


async def test_tls_without_http2_behind_it_is_told(authority: Authority) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=authority.server())
    port = server.sockets[0].getsockname()[1]
    outcome = await sent(Config(endpoint=f"https://localhost:{port}", tls=Tls(ca=str(authority.ca))))
    assert outcome == RetryLater(None, f"localhost:{port} does not speak HTTP/2 over TLS (ALPN h2)")
    server.close()
    await server.wait_closed()


def problems(**raw: object) -> list[str]:
    return [str(problem) for problem in load(Config, raw, {}, "file")[1]]


def test_a_configuration_needs_an_endpoint_without_a_path() -> None:
    assert problems(endpoint="https://a:4317", compression="gzip", keepalive={"interval": "1m"}) == []
    assert problems(endpoint="http://a", keepalive={"interval": "1s", "timeout": "0s"}) == [
        "file: keepalive.interval: 1s is out of range, expected 10s to 1d",
        "file: keepalive.timeout: 0s is out of range, expected 1s to 5m",
    ]
    assert problems(endpoint="http://a:4317/v1/traces", max_message_bytes="10") == [
        "file: max_message_bytes: 10 is too small, expected at least 1KiB",
        'file: endpoint: "http://a:4317/v1/traces" has a path, and gRPC has its own, expected "http://a:4317"',
    ]


def test_metadata_that_grpc_cannot_carry_or_has_itself_are_refused() -> None:
    assert problems(endpoint="http://a", headers={"TE": "x", "grpc-timeout": "1S", "x-token": "ä"}) == [
        'file: headers.TE: "TE" belongs to gRPC itself, expected another name',
        'file: headers.grpc-timeout: "grpc-timeout" belongs to gRPC itself, expected another name',
        "file: headers.x-token: has a character that gRPC cannot send, expected printable ASCII",
    ]
