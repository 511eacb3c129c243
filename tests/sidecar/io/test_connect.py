from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from sidecar.io import connect as happy
from sidecar.io.connect import connect
from sidecar.io.resolver import Address
from tests.ports import free_port

ONE, TWO = Address(socket.AF_INET, "127.0.0.1"), Address(socket.AF_INET, "127.0.0.2")


async def test_of_two_that_accept_one_is_kept_and_the_other_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happy, "STAGGER", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with socket.create_server(("127.0.0.2", port)) as second, await connect([ONE, TWO], port) as kept:
            ends: list[str | bytes] = []
            for server in (first, second):
                taken, _ = await asyncio.to_thread(server.accept)
                taken.settimeout(20)
                with taken:
                    ours = taken.getpeername() == kept.getsockname()
                    ends.append("kept" if ours else await asyncio.to_thread(taken.recv, 1))
    assert sorted(map(str, ends)) == ["b''", "kept"]


async def test_the_only_error_is_raised_as_it_is_and_several_as_one() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError) as refused:
        await connect([ONE], port)
    assert refused.value.errno == errno.ECONNREFUSED
    with pytest.raises(OSError, match=r"Multiple exceptions: \[Errno 111\] Connection refused, \[Errno 111\]"):
        await connect([ONE, TWO], port)
