"""Both services over real sockets, in this process and without telemetry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from demo.cache_server.app import CacheServer
from demo.fastjson_api.app import Api
from tests.ports import free_port


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def shop(database: str = ":memory:", cache_url: str | None = None) -> AsyncIterator[tuple[str, str]]:
    """URLs of an API and of the cache beside it."""
    async with (
        serving(CacheServer(1 << 20).app()) as cache,
        serving(Api(cache_url or cache, database).app()) as api,
    ):
        yield api, cache


def nobody() -> str:
    """A URL where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


async def ask(method: str, url: str, body: bytes | None = None) -> tuple[int, str, str]:
    """Status, body and X-Cache."""
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body) as answer:
        return answer.status, await answer.text(), answer.headers.get("X-Cache", "")


async def metric(url: str, line: str) -> str:
    """The value of a sample on /metrics, by its name and labels."""
    _, text, _ = await ask("GET", f"{url}/metrics")
    return next(found.rpartition(" ")[2] for found in text.splitlines() if found.startswith(f"{line} "))


BAD_PRICE = (
    '{"type":"about:blank","title":"Bad Request","status":400,"detail":"Expected `int` >= 0 - at `$.price_cents`"}'
)
LAMP = b'{"name": "desk lamp", "price_cents": 4200, "stock": 7}'


async def test_an_item_is_read_from_the_database_once_and_then_from_the_cache() -> None:
    async with shop() as (api, cache):
        first = await ask("GET", f"{api}/items/7")
        second = await ask("GET", f"{api}/items/7")
        assert (first[0], first[2]) == (200, "miss")
        assert second == (200, first[1], "hit")
        assert await metric(api, 'cache_client_requests_total{result="hit"}') == "1.0"
        assert await metric(api, 'cache_client_requests_total{result="miss"}') == "1.0"
        assert await metric(api, 'db_client_operation_duration_seconds_count{db_operation_name="SELECT"}') == "1.0"
        assert await metric(cache, 'cache_requests_total{operation="get",result="hit"}') == "1.0"
        assert await metric(cache, "cache_items") == "1.0"


async def test_a_write_is_seen_by_the_next_read_though_the_old_value_was_cached() -> None:
    async with shop() as (api, _):
        await ask("GET", f"{api}/items/7")
        assert (await ask("PUT", f"{api}/items/7", LAMP))[0] == 200
        assert await ask("GET", f"{api}/items/7") == (
            200,
            '{"id":7,"name":"desk lamp","price_cents":4200,"stock":7}',
            "miss",
        )


async def test_an_item_is_made_and_deleted() -> None:
    async with shop() as (api, _):
        made = await ask("POST", f"{api}/items", LAMP)
        assert made[:2] == (201, '{"id":201,"name":"desk lamp","price_cents":4200,"stock":7}')
        assert (await ask("GET", f"{api}/items/201"))[0] == 200
        assert (await ask("DELETE", f"{api}/items/201"))[0] == 204
        assert (await ask("GET", f"{api}/items/201"))[0] == 404


async def test_a_page_says_where_the_next_one_starts() -> None:
    async with shop() as (api, _):
        status, text, _ = await ask("GET", f"{api}/items?after=197&limit=2")
        assert status == 200
        assert text.startswith('{"items":[{"id":198,')
        assert text.endswith('"next":199}')
        assert (await ask("GET", f"{api}/items?after=199&limit=2"))[1].endswith('"next":null}')


async def test_two_replicas_share_one_database_file(tmp_path: Path) -> None:
    file = str(tmp_path / "shop.db")
    async with shop(file) as (one, cache), serving(Api(cache, file).app()) as other:
        await ask("POST", f"{one}/items", LAMP)
        assert (await ask("GET", f"{other}/items/201"))[0] == 200
        assert (await ask("GET", f"{one}/items/201"))[2] == "hit"


async def test_without_its_cache_the_api_serves_from_the_database_and_stays_ready() -> None:
    async with shop(cache_url=nobody()) as (api, _):
        assert [(await ask("GET", f"{api}/items/7"))[::2] for _ in range(2)] == [(200, "error")] * 2
        assert (await ask("PUT", f"{api}/items/7", LAMP))[0] == 200
        assert (await ask("GET", f"{api}/readyz"))[0] == 200
        assert await metric(api, 'cache_client_requests_total{result="error"}') == "3.0"


async def test_without_its_database_the_api_lives_but_is_not_ready() -> None:
    async with serving(CacheServer(1 << 20).app()) as cache:
        service = Api(cache, ":memory:")
        async with serving(service.app()) as api:
            assert service.database.connection is not None
            await service.database.close()
            service.database.connection = None
            assert (await ask("GET", f"{api}/healthz"))[:2] == (200, '{"status":"pass"}')
            assert (await ask("GET", f"{api}/readyz"))[:2] == (
                503,
                '{"status":"fail","output":"database: the database is not open"}',
            )
            assert (await ask("GET", f"{api}/items"))[0] == 500


async def test_errors_are_problems_with_a_reason() -> None:
    async with shop() as (api, _):
        assert (await ask("GET", f"{api}/items/999999"))[:2] == (
            404,
            '{"type":"about:blank","title":"Not Found","status":404,"detail":"There is no item 999999."}',
        )
        assert (await ask("POST", f"{api}/items", b'{"name": "x", "price_cents": -1}'))[:2] == (
            400,
            BAD_PRICE,
        )
        assert (await ask("GET", f"{api}/items?limit=9999"))[0] == 400
        assert (await ask("GET", f"{api}/nowhere"))[0] == 404
        assert (await ask("PATCH", f"{api}/items/1"))[0] == 405
        assert (await ask("POST", f"{api}/items", b"x" * 70_000))[0] == 413


async def test_a_request_is_counted_by_the_template_of_its_route() -> None:
    async with shop() as (api, _):
        await ask("GET", f"{api}/items/1")
        await ask("GET", f"{api}/items/2")
        await ask("GET", f"{api}/wp-login.php")
        await ask("GET", f"{api}/healthz")
        labels = 'http_request_method="GET",http_response_status_code="{}",http_route="{}"'
        name = "http_server_request_duration_seconds_count{%s}"
        assert await metric(api, name % labels.format(200, r"/items/{id}")) == "2.0"
        assert await metric(api, name % labels.format(404, "unmatched")) == "1.0"
        assert "healthz" not in (await ask("GET", f"{api}/metrics"))[1]
        assert await metric(api, "http_server_active_requests") == "0.0"


async def test_the_cache_keeps_what_it_is_given_until_it_is_deleted() -> None:
    async with serving(CacheServer(1 << 20).app()) as cache:
        assert (await ask("GET", f"{cache}/cache/a"))[:2] == (204, "")
        assert (await ask("PUT", f"{cache}/cache/a?ttl=60", b"one"))[0] == 204
        assert (await ask("GET", f"{cache}/cache/a"))[:2] == (200, "one")
        assert (await ask("DELETE", f"{cache}/cache/a"))[0] == 204
        assert (await ask("GET", f"{cache}/cache/a"))[0] == 204
        assert await metric(cache, 'cache_requests_total{operation="delete",result="hit"}') == "1.0"
        assert (await ask("GET", f"{cache}/stats"))[1] == (
            '{"items": 0, "bytes": 0, "max_bytes": 1048576, "evictions": {"ttl": 0, "lru": 0}}'
        )


async def test_the_cache_refuses_what_it_cannot_keep() -> None:
    async with serving(CacheServer(1000).app()) as cache:
        assert (await ask("PUT", f"{cache}/cache/a?ttl=0", b"x"))[:2] == (
            400,
            "ttl: '0', expected seconds above 0 and at most 86400\n",
        )
        assert (await ask("PUT", f"{cache}/cache/a?ttl=nan", b"x"))[0] == 400
        assert (await ask("PUT", f"{cache}/cache/{'k' * 251}", b"x"))[0] == 400
        assert (await ask("PUT", f"{cache}/cache/a", b"x" * 1000))[0] == 413
