"""A listener with TLS: real handshakes of Python's ssl, and of who gets them wrong."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from sidecar.io.guard import Guard, News
from sidecar.io.listener import Listener
from sidecar.io.server_tls import Config
from sidecar.logic.scalars import Address
from tests.certificates import Authority
from tests.fakes import FakeClock, until


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"))


class Echo(asyncio.Protocol):
    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data.upper())


class Served:
    def __init__(self, listener: Listener, guard: Guard) -> None:
        self.listener = listener
        self.guard = guard
        self.port = listener.ports[0]

    async def echo(self, context: ssl.SSLContext | None, said: bytes = b"hello") -> bytes:
        """What comes back for `said`; empty where the connection is closed instead."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname="localhost" if context else None
        )
        try:
            writer.write(said)
            return await reader.read(100)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    @property
    def refused(self) -> dict[str, int]:
        return self.guard.refused


@asynccontextmanager
async def serving(config: Config, *protocols: str, handshakes: int = 256) -> AsyncIterator[Served]:
    guard = Guard(config, None, *protocols)
    Echo.made = 0
    listener = Listener(Address("127.0.0.1", 0), Echo, FakeClock(), guard.tls, handshakes)
    await listener.start()
    assert listener.why == ""
    try:
        yield Served(listener, guard)
    finally:
        await listener.stop()


def of(identity: tuple[Path, Path], client_ca: Path | None = None) -> Config:
    cert, key = map(str, identity)
    return Config(cert=cert, key=key, client_ca=None if client_ca is None else str(client_ca))


def client(authority: Authority, *identity: Path, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca)
    if identity:
        cert, key = identity
        context.load_cert_chain(cert, key)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def test_a_connection_is_handed_over_after_its_handshake(authority: Authority) -> None:
    async with serving(of(authority.issue())) as served:
        assert await served.echo(client(authority)) == b"HELLO"
        assert (Echo.made, served.refused) == (1, {})


async def test_a_client_without_our_certificate_of_the_right_authority_is_refused_and_counted(
    authority: Authority, stranger: Authority
) -> None:
    async with serving(of(authority.issue(), authority.ca)) as served:
        assert await served.echo(client(authority, *authority.issue("us"))) == b"HELLO"
        for identity in ((), stranger.issue("us"), authority.issue("us", days=-1)):
            assert await served.echo(client(authority, *identity)) == b""
        assert served.refused == {
            "the client shows no certificate": 1,
            "the client's certificate is not accepted: unable to get local issuer certificate": 1,
            "the client's certificate is not accepted: certificate has expired": 1,
        }
        assert Echo.made == 1


def blocking_handshake(context: ssl.SSLContext, port: int) -> None:
    """As most clients do it, which tell the server what they do not like; asyncio's only hang up."""
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


async def test_who_does_not_believe_us_or_speaks_no_tls_is_counted_by_the_reason(
    authority: Authority, stranger: Authority
) -> None:
    async with serving(of(authority.issue())) as served:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(blocking_handshake, client(stranger), served.port)
        await until(lambda: served.refused)
        assert served.refused == {"the client does not know the authority of our certificate": 1}
        assert await served.echo(None, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n") == b""
        assert await served.echo(None, b"SSH-2.0-OpenSSH_9.2\r\n") == b""
        assert served.refused == {
            "the client does not know the authority of our certificate": 1,
            "the client does not speak TLS, but plain HTTP": 1,
            "the client does not speak TLS": 1,
        }


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        ("h2", ("h2", "http/1.1"), "h2"),
        ("http/1.1", ("h2", "http/1.1"), "http/1.1"),
        ("h2", ("http/1.1",), None),
        ("h2", (), None),
    ],
)
async def test_the_protocol_of_the_port_is_chosen_if_it_is_offered(
    authority: Authority, ours: str, theirs: tuple[str, ...], chosen: str | None
) -> None:
    async with serving(of(authority.issue()), ours) as served:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", served.port, ssl=client(authority, protocols=theirs)
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
        writer.write(b"x")
        assert await reader.read(1) == b"X"
        writer.close()


def rotate(identity: tuple[Path, Path], places: tuple[Path, Path]) -> None:
    for new, place in zip(identity, places, strict=True):
        shutil.copy(new, place.with_suffix(".new"))
        os.replace(place.with_suffix(".new"), place)


async def test_a_certificate_that_rotates_is_shown_to_the_next_client_and_a_broken_one_to_nobody(
    authority: Authority, tmp_path: Path
) -> None:
    places = tmp_path / "cert.pem", tmp_path / "key.pem"
    rotate(authority.issue("one.test"), places)

    async def names(served: Served) -> list[str]:
        context = client(authority)
        context.check_hostname = False
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        return [name for _, name in certificate["subjectAltName"]]

    async with serving(of(places)) as served:
        assert await names(served) == ["one.test"]
        rotate(authority.issue("two.test"), places)
        assert await names(served) == ["two.test"]
        assert list(served.guard.news()) == []
        rotate((authority.issue("three.test")[0], places[1]), places)
        assert await names(served) == ["two.test"]
        why = f"{places[1]} is not the key of {places[0]}; the certificate before it stays in force"
        assert list(served.guard.news()) == [News("file not usable", why)]
        assert (list(served.guard.news()), served.guard.warning) == ([], why)
        os.unlink(places[0])
        assert await names(served) == ["two.test"]
        (news,) = served.guard.news()
        assert news.why == f"{places[0]}: No such file or directory; the certificate before it stays in force"
        rotate(authority.issue("four.test"), places)
        assert await names(served) == ["four.test"]
        assert list(served.guard.news()) == [News("files are usable again", "", is_good=True)]


def with_session(
    context: ssl.SSLContext, port: int, session: ssl.SSLSession | None
) -> tuple[bool | None, ssl.SSLSession | None]:
    """Was the session taken up, and the one of this connection; raises `OSError` where the connection was refused."""
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
    ):
        connection.sendall(b"hello")
        if connection.recv(100) != b"HELLO":
            raise ConnectionError
        return connection.session_reused, connection.session


async def test_an_authority_that_is_gone_lets_nobody_in_also_not_by_a_session(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(authority.ca, ca)
    async with serving(of(authority.issue(), ca)) as served:
        context = client(authority, *authority.issue("us"))
        _, session = await asyncio.to_thread(with_session, context, served.port, None)
        reused, session = await asyncio.to_thread(with_session, context, served.port, session)
        assert reused
        ca.write_bytes(stranger.ca.read_bytes() + b"\n")
        with pytest.raises((ssl.SSLError, ConnectionError)):  # as the network likes
            await asyncio.to_thread(with_session, context, served.port, session)
        (reason,) = served.refused
        assert reason.startswith("the client's certificate is not accepted: ")


async def test_a_handshake_that_takes_too_long_is_ended(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.io.handshakes.TIMEOUT", 0.05)
    async with serving(of(authority.issue())) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"\x16\x03\x01")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        assert served.refused == {"the client ended the connection, or took too long": 1}


async def test_of_too_many_handshakes_the_one_that_has_taken_longest_makes_place(authority: Authority) -> None:
    async with serving(of(authority.issue()), handshakes=2) as served:
        silent = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await served.echo(client(authority)) == b"HELLO"
        await until(lambda: silent[0][0].at_eof() or silent[0][0].exception())
        assert not silent[1][0].at_eof()
        assert served.refused == {"the client ended the connection, or took too long": 1}
        for _, writer in silent:
            writer.close()


async def test_many_that_come_at_once_are_bounded_too(authority: Authority) -> None:
    async with serving(of(authority.issue()), handshakes=2) as served:
        clients = []
        for _ in range(20):  # before the loop runs again
            sock = socket.create_connection(("127.0.0.1", served.port), 20)
            sock.settimeout(20)
            clients.append(sock)
        await until(lambda: sum(served.refused.values()) == 18)
        assert await served.echo(client(authority)) == b"HELLO"
        for sock in clients:
            sock.close()


async def test_without_a_descriptor_left_a_client_is_refused_and_the_next_one_is_served(authority: Authority) -> None:
    async with serving(of(authority.issue())) as served:
        gc.collect()  # what other tests have left would give descriptors back in the midst
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        with socket.socket() as late:
            fillers = [os.dup(0)]
            while fillers[-1] <= highest:
                fillers.append(os.dup(0))
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 2, hard))  # one more: to accept it
                late.connect(("127.0.0.1", served.port))
                await until(lambda: served.refused)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for filler in fillers:
                    os.close(filler)
        assert served.refused == {"too many files are open here": 1}
        assert await served.echo(client(authority)) == b"HELLO"


async def test_who_stops_listening_leaves_no_handshake_behind(authority: Authority) -> None:
    async with serving(of(authority.issue())) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        await asyncio.sleep(0.05)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_what_comes_with_the_end_of_the_handshake_is_not_lost(authority: Authority) -> None:
    """The client's last flight and its first data in one segment: by a client that is only bytes."""
    async with serving(of(authority.issue())) as served:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(1 << 16))
        tls.write(b"hello")
        writer.write(outgoing.read())
        said = b""
        while not said:
            incoming.write(await reader.read(1 << 16))
            try:
                said = tls.read()
            except ssl.SSLWantReadError:
                continue
        assert said == b"HELLO"
        writer.close()


async def test_a_listener_waits_for_a_certificate_that_is_not_there_yet(authority: Authority, tmp_path: Path) -> None:
    places = tmp_path / "cert.pem", tmp_path / "key.pem"
    clock = FakeClock()
    listener = Listener(Address("127.0.0.1", 0), Echo, clock, Guard(of(places)).tls)
    await listener.start()
    assert listener.why == f"no certificate: {places[0]}: No such file or directory"
    rotate(authority.issue(), places)
    await clock.advance(6)
    assert listener.up
    await listener.stop()
