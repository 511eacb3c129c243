"""aiohttp's resolver with the answer already known. Imports aiohttp: to be imported where a probe first needs it."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from ..io.resolver import Address


class Pinned(AbstractResolver):
    """Answers every question with the addresses of the one host that is asked for.

    The name is resolved before, in our own threads, so that a resolver without an answer and a peer without one can be
    told apart; aiohttp's own resolver would use the loop's shared executor.
    """

    def __init__(self, addresses: list[Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=a.host, port=port, family=a.family, proto=0, flags=socket.AI_NUMERICHOST)
            for a in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""
