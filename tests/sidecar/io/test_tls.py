"""TLS from our side, with real handshakes, and through a real proxy."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain
from pathlib import Path

import pytest

from sidecar.io.http_client import HttpClient
from sidecar.io.tls import ClientTls, Config
from tests.certificates import Authority
from tests.fakes import Proxy, RecordingUpstream


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"))


@asynccontextmanager
async def client(url: str, tls: Config, environ: Mapping[str, str] | None = None) -> AsyncIterator[HttpClient]:
    made = HttpClient(url, tls=ClientTls(tls), environ=environ or {})
    try:
        yield made
    finally:
        await made.close()


async def error(url: str, tls: Config, environ: Mapping[str, str] | None = None) -> str:
    """What a POST fails with, the port left out."""
    async with client(url, tls, environ) as made:
        try:
            await made.post("/v1/traces", b"", {}, 5.0)
        except OSError as failed:
            return re.sub(
                rf":{url.rpartition(':')[2]}\b", ":PORT", str(failed)
            )  # another may begin with the same digits
    return "it went well"


def as_config(authority: Authority, *identity: Path) -> Config:
    cert, key = map(str, identity) if identity else (None, None)
    return Config(ca=str(authority.ca), cert=cert, key=key)


async def test_a_server_is_verified_by_the_configured_authority(authority: Authority) -> None:
    async with RecordingUpstream(authority.server()) as upstream:
        async with client(upstream.url, as_config(authority)) as made:
            for _ in range(2):
                assert (await made.post("/v1/traces", b"", {}, 5.0)).status == 200
        told = await error(upstream.url, Config())
        assert told == "certificate of 127.0.0.1:PORT not accepted: unable to get local issuer certificate"
        async with client(upstream.url, Config(verify=False)) as made:
            assert (await made.post("/v1/traces", b"", {}, 5.0)).status == 200


async def test_a_certificate_that_has_expired_or_is_for_another_name_is_refused(authority: Authority) -> None:
    async with RecordingUpstream(authority.server(days=-1)) as upstream:
        told = await error(upstream.url, as_config(authority))
        assert told == "certificate of 127.0.0.1:PORT not accepted: certificate has expired"
    async with RecordingUpstream(authority.server("backend.test")) as upstream:
        told = await error(upstream.url, as_config(authority))
        assert told.startswith("certificate of 127.0.0.1:PORT not accepted: IP address mismatch")
        named = Config(ca=str(authority.ca), server_name="backend.test")
        async with client(upstream.url, named) as made:
            assert (await made.post("/v1/traces", b"", {}, 5.0)).status == 200


@contextmanager
def saying(context: ssl.SSLContext, connections: int) -> Iterator[str]:
    """A server in a thread, which tells its clients why a handshake failed: asyncio's only hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)

        def serve() -> None:
            for _ in range(connections):
                accepted, _ = listening.accept()
                accepted.settimeout(20)
                connection = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
                try:
                    connection.do_handshake()
                    connection.recv(1 << 16)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    connection.close()
                except ssl.SSLError:
                    with socket.socket(fileno=connection.detach()) as plain, suppress(ConnectionError):
                        plain.settimeout(20)
                        while plain.recv(1 << 16):  # the alert is read before we close
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


async def test_who_we_are_is_shown_to_a_server_that_asks(authority: Authority, stranger: Authority) -> None:
    with saying(authority.server(verify_clients=True), 4) as url:
        async with client(url, as_config(authority, *authority.issue("us"))) as made:
            assert (await made.post("/v1/traces", b"", {}, 5.0)).status == 200
        for identity, why in (
            ((), "it asks for a client certificate"),
            (stranger.issue("us"), "it does not know the authority of our certificate"),
            (authority.issue("us", days=-1), "it says that our certificate has expired"),
        ):
            assert await error(url, as_config(authority, *identity)) == f"no TLS with 127.0.0.1:PORT: {why}"


async def test_an_identity_that_rotates_is_used_for_the_next_request(authority: Authority, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def rotate(identity: tuple[Path, Path]) -> None:
        for new, place in zip(identity, (cert, key), strict=True):
            shutil.copy(new, tmp_path / "new")
            os.replace(tmp_path / "new", place)

    shown: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                shown.append(writer.get_extra_info("peercert")["subjectAltName"][0][1])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    rotate(authority.issue("one"))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=authority.server(verify_clients=True))
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with client(url, as_config(authority, cert, key)) as made:
        await made.post("/", b"", {}, 5.0)
        rotate(authority.issue("two"))
        await made.post("/", b"", {}, 5.0)
        assert shown == ["one", "two"]
        key.write_text("half of a k")
        with pytest.raises(OSError, match=f"^{key} holds no PEM of a private key$"):
            await made.post("/", b"", {}, 5.0)
        rotate(authority.issue("three"))
        await made.post("/", b"", {}, 5.0)
        assert shown == ["one", "two", "three"]
    server.close()


async def test_an_authority_that_rotates_is_believed_at_once(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(stranger.ca, ca)
    async with RecordingUpstream(authority.server()) as upstream, client(upstream.url, Config(ca=str(ca))) as made:
        with pytest.raises(OSError, match="not accepted"):
            await made.post("/v1/traces", b"", {}, 5.0)
        ca.write_bytes(stranger.ca.read_bytes() + authority.ca.read_bytes())
        assert (await made.post("/v1/traces", b"", {}, 5.0)).status == 200


async def test_protocols_are_offered_as_they_are_asked_for(authority: Authority) -> None:
    context = ClientTls(as_config(authority), "h2").context()
    serving = authority.server()
    serving.set_alpn_protocols(["http/1.1", "h2"])
    chosen: list[str] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=context)
    assert (await reader.read(), chosen) == (b"", ["h2"])
    writer.close()
    server.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_of_the_environment_takes_us_there(authority: Authority, scheme: str) -> None:
    """CONNECT for https, the whole URL for http; its credentials are for it alone."""
    tls = authority.server("backend.test") if scheme == "https" else None
    async with RecordingUpstream(tls) as upstream, Proxy(upstream.port) as proxy:
        environ = {f"{scheme}_proxy": f"http://user:hunter2@127.0.0.1:{proxy.port}"}
        async with client(f"{scheme}://backend.test", as_config(authority), environ) as made:
            assert (await made.post("/v1/logs", b"", {"x-a": "b"}, 5.0)).status == 200
        first = "CONNECT backend.test:443 HTTP/1.1" if tls else "POST http://backend.test/v1/logs HTTP/1.1"
        assert proxy.requests == [(first, "Basic dXNlcjpodW50ZXIy")]
        ((path, headers, _),) = upstream.requests
        assert (path, headers["x-a"], headers["host"]) == ("/v1/logs", "b", "backend.test")
        assert not {"proxy-authorization", "authorization"} & headers.keys()


async def test_what_fails_at_a_proxy_is_told_without_its_credentials(authority: Authority) -> None:
    async with RecordingUpstream(authority.server("other.test")) as upstream, Proxy(upstream.port, refuse=407) as proxy:
        environ = {"all_proxy": f"http://user:hunter2@127.0.0.1:{proxy.port}"}
        through = f"through the proxy http://user:***@127.0.0.1:{proxy.port}: "
        told = await error("https://backend.test:443", as_config(authority), environ)
        assert told == f"{through}it answered 407 No"
        proxy.refuse = 0
        told = await error("https://backend.test:443", as_config(authority), environ)
        assert told.startswith(f"{through}certificate of backend.test:PORT not accepted: Hostname mismatch")
        port = proxy.port
    told = await error("https://backend.test:443", as_config(authority), environ)
    assert told.startswith(f"through the proxy http://user:***@127.0.0.1:{port}: ")
    assert "hunter2" not in told


def test_a_file_that_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    (cert, key), (_, other) = authority.issue(), authority.issue()
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.write_text("")
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    for config, problems in (
        (Config(cert=str(cert), key=str(key), ca=str(authority.ca)), []),
        (Config(cert=str(cert), key=str(other)), [("key", f"{other} is not the key of {cert}")]),
        (
            Config(cert="/nowhere", key=str(empty), ca=str(tmp_path)),
            [
                ("ca", f"{tmp_path}: not a regular file"),
                ("cert", "/nowhere: No such file or directory"),
                ("key", f"{empty} holds no PEM of a private key"),
            ],
        ),
        (
            Config(ca=str(broken)),
            [("ca", f"{broken} cannot be used: no start line: cadata does not contain a certificate")],
        ),
    ):
        assert list(chain.from_iterable(config.unusable())) == problems


def test_an_encrypted_key_is_an_error_and_no_question(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue()
    locked = tmp_path / "locked.key"
    authority.openssl("ec -aes128 -passout pass:hunter2", "-in", key, "-out", locked)
    why = f"{locked} is encrypted, and there is nobody to ask for its password"
    assert list(chain.from_iterable(Config(cert=str(cert), key=str(locked)).unusable())) == [("key", why)]


def test_the_context_is_the_same_while_the_files_are(authority: Authority) -> None:
    tls = ClientTls(as_config(authority))
    assert tls.context() is tls.context()
    assert tls.context().minimum_version is ssl.TLSVersion.TLSv1_2
