"""A TCP connection to the first of several addresses that accepts: Happy Eyeballs (RFC 8305) without its sorting."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence

from .resolver import Address

STAGGER = 0.25
"""Seconds after which the next address is tried as well (RFC 8305, section 5)."""


async def connect(addresses: Sequence[Address], port: int) -> socket.socket:
    """A connected, non-blocking socket that belongs to the caller. Has no deadline of its own.

    Raises the only error, or one `OSError` with the texts of all.
    """
    waiting = list(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_attempt(waiting.pop(0), port)))
            done, _ = await asyncio.wait(
                attempts, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                attempts.discard(attempt)
                try:
                    return attempt.result()
                except OSError as error:
                    errors.append(error)
    finally:
        for attempt in attempts:
            attempt.cancel()
        for late in await asyncio.gather(*attempts, return_exceptions=True):
            if isinstance(late, socket.socket):
                late.close()
    if len(errors) == 1:
        raise errors[0]
    raise OSError("Multiple exceptions: " + ", ".join(map(str, errors)))


async def _attempt(address: Address, port: int) -> socket.socket:
    """Not by the loop's `sock_connect`: uvloop's looks even a numeric address up, in libuv's threads."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        failed = sock.connect_ex((address.host, port))
        if failed == errno.EINPROGRESS:
            await _writable(sock)
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
    except BaseException:
        sock.close()
        raise
    return sock


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(sock)
