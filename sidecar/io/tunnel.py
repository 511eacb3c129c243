"""Through an HTTP proxy to a server that is spoken to otherwise: CONNECT (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import asyncio
import socket

from ..logic.http_request import Endpoint, endpoint
from ..logic.scalars import masked_url
from .connect import connect
from .peer import authority, trouble
from .resolver import Resolver

MAX_HEAD = 8 << 10
"""Bytes of the proxy's answer."""


async def tunnel(proxy: str, where: Endpoint, resolver: Resolver) -> socket.socket:
    """A connected, non-blocking socket to `where`, through the proxy at this URL, which may hold credentials. Has no deadline
    of its own. Raises `OSError`, which names the proxy without its credentials."""
    try:
        via = endpoint(proxy)
        if via.scheme != "http":
            raise ConnectionError("only proxies that are spoken to over http are known")
        addresses = await resolver.addresses(via.host)
        try:
            sock = await connect(addresses, via.port)
        except OSError as error:
            raise ConnectionError(trouble(error, authority(via.host, via.port)).text) from error
        try:
            await _ask(sock, where, via.authorization)
        except BaseException:
            sock.close()
            raise
    except (OSError, KeyError) as error:  # KeyError: a scheme without a port
        raise ConnectionError(f"through the proxy {masked_url(proxy)}: {error}") from error
    return sock


async def _ask(sock: socket.socket, where: Endpoint, authorization: str | None) -> None:
    loop = asyncio.get_running_loop()
    name = f"[{where.host}]" if ":" in where.host else where.host
    lines = [f"CONNECT {name}:{where.port} HTTP/1.1", f"Host: {name}:{where.port}"]
    if authorization is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = await loop.sock_recv(sock, 1)  # what follows the head is the server's
        head += byte
        if not byte or len(head) > MAX_HEAD:
            raise ConnectionError("it does not answer as a proxy does")
    status = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 1)
    if not status[0].startswith("HTTP/1.") or not status[-1].startswith("2"):
        raise ConnectionError(f"it answered {status[-1]}")
