"""Waiting for a socket, or a descriptor, that has no transport."""

from __future__ import annotations

import asyncio
import socket


async def readable(sock: socket.socket | int) -> None:
    """Returns when there is something to receive. It is watched only meanwhile: whoever does not wait is not woken."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)
