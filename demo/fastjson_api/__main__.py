"""`python -m demo.fastjson_api --port 8080 --cache http://127.0.0.1:6400 --db shop.db`

PORT, CACHE_URL and DATABASE say the same; `--db :memory:` (the default) is a database of this process alone.
"""

from __future__ import annotations

import argparse
import os

from aiohttp import web

from ..observability import start_logging, start_telemetry
from .app import Api
from .middleware import log


def main() -> None:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="fastjson-api", description="A JSON API over SQLite, with a cache.")
    parser.add_argument("--host", default=env("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env("PORT", "8080"))
    parser.add_argument("--cache", metavar="URL", default=env("CACHE_URL", "http://127.0.0.1:6400"))
    parser.add_argument("--db", metavar="FILE", default=env("DATABASE", ":memory:"))
    args = parser.parse_args()
    start_logging(env("LOG_LEVEL", "info"))
    stop = start_telemetry("fastjson-api")
    web.run_app(
        Api(args.cache, args.db).app(),
        host=args.host,
        port=args.port,
        print=lambda _: log.info("listening", host=args.host, port=args.port, pid=os.getpid()),
        access_log=None,
        shutdown_timeout=2,
    )
    stop()


if __name__ == "__main__":
    main()
