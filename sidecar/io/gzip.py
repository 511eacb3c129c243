"""Compression of what leaves; large bodies are compressed off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from isal import isal_zlib

from ..logic.gzip_body import GZIP

LARGE = 256 << 10
"""Bytes from which compression leaves the event loop."""
FASTEST = 1
"""isal's level 1: a fifteenth of zlib's time at its default level, for the same size (telemetry compresses well anyway)."""


class Gzip:
    """`close` ends its thread, which begins with the first large body."""

    def __init__(self) -> None:
        self._worker: ThreadPoolExecutor | None = None

    async def compress(self, body: bytes) -> bytes:
        if len(body) <= LARGE:
            return _gzip(body)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="otlp-gzip")
        return await asyncio.get_running_loop().run_in_executor(self._worker, _gzip, body)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)


def _gzip(body: bytes) -> bytes:
    compressed: bytes = isal_zlib.compress(body, FASTEST, GZIP)
    return compressed
