"""The promise P1, by trying to break it: what was acknowledged arrives, though the sidecar is killed again and again.

A producer writes down every span that was acknowledged. The sidecar is killed with SIGKILL at random moments, under load, while
two required upstreams flap independently: up, down, slow, 429 with Retry-After, 503, connection reset, partial success, and 400
for any batch with poison in it. In the end every acknowledged span but the poison has arrived at both, whole.

OUTRIDER_ORACLE_KILLS and OUTRIDER_ORACLE_SEED set how long and which; the seed is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from pathlib import Path
from zlib import crc32

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.logic.otlp_http import encode_partial_success, encode_status
from tests.e2e.processes import free_port, get, outrider, running

KILLS = int(os.environ.get("OUTRIDER_ORACLE_KILLS", "4"))
SEED = int(os.environ.get("OUTRIDER_ORACLE_SEED", str(random.SystemRandom().randrange(1 << 32))))
POISON = b"poison"
MODES = ("up", "up", "up", "down", "slow", "429", "503", "reset", "partial")
PRODUCERS = 4


class Flapping:
    """An OTLP backend whose mode changes at random moments. `arrived` counts each span by name."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.mode = "up"
        self.arrived: dict[str, int] = {}
        self.corrupt: list[str] = []
        self.answers: dict[str, int] = {}
        self.port = free_port()

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/{signal}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=False)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        self._site: web.TCPSite | None = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    async def become(self, mode: str) -> None:
        if mode != "down" and self._site is None:
            await self._listen()
        if mode == "down" and self._site is not None:
            await self._site.stop()
            self._site = None
        self.mode = mode

    async def flap(self) -> None:
        while True:
            await self.become(self.rng.choice(MODES))
            await asyncio.sleep(self.rng.uniform(0.1, 1.2))

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        mode = self.mode
        self.answers[mode] = self.answers.get(mode, 0) + 1
        if mode in ("reset", "down"):
            assert request.transport is not None
            if self.rng.random() < 0.5:
                self._record(request.path, body)  # it arrived, and nobody was told
            request.transport.abort()
            return web.Response()
        if mode == "slow":
            await asyncio.sleep(self.rng.uniform(0.1, 2.0))
        if mode == "429":
            return web.Response(status=429, headers={"Retry-After": "1"})
        if mode == "503":
            return web.Response(status=503)
        if POISON in body:
            self.answers["400"] = self.answers.get("400", 0) + 1
            return web.Response(status=400, body=encode_status(3, "poison"))
        self._record(request.path, body)
        reply = encode_partial_success(0, "a warning") if mode == "partial" else b""
        return web.Response(body=reply, content_type="application/x-protobuf")

    def _record(self, path: str, body: bytes) -> None:
        if POISON in body or not path.endswith("traces"):
            return
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    pad = span.attributes[0].value.string_value.encode()
                    if crc32(pad) != int(span.attributes[1].value.int_value):
                        self.corrupt.append(span.name)
                    self.arrived[span.name] = self.arrived.get(span.name, 0) + 1


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


@pytest.mark.timeout(120 + 5 * KILLS)
async def test_what_was_acknowledged_arrives_through_kill_9_at_random_moments(tmp_path: Path) -> None:
    print(f"OUTRIDER_ORACLE_SEED={SEED} OUTRIDER_ORACLE_KILLS={KILLS}")
    rng = random.Random(SEED)
    otlp, api = free_port(), free_port()
    upstreams = [Flapping(random.Random(rng.random())) for _ in range(2)]
    for upstream in upstreams:
        await upstream.start()
    config = tmp_path / "outrider.yaml"
    exports = ", ".join(f"{{otlp_http: {{endpoint: 'http://127.0.0.1:{u.port}', timeout: 3s}}}}" for u in upstreams)
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


async def until(condition: object, within: float = 15, fail: bool = True) -> None:
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
