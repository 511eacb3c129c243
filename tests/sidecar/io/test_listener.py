from __future__ import annotations

import asyncio
import socket

import pytest

from sidecar.io.listener import Listener, _bound, _listening
from sidecar.io.resolver import Address as IpAddress
from sidecar.logic.scalars import Address
from tests.fakes import FakeClock
from tests.ports import free_port


class Hello(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]
        transport.close()


async def greeting(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    heard = await reader.read()
    writer.close()
    return heard


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", ["127.0.0.1"]), ("localhost", ["127.0.0.1", "::1"]), ("", ["127.0.0.1", "::1"])],
)
async def test_it_listens_on_every_address_that_its_host_means(host: str, reached: list[str]) -> None:
    listener = Listener(Address(host, 0), Hello, FakeClock())
    await listener.start()
    assert (listener.up, listener.why) == (True, "")
    (port,) = listener.ports
    for address in reached:
        assert await greeting(address, port) == b"hello"
    await listener.stop()
    assert (listener.up, listener.why, listener.ports) == (False, "stopped", ())
    with pytest.raises(ConnectionRefusedError):
        await greeting("127.0.0.1", port)


async def test_a_taken_port_says_so_and_is_tried_again_every_five_seconds() -> None:
    clock = FakeClock()
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        listener = Listener(Address("127.0.0.1", port), Hello, clock)
        await listener.start()
        assert not listener.up
        assert listener.why == f"cannot listen on 127.0.0.1:{port}: the port is taken by another process"
        await clock.advance(5)
        assert not listener.up
    await clock.advance(5)
    assert (listener.up, listener.why, listener.ports) == (True, "", (port,))
    assert await greeting("127.0.0.1", port) == b"hello"
    await listener.stop()


async def test_stopping_ends_the_retries() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listener = Listener(Address("127.0.0.1", other.getsockname()[1]), Hello, FakeClock())
        await listener.start()
        await listener.stop()
        assert len(asyncio.all_tasks()) == 1


async def test_it_moves_from_an_address_that_is_taken_and_from_no_other() -> None:
    clock, anywhere = FakeClock(), Address("127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        listener = Listener(Address("127.0.0.1", taken), Hello, clock)
        await listener.start()
        await listener.move(anywhere)
        (port,) = listener.ports
        assert (listener.why, port == taken) == ("", False)
        await listener.move(anywhere)
        assert listener.ports == (port,)
    await clock.advance(5)
    assert listener.ports == (port,), "nothing goes on trying"
    assert await greeting("127.0.0.1", port) == b"hello"
    await listener.stop()
    foreign = Listener(Address("192.0.2.1", 4317), Hello, clock)
    await foreign.start()
    await foreign.move(anywhere)
    assert foreign.why == "cannot listen on 192.0.2.1:4317: Cannot assign requested address"
    await foreign.stop()


async def test_half_a_localhost_is_not_kept() -> None:
    """When ::1 is taken, 127.0.0.1 is given back: both or none."""
    port = free_port()
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        listener = Listener(Address("localhost", port), Hello, FakeClock())
        await listener.start()
        assert listener.why == f"cannot listen on [::1]:{port}: the port is taken by another process"
        with pytest.raises(ConnectionRefusedError):
            await greeting("127.0.0.1", port)
        await listener.stop()


def test_a_port_that_two_have_bound_is_taken_once_one_of_them_listens() -> None:
    here = IpAddress(socket.AF_INET, "127.0.0.1")
    with _bound(here, 0) as first:
        second = _bound(here, first.getsockname()[1])
        first.listen()
        with pytest.raises(OSError, match="Address already in use"):
            _listening(second)
