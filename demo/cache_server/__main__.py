"""`python -m demo.cache_server --port 6400 --max-bytes 16777216`; PORT and CACHE_MAX_BYTES say the same."""

from __future__ import annotations

import argparse
import os

from aiohttp import web

from ..observability import start_logging, start_telemetry
from .app import CacheServer, log


def main() -> None:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="cache-server", description="An in-memory cache over HTTP.")
    parser.add_argument("--host", default=env("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env("PORT", "6400"))
    parser.add_argument("--max-bytes", type=int, default=env("CACHE_MAX_BYTES", str(16 << 20)))
    args = parser.parse_args()
    start_logging(env("LOG_LEVEL", "info"))
    stop = start_telemetry("cache-server")
    web.run_app(
        CacheServer(args.max_bytes).app(),
        host=args.host,
        port=args.port,
        print=lambda _: log.info("listening", host=args.host, port=args.port, pid=os.getpid()),
        access_log=None,
        shutdown_timeout=2,
    )
    stop()


if __name__ == "__main__":
    main()
