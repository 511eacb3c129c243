"""The cache over HTTP, so that a trace crosses it.

    GET    /cache/{key}            200 with the bytes, 204 when there is none
    PUT    /cache/{key}?ttl=60     204; ttl in seconds, 300 by default
    DELETE /cache/{key}            204, whether or not there was one
    GET    /stats /metrics         what it holds
    GET    /healthz /readyz        memory is all it needs: it is ready when it lives

A miss is 204 and not 404, because it is not an error: tracing marks a client's 4xx as one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import structlog
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from .metrics import Metrics
from .store import Store

DEFAULT_TTL = 300.0
MAX_TTL = 86_400.0
MAX_KEY = 250  # characters, as memcached
MAX_VALUE = 1 << 20
SWEEP_EVERY = 5.0

log = structlog.stdlib.get_logger("cache-server")


class CacheServer:
    def __init__(self, max_bytes: int) -> None:
        self.store = Store(max_bytes)
        self.metrics = Metrics(self.store)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_VALUE)
        app.add_routes(
            [
                web.get("/cache/{key}", self.get),
                web.put("/cache/{key}", self.put),
                web.delete("/cache/{key}", self.delete),
                web.get("/healthz", self.health),
                web.get("/readyz", self.health),
                web.get("/stats", self.stats),
                web.get("/metrics", self.exposition),
            ]
        )
        app.cleanup_ctx.append(self.sweeping)
        return app

    async def get(self, request: web.Request) -> web.Response:
        key = key_of(request)
        with self.metrics.duration.labels("get").time():
            value = self.store.get(key, time.monotonic())
        self.metrics.requests.labels("get", "miss" if value is None else "hit").inc()
        log.debug("get", key=key, hit=value is not None)
        if value is None:
            return web.Response(status=204)
        return web.Response(body=value, content_type="application/octet-stream")

    async def put(self, request: web.Request) -> web.Response:
        key, ttl = key_of(request), ttl_of(request)
        value = await request.read()
        with self.metrics.duration.labels("set").time():
            kept = self.store.set(key, value, ttl, time.monotonic())
        if not kept:
            raise web.HTTPRequestEntityTooLarge(self.store.max_bytes, self.store.cost(key, value))
        self.metrics.requests.labels("set", "ok").inc()
        log.info("set", key=key, size=len(value), ttl=ttl)
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        key = key_of(request)
        with self.metrics.duration.labels("delete").time():
            found = self.store.delete(key, time.monotonic())
        self.metrics.requests.labels("delete", "hit" if found else "miss").inc()
        log.info("delete", key=key, hit=found)
        return web.Response(status=204)

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "pass"})

    async def stats(self, _request: web.Request) -> web.Response:
        store = self.store
        return web.json_response(
            {
                "items": len(store),
                "bytes": store.used,
                "max_bytes": store.max_bytes,
                "evictions": store.evictions,
            }
        )

    async def exposition(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self.metrics.registry), headers={"Content-Type": content_type})

    async def sweeping(self, _app: web.Application) -> AsyncIterator[None]:
        """While the app runs, what nobody asks for any more leaves too."""
        task = asyncio.create_task(self.sweep())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self.store.expire(time.monotonic())


def key_of(request: web.Request) -> str:
    key = request.match_info["key"]
    if len(key) > MAX_KEY:
        raise web.HTTPBadRequest(text=f"the key has {len(key)} characters, at most {MAX_KEY}\n")
    return key


def ttl_of(request: web.Request) -> float:
    text = request.query.get("ttl", str(DEFAULT_TTL))
    try:
        ttl = float(text)
    except ValueError:
        ttl = 0.0
    if not 0 < ttl <= MAX_TTL:
        raise web.HTTPBadRequest(text=f"ttl: {text!r}, expected seconds above 0 and at most {MAX_TTL:.0f}\n")
    return ttl
