"""One port, two protocols: the first line of a connection says whether it is OTLP or the API, and that stays.

A sidecar's telemetry and a person's questions then need one address. OTLP goes to the same receiver as in the sidecar;
everything else to aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

Factory = Callable[[], asyncio.Protocol]

FIRST_LINE = 8 << 10
"""Bytes in which a first line must end; what is longer is aiohttp's to refuse."""
PATIENCE = 10.0
"""Seconds a connection may stay silent before its first line is there."""


class Switch(asyncio.Protocol):
    """Waits for the first line, hands the connection over, and is out of the way."""

    def __init__(self, otlp: Factory, api: Factory, claims: Callable[[bytes], bool]) -> None:
        self._otlp = otlp
        self._api = api
        self._claims = claims
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if b"\n" not in self._seen and len(self._seen) < FIRST_LINE:
            return
        self._timer.cancel()
        protocol = self._otlp() if self._claims(self._seen) else self._api()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._seen)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
