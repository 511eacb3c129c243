"""The promise P1, by trying to break it: what was acknowledged arrives, though the sidecar is killed again and again.

A producer writes down every span that was acknowledged. The sidecar is killed with SIGKILL at random moments, under load, while
two required upstreams, one over HTTP and one over gRPC, flap independently: up, down, slow, 429 with Retry-After, 503, connection
reset, partial success, and 400 for any batch with poison in it. In the end every acknowledged span but the poison has arrived
at both, whole.

OUTRIDER_ORACLE_KILLS and OUTRIDER_ORACLE_SEED set how long and which; the seed is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import aiohttp
import grpc
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.logic.otlp_http import encode_partial_success, encode_status
from tests.e2e.processes import get, outrider, running
from tests.fakes import GRPC_SERVICES
from tests.ports import free_port

KILLS = int(os.environ.get("OUTRIDER_ORACLE_KILLS", "4"))
SEED = int(os.environ.get("OUTRIDER_ORACLE_SEED", str(random.SystemRandom().randrange(1 << 32))))
POISON = b"poison"
MODES = ("up", "up", "up", "down", "slow", "429", "503", "reset", "partial")
PRODUCERS = 4
PARTIAL = encode_partial_success(0, "a warning")
RETRY_INFO = (("google.rpc.retryinfo-bin", b"\x0a\x02\x08\x01"),)
"""One second."""


class Flapping(ABC):
    """An OTLP backend whose mode changes at random moments. `arrived` counts each span by name."""

    sink: str

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.mode = "up"
        self.arrived: dict[str, int] = {}
        self.corrupt: list[str] = []
        self.answers: dict[str, int] = {}
        self.port = free_port()
        self.listening = False

    async def become(self, mode: str) -> None:
        if mode != "down" and not self.listening:
            await self.listen()
        if mode == "down" and self.listening:
            await self.vanish()
        self.listening = mode != "down"
        self.mode = mode

    async def flap(self) -> None:
        while True:
            await self.become(self.rng.choice(MODES))
            await asyncio.sleep(self.rng.uniform(0.1, 1.2))

    @abstractmethod
    async def listen(self) -> None: ...

    @abstractmethod
    async def vanish(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    async def judge(self, traces: bool, body: bytes) -> str:
        """A mode, or `poison`, for one request; what is answered well, or was reset behind the recording, has arrived."""
        mode = self.mode
        self.answers[mode] = self.answers.get(mode, 0) + 1
        if mode in ("reset", "down"):
            if traces and self.rng.random() < 0.5:
                self._record(body)  # it arrived, and nobody was told
            return mode
        if mode == "slow":
            await asyncio.sleep(self.rng.uniform(0.1, 2.0))
        if mode in ("429", "503"):
            return mode
        if POISON in body:
            self.answers["400"] = self.answers.get("400", 0) + 1
            return "poison"
        if traces:
            self._record(body)
        return mode

    def _record(self, body: bytes) -> None:
        if POISON in body:
            return
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    pad = span.attributes[0].value.string_value.encode()
                    if crc32(pad) != int(span.attributes[1].value.int_value):
                        self.corrupt.append(span.name)
                    self.arrived[span.name] = self.arrived.get(span.name, 0) + 1


class OverHttp(Flapping):
    sink = "otlp_http"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    async def listen(self) -> None:
        if self._runner is None:
            app = web.Application(client_max_size=1 << 30)
            app.router.add_post("/v1/{signal}", self._take)
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=False)
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    async def vanish(self) -> None:
        assert self._site is not None
        await self._site.stop()

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        match await self.judge(request.path.endswith("traces"), await request.read()):
            case "reset" | "down":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "429":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "503":
                return web.Response(status=503)
            case "poison":
                return web.Response(status=400, body=encode_status(3, "poison"))
            case mode:
                return web.Response(body=PARTIAL if mode == "partial" else b"", content_type="application/x-protobuf")


class OverGrpc(Flapping):
    sink = "otlp_grpc"

    async def listen(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        for service in GRPC_SERVICES:
            export = grpc.unary_unary_rpc_method_handler(partial(self._take, "Trace" in service))
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": export}),))
        assert self._server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        await self._server.start()

    async def vanish(self) -> None:
        await self._server.stop(self.rng.choice([None, 0.2]))  # at once, or in order

    async def stop(self) -> None:
        await self._server.stop(None)

    async def _take(self, traces: bool, body: bytes, context: Any) -> bytes:
        match await self.judge(traces, body):
            case "reset" | "down":
                await context.abort(grpc.StatusCode.CANCELLED)
            case "429":
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, trailing_metadata=RETRY_INFO)
            case "503":
                await context.abort(grpc.StatusCode.UNAVAILABLE)
            case "poison":
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "poison")
            case "partial":
                return PARTIAL
        return b""


class Producer:
    """Sends without pause; `acknowledged` is what it may forget."""

    def __init__(self, name: str, rng: random.Random, url: str) -> None:
        self.name, self.rng, self.url = name, rng, url
        self.acknowledged: list[str] = []
        self.statuses: dict[str, int] = {}
        self.slowest = 0.0

    def request(self, number: int) -> tuple[bytes, list[str]]:
        export = ExportTraceServiceRequest()
        scope = export.resource_spans.add().scope_spans.add()
        poisoned = self.rng.random() < 0.004
        names = []
        for n in range(self.rng.randint(1, 20)):
            name = "poison" if poisoned else f"{self.name}-{number}-{n}"
            pad = self.rng.randbytes(self.rng.randint(1, 400)).hex()
            span = scope.spans.add(name=name)
            span.attributes.add(key="pad").value.string_value = pad
            span.attributes.add(key="crc").value.int_value = crc32(pad.encode())
            names.append(name)
        return export.SerializeToString(), [] if poisoned else names

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            number = 0
            while True:
                number += 1
                body, names = self.request(number)
                began = time.monotonic()
                try:
                    async with session.post(
                        self.url, data=body, headers={"Content-Type": "application/x-protobuf"}
                    ) as answer:
                        await answer.read()
                        status = str(answer.status)
                except (aiohttp.ClientError, OSError):
                    status = "cut"
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == "200":
                    self.acknowledged += names
                await asyncio.sleep(0.002 if status == "200" else 0.03)


@pytest.mark.timeout(180 + 5 * KILLS)
async def test_what_was_acknowledged_arrives_through_kill_9_at_random_moments(tmp_path: Path) -> None:
    print(f"OUTRIDER_ORACLE_SEED={SEED} OUTRIDER_ORACLE_KILLS={KILLS}")
    rng = random.Random(SEED)
    otlp, api = free_port(), free_port()
    upstreams = [kind(random.Random(rng.random())) for kind in (OverHttp, OverGrpc)]
    for upstream in upstreams:
        await upstream.become("up")
    config = tmp_path / "outrider.yaml"
    exports = ", ".join(f"{{{u.sink}: {{endpoint: 'http://127.0.0.1:{u.port}', timeout: 3s}}}}" for u in upstreams)
    config.write_text(
        f"export: [{exports}]\nspool: {{path: {tmp_path}/spool, max_bytes: 64MiB}}\n"
        f"otlp: {{http: '127.0.0.1:{otlp}'}}\napi: {{listen: '127.0.0.1:{api}'}}\ndrain: 1s\n"
    )
    url = f"http://127.0.0.1:{otlp}/v1/traces"
    producers = [Producer(f"p{n}", random.Random(rng.random()), url) for n in range(PRODUCERS)]
    flaps = [asyncio.create_task(upstream.flap()) for upstream in upstreams]
    load = [asyncio.create_task(producer.run()) for producer in producers]
    log = tmp_path / "sidecar.log"
    command = outrider("run", "--config", str(config))
    for _ in range(KILLS):
        with running(command, log) as process:
            await until(lambda: get(f"http://127.0.0.1:{api}/livez").status == 200)
            await asyncio.sleep(rng.uniform(0.05, 2.0))
            process.kill()
    for task in load + flaps:
        task.cancel()
    done = await asyncio.gather(*load, *flaps, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in done), done
    for upstream in upstreams:
        await upstream.become("up")
    acknowledged = {name for producer in producers for name in producer.acknowledged}
    with running(command, log):
        await until(lambda: get(f"http://127.0.0.1:{api}/livez").status == 200)
        status = json.loads(await asyncio.to_thread(lambda: get(f"http://127.0.0.1:{api}/status").text))
        backlog = [relay["queue_rows"] for relay in status["relay"]]
        await until(lambda: all(acknowledged <= upstream.arrived.keys() for upstream in upstreams), 60, fail=False)
    for upstream in upstreams:
        await upstream.stop()
    print(
        f"acknowledged {len(acknowledged)} spans; answers {[p.statuses for p in producers]}; slowest "
        f"{max(p.slowest for p in producers):.2f} s; rows at the last start {backlog}; upstreams saw "
        f"{[u.answers for u in upstreams]}; twice {[sum(n > 1 for n in u.arrived.values()) for u in upstreams]}"
    )
    assert len(acknowledged) > 100 * KILLS
    for upstream in upstreams:
        assert not acknowledged - upstream.arrived.keys()
        assert upstream.corrupt == []
    errors = [line for line in log.read_text().splitlines() if '"error"' in line or "Traceback" in line]
    assert errors == []


async def until(condition: object, within: float = 30, fail: bool = True) -> None:
    """Ask in a thread, because our upstreams live in this loop."""
    assert callable(condition)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if await asyncio.to_thread(condition):
                return
        except OSError:
            pass  # not up yet
        await asyncio.sleep(0.05)
    assert not fail, "not in time"
