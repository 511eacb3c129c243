"""The cache as this API uses it: an optimisation that may be gone at any moment.

Every method answers, none raises: a broken cache costs at most `TIMEOUT` and counts as an error. What it
holds may be old by at most `TTL`: an invalidation can be lost while the cache is away, or race with a reader
that still has the old row.
"""

from __future__ import annotations

from enum import StrEnum

import aiohttp
import structlog
from prometheus_client import Counter

TTL = 30
TIMEOUT = aiohttp.ClientTimeout(total=0.25)

log = structlog.stdlib.get_logger("fastjson-api")


class Lookup(StrEnum):
    HIT = "hit"
    MISS = "miss"
    ERROR = "error"


class Cache:
    """`url` is the cache-server's, such as http://127.0.0.1:6400. `requests` counts lookups by result, and
    failed calls."""

    def __init__(self, url: str, requests: Counter) -> None:
        self.url = url.rstrip("/")
        self.requests = requests
        self.broken = False
        self.session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self.session = aiohttp.ClientSession(timeout=TIMEOUT)

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()

    async def get(self, key: str) -> tuple[Lookup, bytes]:
        status, body = await self._ask("GET", key)
        found = Lookup.ERROR if status is None else Lookup.HIT if status == 200 else Lookup.MISS
        if found is not Lookup.ERROR:
            self.requests.labels(found).inc()
        return found, body

    async def set(self, key: str, value: bytes) -> None:
        await self._ask("PUT", f"{key}?ttl={TTL}", value)

    async def delete(self, key: str) -> None:
        await self._ask("DELETE", key)

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int | None, bytes]:
        if self.session is None:
            return None, b""
        try:
            async with self.session.request(method, f"{self.url}/cache/{path}", data=body) as answer:
                content = await answer.read()
                if answer.status >= 300:
                    raise aiohttp.ClientError(f"answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self.requests.labels(Lookup.ERROR).inc()
            self._turned(broken=True, error=str(error) or type(error).__name__)
            return None, b""
        self._turned(broken=False)
        return answer.status, content

    def _turned(self, *, broken: bool, error: str = "") -> None:
        """Logged when it changes, not for each request."""
        if broken and not self.broken:
            log.warning("cache unreachable, serving from the database", cache=self.url, error=error)
        elif self.broken and not broken:
            log.info("cache is back", cache=self.url)
        self.broken = broken
