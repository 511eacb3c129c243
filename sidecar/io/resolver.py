"""Names to addresses, in daemon threads of our own.

getaddrinfo blocks, for half a minute where the name server is a black hole. In the loop's default executor, or among
uvloop's four libuv threads, a few such names would stop every other lookup and file access. Here each lookup has its
own thread, at most `threads` at once; a name that is already being looked up is waited for, not asked again. Threads
are daemons: none keeps the process from ending.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple


class Address(NamedTuple):
    """A numeric address; `family` is `socket.AF_INET` or `AF_INET6`."""

    family: socket.AddressFamily
    host: str


Lookup = Callable[[str], list[Address]]


class NameNotFound(OSError):
    """The name does not exist, or has no address: the answer of a working resolver."""

    def __init__(self, name: str) -> None:
        super().__init__(f"name not found: {name}")
        self.name = name


class ResolverTrouble(OSError):
    """We do not know: the resolver, or we, are in trouble."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"cannot resolve {name}: {why}")
        self.name = name
        self.why = why


def system_lookup(name: str) -> list[Address]:
    """By getaddrinfo: /etc/hosts, DNS and whatever else the system is configured for. Blocks."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            raise NameNotFound(name) from None
        raise ResolverTrouble(name, error.strerror or str(error)) from None
    except ValueError:  # a text that can be no name
        raise NameNotFound(name) from None
    return [Address(family, str(where[0])) for family, _, _, _, where in found]


def literal(name: str) -> list[Address]:
    """The addresses of a name that needs no lookup: an IP address, or `localhost` (RFC 6761, 6.3)."""
    if name.lower().rstrip(".") == "localhost":
        return [Address(socket.AF_INET, "127.0.0.1"), Address(socket.AF_INET6, "::1")]
    try:
        version = ipaddress.ip_address(name).version
    except ValueError:
        return []
    return [Address(socket.AF_INET if version == 4 else socket.AF_INET6, name)]


class Resolver:
    """For one event loop. Nothing is cached: a probe sees what the name means now."""

    def __init__(self, lookup: Lookup = system_lookup, threads: int = 32) -> None:
        self._lookup = lookup
        self._threads = threads
        self._flights: dict[str, asyncio.Future[list[Address] | OSError]] = {}

    async def addresses(self, name: str) -> list[Address]:
        """At least one address. Raises `NameNotFound` or `ResolverTrouble`; has no deadline of its own."""
        if known := literal(name):
            return known
        flight = self._flights.get(name) or self._start(name)
        # One waiter's deadline must not end the lookup for the others.
        outcome = await asyncio.shield(flight)
        if isinstance(outcome, OSError):
            # A fresh one for each waiter: raising adds a traceback to the exception.
            if isinstance(outcome, NameNotFound):
                raise NameNotFound(name)
            raise ResolverTrouble(name, outcome.why if isinstance(outcome, ResolverTrouble) else str(outcome))
        return outcome

    def _start(self, name: str) -> asyncio.Future[list[Address] | OSError]:
        if len(self._flights) >= self._threads:
            raise ResolverTrouble(name, f"{self._threads} lookups of other names have no answer yet")
        loop = asyncio.get_running_loop()
        flight: asyncio.Future[list[Address] | OSError] = loop.create_future()

        def land(outcome: list[Address] | OSError) -> None:
            del self._flights[name]
            flight.set_result(outcome)

        def fly() -> None:
            outcome: list[Address] | OSError
            try:
                outcome = self._lookup(name) or NameNotFound(name)
            except OSError as error:
                outcome = error
            except Exception as error:  # noqa: BLE001 - those who wait must hear something
                outcome = ResolverTrouble(name, f"{type(error).__name__}: {error}")
            try:
                loop.call_soon_threadsafe(land, outcome)
            except RuntimeError:
                pass  # the loop has closed: nobody waits any more

        try:
            threading.Thread(target=fly, name=f"resolve {name}", daemon=True).start()
        except RuntimeError as error:
            raise ResolverTrouble(name, str(error)) from None
        self._flights[name] = flight
        return flight
