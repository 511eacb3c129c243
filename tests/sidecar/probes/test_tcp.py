from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.io.resolver import Address
from sidecar.logic.schema import load
from sidecar.model.health import State
from sidecar.model.process import ProcessSample
from sidecar.probes.tcp import Config, TcpProbe, misses
from tests.ports import free_port

from .support import context


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def config(**tree: Any) -> Config:
    made, problems = load(Config, tree, {}, "test")
    assert made is not None, problems
    return made


async def test_an_accepted_connection_passes(listener: socket.socket) -> None:
    peer = f"127.0.0.1:{listener.getsockname()[1]}"
    result = await TcpProbe(config(address=peer), context()).check()
    assert result.raw is State.PASS
    assert re.fullmatch(rf"connected to {peer} in [\d.]+(us|ms)", result.output)
    assert [o.name for o in result.observed] == ["responseTime"]


async def test_the_default_is_the_targets_host_and_port(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    for url in (f"tcp://localhost:{port}", f"http://127.0.0.1:{port}/readyz"):
        assert (await TcpProbe(config(), context(url)).check()).raw is State.PASS


async def test_a_refused_connection_fails() -> None:
    port = free_port()
    result = await TcpProbe(config(address=f"127.0.0.1:{port}"), context()).check()
    assert (result.raw, result.output) == (State.FAIL, f"connection refused by 127.0.0.1:{port}")


async def test_latency_warns(listener: socket.socket) -> None:
    peer = f"127.0.0.1:{listener.getsockname()[1]}"
    result = await TcpProbe(config(address=peer, latency={"warn": "1us"}), context()).check()
    assert result.raw is State.WARN
    assert re.fullmatch(rf"{peer} answered in [\d.]+(us|ms), expected at most 1us", result.output)


async def test_the_first_address_that_accepts_wins(listener: socket.socket) -> None:
    def two(name: str) -> list[Address]:
        return [Address(socket.AF_INET, "127.0.0.2"), Address(socket.AF_INET, "127.0.0.1")]

    port = listener.getsockname()[1]
    result = await TcpProbe(config(address=f"cache:{port}"), context(lookup=two)).check()
    assert result.raw is State.PASS


async def test_one_refusal_says_more_than_a_network_that_we_do_not_have() -> None:
    def two(name: str) -> list[Address]:
        return [Address(socket.AF_INET, "255.255.255.255"), Address(socket.AF_INET, "127.0.0.1")]

    port = free_port()
    result = await TcpProbe(config(address=f"cache:{port}"), context(lookup=two)).check()
    assert (result.raw, result.output) == (State.FAIL, f"connection refused by cache:{port}")
    alone = await TcpProbe(config(address=f"255.255.255.255:{port}"), context()).check()
    assert (alone.raw, alone.output) == (
        State.UNKNOWN,
        f"255.255.255.255:{port} was not tried: this machine has no route to it",
    )


async def test_a_peer_that_is_silent_leaves_it_to_the_callers_deadline() -> None:
    """A full backlog drops what comes: the probe waits, and is cancelled without a trace."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        crowd = [socket.socket() for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(TcpProbe(config(address=f"127.0.0.1:{port}"), context()).check(), 0.1)
        for sock in crowd:
            sock.close()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (":6379", '":6379" has no host'),
        ("cache:0", '"cache:0" has no port'),
        ("cache", '"cache" is not an address'),
    ],
)
def test_an_address_needs_host_and_port(address: str, problem: str) -> None:
    _, problems = load(Config, {"address": address}, {}, "f")
    assert [str(p) for p in problems] == [f"f: address: {problem}, expected host:port such as 127.0.0.1:6379"]


async def test_without_an_address_it_is_a_config_error_and_never_fails() -> None:
    assert list(misses(config(), None)) == [("address", "missing", "host:port, or target.url")]
    assert (await TcpProbe(config(), context()).check()).raw is State.UNKNOWN


async def talker(answer: bytes, heard: list[bytes] | None = None) -> asyncio.Server:
    """Says `answer` to whoever sends something, or at once when it does not listen for anything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if heard is not None:
            heard.append(await reader.read(100))
        writer.write(answer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("answer", "state", "output"),
    [
        (b"+PONG\r\n", State.PASS, r"answered as expected by {peer} in [\d.]+(us|ms)"),
        (b"-ERR busy", State.FAIL, r'{peer} answered "-ERR busy", expected "\+PONG"'),
        (b"", State.FAIL, r'{peer} closed the connection without an answer, expected "\+PONG"'),
    ],
)
async def test_what_is_sent_must_be_answered_as_expected(answer: bytes, state: State, output: str) -> None:
    heard: list[bytes] = []
    async with await talker(answer, heard) as server:
        peer = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await TcpProbe(config(address=peer, send="PING\r\n", expect="+PONG"), context()).check()
    assert heard == [b"PING\r\n"]
    assert result.raw is state
    assert re.fullmatch(output.format(peer=peer), result.output), result.output


async def test_a_server_that_speaks_first_needs_no_question() -> None:
    async with await talker(b"220 mail ready\r\n") as server:
        peer = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert (await TcpProbe(config(address=peer, expect="220 "), context()).check()).raw is State.PASS


async def test_a_target_that_is_seen_to_be_stopped_fails_though_the_kernel_accepts(listener: socket.socket) -> None:
    peer = f"127.0.0.1:{listener.getsockname()[1]}"
    stopped = ProcessSample(found=True, why="found", pid=3, name="redis", state="stopped")
    target = await TcpProbe(config(), context(f"tcp://{peer}", process=stopped)).check()
    assert (target.raw, target.output) == (
        State.FAIL,
        f"connected to {peer}, but redis (pid 3) is stopped (SIGSTOP or SIGTSTP)",
    )
    other = await TcpProbe(config(address=peer), context(f"tcp://{peer}", process=stopped)).check()
    assert other.raw is State.PASS, "what the target depends on is another process"
