"""Who may send: tokens over HTTP and gRPC, and pages in a browser, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from sidecar.io.bearer import Bearer
from sidecar.io.listener import Listener
from sidecar.io.server_tls import Config as TlsConfig
from sidecar.io.server_tls import ServerTls
from sidecar.logic.cors import Config as CorsConfig
from sidecar.logic.cors import Cors
from sidecar.logic.scalars import Address, Secret
from sidecar.model.counters import ReceiverCounters
from sidecar.otlp.grpc import Connection as GrpcConnection
from sidecar.otlp.guarded import GuardedConnection
from sidecar.otlp.http import Config, Receiver
from tests.certificates import Authority
from tests.fakes import FakeClock, until
from tests.sidecar.logic.http2_client import EXPORT
from tests.sidecar.otlp.receiving import TWO_SPANS, Client, Setup, Taker
from tests.sidecar.otlp.test_grpc import CHECK

ORIGIN = "https://shop.example"
UNKNOWN = "the token is not known, expected Authorization: Bearer and a token of this port"


@asynccontextmanager
async def receiving(make: Callable[[Receiver], asyncio.Protocol]) -> AsyncIterator[Setup]:
    taker = Taker()
    receiver = Receiver(Config(), taker.take, ReceiverCounters())
    server = await asyncio.get_running_loop().create_server(lambda: make(receiver), "127.0.0.1", 0)
    setup = Setup(receiver, taker, server.sockets[0].getsockname()[1])
    try:
        yield setup
    finally:
        for client in setup.clients:
            client.writer.close()
        await receiver.close()
        server.close()


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text("one\ntwo\n")
    return file


def bearer(tokens: Path) -> Bearer:
    return Bearer(Secret(file=str(tokens)))


def preflight(client: Client, origin: str = ORIGIN, body: str = "") -> None:
    client.send(
        f"OPTIONS /v1/traces HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n"
        f"Access-Control-Request-Headers: content-type,x-a\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )


async def test_over_http_only_who_brings_a_token_may_send(tokens: Path) -> None:
    async with receiving(lambda receiver: GuardedConnection(receiver, bearer(tokens), None)) as setup:
        for token in ("one", "two"):
            client = await setup.client()
            for _ in range(2):
                client.post(TWO_SPANS, Authorization=f"Bearer {token}")
                assert (await client.answer())[0] == 200
        client = await setup.client()
        client.post(TWO_SPANS, Authorization="Bearer three")
        status, headers, _ = await client.answer()
        assert (status, headers["www-authenticate"], headers["connection"]) == (401, "Bearer", "close")
        assert "vary" not in headers
        client = await setup.client()
        client.post(TWO_SPANS)
        assert await client.refusal() == (401, 16, f"no token, {UNKNOWN.partition(', ')[2]}")
        assert setup.receiver.counters.refused == {401: 2}
        assert len(setup.taker.batches) == 4
        client = await setup.client()  # as Java's client offers HTTP/2
        client.post(TWO_SPANS, Authorization="Bearer one", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c")
        assert (await client.answer())[0] == 200


async def test_a_token_that_is_withdrawn_ends_within_a_second_also_on_a_connection_that_used_it(
    tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is known, and believed for so long."""
    monkeypatch.setattr("sidecar.otlp.connection.BELIEVED", 0.05)
    async with receiving(lambda receiver: GuardedConnection(receiver, bearer(tokens), None)) as setup:
        client = await setup.client()
        client.post(TWO_SPANS, Authorization="Bearer one")
        assert (await client.answer())[0] == 200
        tokens.write_text("two\n")
        await asyncio.sleep(0.1)
        client.post(TWO_SPANS, Authorization="Bearer one")
        assert await client.refusal() == (401, 16, UNKNOWN)
        tokens.unlink()
        client = await setup.client()
        client.post(TWO_SPANS, Authorization="Bearer two")
        status, headers, _ = await client.answer()
        assert (status, headers["retry-after"]) == (503, "1")


async def test_a_page_of_an_allowed_origin_asks_and_sends_on_one_connection(tokens: Path) -> None:
    """A browser's preflight brings no token; the answer to what follows can be read by the page, also a refusal."""
    cors = Cors(CorsConfig(origins=(ORIGIN,)))
    async with receiving(lambda receiver: GuardedConnection(receiver, bearer(tokens), cors)) as setup:
        client = await setup.client()
        client.post(TWO_SPANS, Authorization="Bearer one", Origin=ORIGIN)
        assert (await client.answer())[1]["access-control-allow-origin"] == ORIGIN
        for _ in range(2):
            preflight(client)
            assert await client.answer() == (
                200,
                {
                    "content-type": "application/x-protobuf",
                    "content-length": "0",
                    "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
                    "access-control-allow-origin": ORIGIN,
                    "access-control-allow-methods": "POST",
                    "access-control-allow-headers": "content-type, x-a",
                    "access-control-max-age": "7200",
                },
                b"",
            )
            for _ in range(2):
                client.post(TWO_SPANS, Authorization="Bearer one", Origin=ORIGIN)
                status, headers, _ = await client.answer()
                assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, ORIGIN, "Origin")
        assert len(setup.taker.batches) == 5
        client.post(TWO_SPANS, Origin=ORIGIN)
        status, headers, _ = await client.answer()
        assert (status, headers["access-control-allow-origin"]) == (401, ORIGIN)


async def test_another_origin_is_told_nothing_and_a_preflight_with_a_body_is_refused() -> None:
    cors = Cors(CorsConfig(origins=(ORIGIN,)))
    async with receiving(lambda receiver: GuardedConnection(receiver, None, cors)) as setup:
        client = await setup.client()
        preflight(client, "https://evil.test")
        _, headers, _ = await client.answer()
        assert not [name for name in headers if name.startswith("access-control")]
        client.post(TWO_SPANS)
        assert (await client.answer())[1]["vary"] == "Origin"
        preflight(client, body="x")
        assert (await client.answer())[0] == 413
        client = await setup.client()
        client.send(b"OPTIONS /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] == 405


async def test_what_many_connections_with_tls_leave_behind_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.otlp.http.MANY_CONNECTIONS", 4)
    monkeypatch.setattr("sidecar.otlp.http.RELEASE_AFTER", 0.1)
    authority = Authority(tmp_path / "ca")
    cert, key = map(str, authority.issue())
    receiver = Receiver(Config(), Taker().take, ReceiverCounters())
    tls = ServerTls(TlsConfig(cert=cert, key=key), "http/1.1")
    listener = Listener(Address("127.0.0.1", 0), receiver.protocol, FakeClock(), tls)
    await listener.start()
    context = ssl.create_default_context(cafile=authority.ca)
    gc.disable()
    try:
        clients = [
            await asyncio.open_connection("127.0.0.1", listener.ports[0], ssl=context, server_hostname="localhost")
            for _ in range(6)
        ]
        await until(lambda: len(receiver._connections) == 6)
        left = [weakref.ref(connection) for connection in receiver._connections]
        for _, writer in clients:
            writer.close()
        await until(lambda: not any(connection() for connection in left))
    finally:
        gc.enable()
        await listener.stop()
        await receiver.close()


async def test_over_grpc_only_who_brings_a_token_may_send_and_anybody_may_ask_for_health(tokens: Path) -> None:
    async with receiving(lambda receiver: GrpcConnection(receiver, bearer(tokens))) as setup:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{setup.port}") as channel:

            async def call(method: str = EXPORT, token: str = "") -> Any:
                metadata = (("authorization", f"Bearer {token}"),) if token else ()
                return await channel.unary_unary(method)(TWO_SPANS if method == EXPORT else b"", metadata=metadata)

            for _ in range(3):
                assert await call(token="one") == b""
            assert await call(CHECK) == b"\x08\x01"
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(token="three")
            assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, UNKNOWN)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call()
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            tokens.write_text("two\n")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(token="one")
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            tokens.unlink()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(token="two")
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert setup.receiver.counters.refused == {401: 3, 503: 1}
        assert len(setup.taker.batches) == 3


@pytest.mark.parametrize("order", [("one", "three"), ("three", "one"), ("one", "two")])
async def test_of_two_tokens_neither_is_taken(tokens: Path, order: tuple[str, str]) -> None:
    async with receiving(lambda receiver: GuardedConnection(receiver, bearer(tokens), None)) as setup:
        client = await setup.client()
        first, second = order
        client.post(TWO_SPANS, Authorization=f"Bearer {first}\r\nAuthorization: Bearer {second}")
        assert await client.refusal() == (401, 16, UNKNOWN)
