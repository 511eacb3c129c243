"""A sidecar under attack: every request gets its right status and `Status`, and memory stays where it was."""

from __future__ import annotations

import asyncio
import gzip
import random
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import eventually, outrider, running
from tests.fakes import RecordingUpstream
from tests.ports import free_port
from tests.sidecar.otlp.receiving import TWO_SPANS, Client, field, large

MIB = 1 << 20
NOISE = random.Random(1).randbytes(4 * MIB)


class Memory:
    """Resident memory of a process in MB (10^6), sampled in a thread of its own."""

    def __init__(self, pid: int) -> None:
        self._statm = Path(f"/proc/{pid}/statm")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.peak = 0.0

    def now(self) -> float:
        return int(self._statm.read_text().split()[1]) * 4096 / 1e6

    def _sample(self) -> None:
        while not self._done.wait(0.002):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


class Target:
    def __init__(self, port: int, pid: int, upstream: RecordingUpstream) -> None:
        self.port, self.pid, self.upstream = port, pid, upstream

    async def client(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    async def post(self, body: bytes, **headers: str) -> int:
        """One request on a connection of its own: its status."""
        client = await self.client()
        try:
            client.post(body, **headers)
            return (await client.answer())[0]
        finally:
            client.writer.close()

    async def chunked(self, pieces: list[bytes]) -> tuple[int, int]:
        """A body of undeclared length: HTTP status and the code of the Status."""
        client = await self.client()
        try:
            client.post(b"", Content_Length="", Transfer_Encoding="chunked")
            for piece in pieces:
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                await client.writer.drain()
        except ConnectionError:
            pass  # it has said its answer
        status, code, _ = await client.refusal()
        client.writer.close()
        return status, code


@asynccontextmanager
async def attacked(tmp_path: Path, **environ: str) -> AsyncIterator[Target]:
    otlp, api = free_port(), free_port()
    config = tmp_path / "outrider.yaml"
    async with RecordingUpstream() as upstream:
        config.write_text(f"export: [{{otlp_http: {{endpoint: '{upstream.url}'}}}}]\n")
        settings = {
            "OUTRIDER_OTLP_GRPC": "127.0.0.1:0",
            "OUTRIDER_OTLP_HTTP": f"127.0.0.1:{otlp}",
            "OUTRIDER_API_LISTEN": f"127.0.0.1:{api}",
            "OUTRIDER_METRICS_INTERVAL": "10m",
            "OUTRIDER_DRAIN": "100ms",
            **environ,
        }
        with running(outrider("run", "--config", str(config)), tmp_path / "sidecar.log", settings) as process:
            log = tmp_path / "sidecar.log"
            await asyncio.to_thread(eventually, lambda: "otlp open" in log.read_text())
            target = Target(otlp, process.pid, upstream)
            for _ in range(20):  # warm
                assert await target.post(TWO_SPANS) == 200
            assert await target.post(b"{}", Content_Type="application/json") == 200
            yield target


async def malformed(target: Target) -> None:
    for body in (b"\x0a\x05x", field(1, field(2, b"\x12\x7f")), NOISE[:1000], NOISE, bytes(19 * MIB)):
        assert await target.post(body) == 400


async def truncated(target: Target) -> None:
    body = large(2 * MIB)
    for cut in (10, 1000, MIB):
        assert await target.post(body[:cut]) == 400
        client = await target.client()
        client.post(body[:cut], Content_Length=str(len(body)))
        client.writer.write_eof()
        assert (await client.refusal())[:2] == (400, 3)
        client.writer.close()


async def oversize(target: Target) -> None:
    assert await target.post(b"", Content_Length=str(20 * MIB + 1)) == 413
    client = await target.client()
    client.post(b"", Content_Length=str(100 * MIB))
    for _ in range(100):
        client.send(bytes(MIB))
        await client.writer.drain()
    assert (await client.refusal())[:2] == (413, 8)
    client.writer.close()


async def oversize_in_chunks(target: Target) -> None:
    piece = field(1, field(2, NOISE[: MIB // 2]))
    await asyncio.gather(*[target.chunked([piece] * 60) for _ in range(2)])
    assert await target.chunked([piece] * 60) == (413, 8)
    assert await target.chunked([bytes(MIB)] * 60) == (400, 3)


async def bombs(target: Target) -> None:
    honest = gzip.compress(bytes(200 * MIB), 1)
    lying = honest[:-4] + struct.pack("<I", 1000)
    within = gzip.compress(bytes(19 * MIB))
    members = gzip.compress(bytes(10 * MIB)) * 20
    for bomb in (honest, lying, within, members):
        assert await target.post(bomb, Content_Encoding="gzip") == 413
    assert await asyncio.gather(*[target.post(bomb, Content_Encoding="gzip") for bomb in (honest, lying, within) * 5])


def json_with(signal: str, scope: bytes) -> bytes:
    return b'{"resource%s":[{"scope%s":[%b]}]}' % (signal.encode(), signal.encode(), scope)


async def json_of_many_values(target: Target) -> None:
    """As Python objects these would be up to 200 MB. The last element of each is wrong."""
    many = b"{}," * (3 * MIB)
    honest = (
        b'{"name":"GET","attributes":[{"key":"a","value":{"stringValue":"b"}},{"key":"c","value":{"intValue":"1"}}]},'
    )
    numbers = b'{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[%b"x"]}]}}]}'
    for signal, scope in (
        ("Spans", b'{"spans":[%b7]}' % many),
        ("Spans", b'{"spans":[{"attributes":[%b7]}]}' % many),
        ("Spans", b'{"spans":[%b7]}' % (honest * (10 * MIB // len(honest)))),
        ("Spans", b'{"x":[%b7],"spans":7}' % many),
        ("Metrics", numbers % (b"0," * MIB)),
        ("Metrics", numbers % (b'"0",' * MIB)),
        ("Spans", b"[" * (9 * MIB)),
    ):
        path = "/v1/traces" if signal == "Spans" else "/v1/metrics"
        body = json_with(signal, scope)
        assert await target.post(body, path=path, Content_Type="application/json") == 400
    bomb = gzip.compress(json_with("Metrics", numbers % (b"0," * (9 * MIB))))
    headers = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    assert await target.post(bomb, path="/v1/metrics", **headers) == 413


async def wrong(target: Target) -> None:
    assert await target.post(TWO_SPANS, Content_Type="text/plain") == 415
    assert await target.post(TWO_SPANS, Content_Encoding="br") == 415
    assert await target.post(TWO_SPANS, path="/v1/spans") == 404
    client = await target.client()
    client.send(b"PUT /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await client.refusal())[:2] == (405, 12)
    client.writer.close()
    client = await target.client()
    client.send(b"POST /v1/traces HTTP/1.1\r\n" + b"X: " + b"y" * MIB)
    assert (await client.refusal())[:2] == (431, 3)
    client.writer.close()


async def a_thousand_connections(target: Target) -> None:
    """Idle, half a head, and half a body: none of them keeps others from being served."""
    starts = [b"", b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nX: ", b""]
    clients = [await target.client() for _ in range(1000)]
    for n, client in enumerate(clients):
        client.send(starts[n % 3])
        if n % 3 == 2:
            client.post(TWO_SPANS[:3], Content_Length="1000")
    assert await target.post(TWO_SPANS) == 200
    for client in clients:
        client.writer.close()


ATTACKS: list[Callable[[Target], Awaitable[None]]] = [
    malformed,
    truncated,
    oversize,
    oversize_in_chunks,
    bombs,
    json_of_many_values,
    wrong,
    a_thousand_connections,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_attack_is_refused_in_bounded_memory_and_the_next_request_is_served(
    tmp_path: Path, attack: Callable[[Target], Awaitable[None]]
) -> None:
    async with attacked(tmp_path) as target:
        with Memory(target.pid) as memory:
            before = memory.now()
            await attack(target)
            assert await target.post(TWO_SPANS) == 200
            await asyncio.to_thread(eventually, lambda: memory.now() < before + 5)
        assert memory.peak < 60, f"before {before:.1f}, now {memory.now():.1f} MB"


async def test_slow_requests_get_408_while_others_are_served(tmp_path: Path) -> None:
    times = {f"OUTRIDER_OTLP_{key}": "1s" for key in ("HEADER_TIMEOUT", "BODY_TIMEOUT")}
    async with attacked(tmp_path, **times) as target:
        head, body = await target.client(), await target.client()
        head.send(b"POST /v1/traces HTTP/1.1\r\nX: y")
        body.post(TWO_SPANS[:3], Content_Length="10")
        started = time.monotonic()
        while time.monotonic() < started + 1.5:
            head.send(b"y")
            assert await target.post(TWO_SPANS) == 200
            await asyncio.sleep(0.1)
        assert await head.refusal() == (408, 4, "the headers took too long")
        assert await body.refusal() == (408, 4, "the body took too long")
        head.writer.close()
        body.writer.close()


async def test_all_at_once_stays_in_bounds(tmp_path: Path) -> None:
    async with attacked(tmp_path) as target:
        with Memory(target.pid) as memory:
            before = memory.now()
            near_the_limit = (oversize_in_chunks, json_of_many_values)  # each alone
            await asyncio.gather(*[attack(target) for attack in ATTACKS if attack not in near_the_limit])
            assert await target.post(TWO_SPANS) == 200
            await asyncio.to_thread(eventually, lambda: memory.now() < before + 5)
        assert memory.peak < 60, f"before {before:.1f}, now {memory.now():.1f} MB"
