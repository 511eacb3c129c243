"""The routes. Reads go cache, then database, then set; writes go to the database, then invalidate.

GET    /items?after=0&limit=20      a page, by id
POST   /items                       {"name", "price_cents", "stock"} -> 201 with Location
GET    /items/{id}                  X-Cache says hit, miss or error
PUT    /items/{id}
DELETE /items/{id}                  204
GET    /healthz                     this process only
GET    /readyz                      the database too; not the cache, because without it we still serve
GET    /metrics
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from . import items
from .cache import Cache, Lookup
from .database import Database
from .metrics import Metrics
from .middleware import observed, problem

MAX_BODY = 64 * 1024
MAX_PAGE = 100


class Api:
    def __init__(self, cache_url: str, database: str) -> None:
        self.metrics = Metrics()
        self.cache = Cache(cache_url, self.metrics.cache)
        self.database = Database(database, self.metrics.database)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY, middlewares=[observed(self.metrics)])
        app.add_routes(
            [
                web.get("/items", self.list),
                web.post("/items", self.create),
                web.get(r"/items/{id:\d{1,15}}", self.get),
                web.put(r"/items/{id:\d{1,15}}", self.replace),
                web.delete(r"/items/{id:\d{1,15}}", self.delete),
                web.get("/healthz", self.health),
                web.get("/readyz", self.ready),
                web.get("/metrics", self.exposition),
            ]
        )
        app.cleanup_ctx.append(self.connected)
        return app

    async def connected(self, _app: web.Application) -> AsyncIterator[None]:
        await self.database.open()
        await self.cache.open()
        yield
        await self.cache.close()
        await self.database.close()

    async def list(self, request: web.Request) -> web.Response:
        after = number(request, "after", 0, 0, 10**15)
        limit = number(request, "limit", 20, 1, MAX_PAGE)
        page = await self.database.run(items.page, after, limit)
        return json({"items": page, "next": page[-1].id if len(page) == limit else None})

    async def get(self, request: web.Request) -> web.Response:
        key = int(request.match_info["id"])
        lookup, body = await self.cache.get(f"item:{key}")
        if lookup is not Lookup.HIT:
            item = await self.database.run(items.get, key)
            if item is None:
                return problem(404, f"There is no item {key}.")
            body = msgspec.json.encode(item)
            if lookup is Lookup.MISS:
                await self.cache.set(f"item:{key}", body)
        return web.Response(body=body, content_type="application/json", headers={"X-Cache": lookup})

    async def create(self, request: web.Request) -> web.Response:
        item = await self.database.run(items.insert, await new_item(request))
        return json(item, 201, {"Location": f"/items/{item.id}"})

    async def replace(self, request: web.Request) -> web.Response:
        key = int(request.match_info["id"])
        item = await self.database.run(items.update, key, await new_item(request))
        if item is None:
            return problem(404, f"There is no item {key}.")
        await self.cache.delete(f"item:{key}")
        return json(item)

    async def delete(self, request: web.Request) -> web.Response:
        key = int(request.match_info["id"])
        if not await self.database.run(items.delete, key):
            return problem(404, f"There is no item {key}.")
        await self.cache.delete(f"item:{key}")
        return web.Response(status=204)

    async def health(self, _request: web.Request) -> web.Response:
        return json({"status": "pass"})

    async def ready(self, _request: web.Request) -> web.Response:
        try:
            await self.database.ping()
        except sqlite3.Error as error:
            return json({"status": "fail", "output": f"database: {error}"}, 503)
        return json({"status": "pass"})

    async def exposition(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self.metrics.registry), headers={"Content-Type": content_type})


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


async def new_item(request: web.Request) -> items.NewItem:
    try:
        return msgspec.json.decode(await request.read(), type=items.NewItem)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from None


def number(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not low <= int(text[:16]) <= high:
        raise web.HTTPBadRequest(text=f"{name}: {text[:40]!r}, expected a whole number from {low} to {high}")
    return int(text[:16])
