"""Clients that begin and do not go on: each holds a connection for a while, and not for ever."""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from collector.http import Connection

from .test_api import collector

HEARTBEAT = b"POST /v1/heartbeats HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


async def test_a_heartbeat_that_does_not_end_is_answered_408() -> None:
    async with collector() as (running, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(HEARTBEAT)
        assert await reader.readline() == b"HTTP/1.1 408 Request Timeout\r\n"
        writer.close()
        await writer.wait_closed()


async def test_a_connection_without_a_whole_request_is_closed() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    server = cast("web.Server", runner.server)
    listening = await asyncio.get_running_loop().create_server(lambda: Connection(server, idle=0.1), "127.0.0.1")
    for said in (b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n"):
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(said)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    listening.close()
    await runner.cleanup()
