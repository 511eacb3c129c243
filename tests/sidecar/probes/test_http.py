from __future__ import annotations

import asyncio
import gzip
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from sidecar.io.resolver import Address, ResolverTrouble
from sidecar.logic.schema import load
from sidecar.model.health import State
from sidecar.probes import PROBES
from sidecar.probes.http import Config, HttpProbe, misses
from tests.fakes import HttpServer, until
from tests.ports import free_port
from tests.real import require

from .support import context


def config(**tree: Any) -> Config:
    made, problems = load(Config, tree, {}, "test")
    assert made is not None, problems
    return made


async def look(settings: Config, target: str | None = None) -> str:
    """Raw state and output, with ports and times made the same in every run."""
    result = await HttpProbe(settings, context(target)).check()
    return f"{result.raw}: {plain(result.output)}"


def plain(output: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "HOST", re.sub(r"in [\d.]+(us|ms|s)", "in TIME", output))


async def trace(probe: HttpProbe, looks: int) -> list[str]:
    return [plain((await probe.check()).output) for _ in range(looks)]


async def test_a_good_answer_passes_with_its_time_and_status() -> None:
    async with HttpServer({"/readyz": 200}) as server:
        result = await HttpProbe(config(url="/readyz"), context(server.url)).check()
    assert (result.raw, plain(result.output)) == (State.PASS, "GET http://HOST/readyz: 200 in TIME")
    time, status = result.observed
    assert (time.name, time.unit, status.name, status.value) == ("responseTime", "s", "status", 200)
    assert 0 < time.value < 1


async def test_a_wrong_status_fails_and_says_what_was_expected() -> None:
    async with HttpServer({"/readyz": 503}) as server:
        assert await look(config(url=server.url + "/readyz")) == "fail: GET http://HOST/readyz: 503, expected 200-399"


async def test_a_redirect_is_not_followed_and_counts_by_its_own_status() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /gone\r\nContent-Length: 0\r\n\r\n"
    async with HttpServer({"/": moved}) as server:
        assert await look(config(url="/"), server.url) == "pass: GET http://HOST/: 302 in TIME"
        assert len(server.requests) == 1


async def test_conditions_look_at_the_body() -> None:
    async with HttpServer({"/h": (200, b'{"status": "degraded"}')}) as server:
        expect = {"json": [{"pointer": "/status", "equals": "ok", "severity": "warn"}], "body": {"matches": "status"}}
        assert await look(config(url="/h", expect=expect), server.url) == (
            'warn: GET http://HOST/h: 200; /status is "degraded", expected "ok"'
        )


async def test_latency_is_a_condition_of_its_own() -> None:
    async with HttpServer({"/h": 200}) as server:
        server.delay = 0.05
        settings = config(url="/h", expect={"latency": {"warn": "10ms", "fail": "10s"}})
        result = await HttpProbe(settings, context(server.url)).check()
    assert result.raw is State.WARN
    assert result.output.endswith(", expected at most 10ms")


async def test_requests_say_who_asks_and_carry_an_unsampled_trace() -> None:
    async with HttpServer({"/h": 200}) as server:
        probe = HttpProbe(config(url="/h", headers={"X-Token": "abc", "user-agent": "mine"}), context(server.url))
        await probe.check()
        await HttpProbe(config(url="/h", method="head"), context(server.url)).check()
    (method, _, first), (other_method, _, second) = server.requests
    assert (method, first["user-agent"], first["x-token"]) == ("GET", "mine", "abc")
    assert (other_method, second["user-agent"]) == ("HEAD", "outrider/0.0")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", first["traceparent"])


async def test_each_look_has_a_trace_and_a_connection_of_its_own() -> None:
    async with HttpServer({"/h": 200}) as server:
        probe = HttpProbe(config(url="/h"), context(server.url))
        await probe.check()
        await probe.check()
    assert len({headers["traceparent"] for _, _, headers in server.requests}) == 2


async def test_a_header_from_a_file_follows_the_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    async with HttpServer({"/h": 200}) as server:
        probe = HttpProbe(config(url="/h", headers={"X-Token": {"file": str(token)}}), context(server.url))
        missing = await probe.check()
        token.write_text("first\n")
        await probe.check()
        token.write_text("second, longer\n")
        await probe.check()
    assert missing.raw is State.UNKNOWN
    assert missing.output == f"not asked: [Errno 2] No such file or directory: '{token}'"
    assert [headers["x-token"] for _, _, headers in server.requests] == ["first", "second, longer"]


async def test_credentials_and_queries_are_sent_but_not_shown() -> None:
    async with HttpServer({"/h?token=abc": 500}) as server:
        address = f"http://user:hunter2@127.0.0.1:{server.port}/h?token=abc"
        assert await look(config(url=address)) == "fail: GET http://HOST/h: 500, expected 200-399"
        assert server.requests[0][2]["authorization"] == "Basic dXNlcjpodW50ZXIy"


async def test_a_long_body_is_read_only_so_far() -> None:
    long = (200, b"x" * (1 << 20) + b"ok")
    async with HttpServer({"/h": long}) as server:
        expect = {"body": {"contains": "ok"}, "json": [{"pointer": "", "equals": 1}]}
        assert await look(config(url="/h", expect=expect), server.url) == (
            'fail: GET http://HOST/h: 200; the body does not contain "ok"; the body is longer than 1048576 bytes'
        )


async def test_a_compressed_body_is_not_unfolded() -> None:
    bomb = gzip.compress(b"ok" * (32 << 20))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with HttpServer({"/h": head + bomb}) as server:
        result = await look(config(url="/h", expect={"body": {"contains": "okok"}}), server.url)
        assert result == 'fail: GET http://HOST/h: 200; the body does not contain "okok"'
        assert server.requests[0][2]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nT: 1\r\n\r\n", "200"),
        (b"HTTP/1.0 200 OK\r\n\r\nok", "200"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", '204; the body does not contain "ok"'),
        (b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nok", "101, expected 200-399; the body does not"),
    ],
)  # fmt: skip
async def test_every_way_to_end_a_body_is_understood(answer: bytes, said: str) -> None:
    async with HttpServer({"/h": answer}) as server:
        result = await look(config(url="/h", expect={"body": {"contains": "ok"}}), server.url)
        assert result.partition("http://HOST/h: ")[2].startswith(said)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\n\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-A: b\x01c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_that_every_browser_takes_is_no_failure(answer: bytes) -> None:
    """A line feed alone, a folded header, a control character in one, a length beside chunks: sloppy, and it serves."""
    async with HttpServer({"/h": answer}) as server:
        result = await look(config(url="/h", expect={"body": {"matches": "^ok$"}}), server.url)
        assert result == "pass: GET http://HOST/h: 200 in TIME"


async def test_head_has_no_body_whatever_its_length_says() -> None:
    async with HttpServer({"/h": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"}) as server:
        assert await look(config(url="/h", method="HEAD"), server.url) == "pass: HEAD http://HOST/h: 200 in TIME"


async def test_an_endless_answer_is_cut_at_once() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\nx\r\n" * 10_000)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await look(config(url=url)) == "pass: GET http://HOST/: 200 in TIME"


async def test_endless_headers_are_not_an_answer() -> None:
    async with HttpServer({"/h": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300_000}) as server:
        said = await look(config(url="/h"), server.url)
    assert said == "fail: HOST: the response is longer than 1048576 bytes"


async def test_a_request_is_what_http_asks_for() -> None:
    async with HttpServer({"/h%20%C3%BC?a=b": 200}) as server:
        await look(config(url="/h%20ü?a=b", method="POST"), server.url)
        await look(config(url="/h%20ü?a=b", headers={"Host": "shop.test"}), server.url)
    (_, _, first), (_, _, second) = server.requests
    assert (first["host"], first["connection"], first["content-length"]) == (
        f"127.0.0.1:{server.port}",
        "close",
        "0",
    )
    assert (second["host"], "content-length" in second) == ("shop.test", False)


async def test_a_header_from_a_file_with_a_line_break_is_not_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a\nX-Other: b")
    async with HttpServer({"/h": 200}) as server:
        said = await look(config(url="/h", headers={"X-Token": {"file": str(token)}}), server.url)
        assert said == "unknown: not asked: the value of header X-Token has a line break in it"
        assert server.requests == []


async def test_an_ipv6_address_is_asked_and_shown_in_brackets() -> None:
    async with HttpServer({"/h": 200}, "::1") as server:
        result = await HttpProbe(config(url=f"http://[::1]:{server.port}/h"), context()).check()
        assert result.output.startswith(f"GET http://[::1]:{server.port}/h: 200 in ")
        assert server.requests[0][2]["host"] == f"[::1]:{server.port}"


# What goes wrong on the way


async def test_a_refused_connection_fails() -> None:
    assert await look(config(url=f"http://127.0.0.1:{free_port()}/")) == "fail: connection refused by HOST"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "fail: HOST: the connection was closed without an answer"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
            "fail: HOST: the connection was closed in the middle of the answer",
        ),
        (b"-ERR wrong number of arguments\r\n", "fail: HOST: the answer is not HTTP ("),
    ],
)
async def test_an_answer_that_is_none_fails(answer: bytes, said: str) -> None:
    async with HttpServer({"/h": answer}) as server:
        assert (await look(config(url="/h"), server.url)).startswith(said)


async def test_a_reset_connection_fails() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        said = await look(config(url=f"http://127.0.0.1:{port}/"))
    assert said in ("fail: connection reset by HOST", "fail: HOST: the connection was closed without an answer")


def no_name(name: str) -> list[Address]:
    return []


def trouble(name: str) -> list[Address]:
    raise ResolverTrouble(name, "Temporary failure in name resolution")


async def test_a_name_that_does_not_exist_fails_and_resolver_trouble_is_unknown() -> None:
    settings = config(url="http://cache.local/")
    gone = await HttpProbe(settings, context(lookup=no_name)).check()
    assert (gone.raw, gone.output) == (State.FAIL, "name not found: cache.local")
    odd = await HttpProbe(settings, context(lookup=trouble)).check()
    assert (odd.raw, odd.output) == (
        State.UNKNOWN,
        "cannot resolve cache.local: Temporary failure in name resolution",
    )


async def test_a_resolver_without_an_answer_is_our_trouble_before_the_deadline() -> None:
    late = Event()

    def black_hole(name: str) -> list[Address]:
        late.wait(30)
        return []

    settings = config(url="http://cache.local/", timeout="50ms")
    result = await HttpProbe(settings, context(lookup=black_hole)).check()
    late.set()
    assert (result.raw, result.output) == (State.UNKNOWN, "cannot resolve cache.local: no answer within 40ms")


async def test_a_name_is_resolved_by_our_own_resolver() -> None:
    def here(name: str) -> list[Address]:
        return [Address(socket.AF_INET, "127.0.0.1")]

    async with HttpServer({"/h": 200}) as server:
        probe = HttpProbe(config(url=f"http://cache.local:{server.port}/h"), context(lookup=here))
        assert (await probe.check()).raw is State.PASS
        assert server.requests[0][2]["host"] == f"cache.local:{server.port}"


# Finding the endpoint


async def test_the_first_endpoint_that_answers_is_found_and_kept() -> None:
    async with HttpServer({"/-/ready": 200}) as server:
        probe = HttpProbe(config(), context(server.url))
        assert await trace(probe, 2) == ["GET http://HOST/-/ready: 200 in TIME"] * 2
        paths = [path for _, path, _ in server.requests]
    assert paths == ["/readyz", "/healthz", "/health", "/-/ready", "/-/ready"]


async def test_an_endpoint_that_says_no_is_an_endpoint() -> None:
    async with HttpServer({"/readyz": 401, "/healthz": 503, "/": 200}) as server:
        probe = HttpProbe(config(), context(server.url))
        assert await trace(probe, 1) == ["GET http://HOST/healthz: 503, expected 200-399"]


async def test_a_server_without_any_endpoint_is_up_while_it_answers() -> None:
    async with HttpServer({}) as server:
        probe = HttpProbe(config(), context(server.url))
        note = " (no health endpoint found: any answer below 500 counts)"
        assert await trace(probe, 2) == ["GET http://HOST/: 404 in TIME" + note] * 2
        assert len(server.requests) == 6
        server.answers["/"] = 502
        result = await probe.check()
        assert (result.raw, plain(result.output)) == (State.FAIL, "GET http://HOST/: 502, expected 100-499" + note)


async def test_an_endpoint_that_vanishes_is_looked_for_again() -> None:
    async with HttpServer({"/readyz": 200}) as server:
        probe = HttpProbe(config(), context(server.url))
        await probe.check()
        server.answers = {"/health": 200}
        assert await trace(probe, 1) == ["GET http://HOST/health: 200 in TIME"]


async def test_an_endpoint_that_comes_after_the_server_is_found() -> None:
    """A server that starts may answer 404 to everything; its health is not taken for fine for good."""
    async with HttpServer({}) as server:
        probe = HttpProbe(config(), context(server.url))
        await probe.check()
        server.answers = {"/": 200, "/health": 503}
        assert await trace(probe, 2) == ["GET http://HOST/health: 503, expected 200-399"] * 2


async def test_endpoints_are_looked_for_again_when_the_service_comes_back() -> None:
    """It may be another release."""
    port = free_port()
    async with HttpServer({"/": 200}, port=port) as server:
        probe = HttpProbe(config(), context(server.url))
        assert await trace(probe, 1) == ["GET http://HOST/: 200 in TIME"]
    assert await trace(probe, 1) == ["connection refused by HOST"]
    async with HttpServer({"/": 200, "/healthz": 503}, port=port):
        assert await trace(probe, 2) == ["GET http://HOST/healthz: 503, expected 200-399"] * 2


async def test_a_search_that_the_deadline_cuts_short_goes_on_at_the_next_look() -> None:
    async with HttpServer({"/health": 200}) as server:
        server.held = "/healthz"
        probe = HttpProbe(config(), context(server.url))
        looking = asyncio.create_task(probe.check())
        await until(lambda: len(server.requests) == 2)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        server.held = ""
        assert await trace(probe, 1) == ["GET http://HOST/health: 200 in TIME"]
        assert [path for _, path, _ in server.requests] == ["/readyz", "/healthz", "/healthz", "/health"]


async def test_a_path_in_the_targets_url_is_the_endpoint() -> None:
    async with HttpServer({"/status": 200}) as server:
        assert await look(config(), server.url + "/status") == "pass: GET http://HOST/status: 200 in TIME"


# TLS


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=test"
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    command = [require("openssl"), *line.split(), *name, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


async def test_certificates_are_verified_unless_told_otherwise(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        refused = await look(config(url=url))
        assert refused == "fail: certificate of HOST not accepted: self-signed certificate"
        assert await look(config(url=url, tls={"ca": str(cert)})) == "pass: GET https://HOST/: 200 in TIME"
        assert await look(config(url=url, tls={"verify": False})) == "pass: GET https://HOST/: 200 in TIME"
        assert (await look(config(url=url, tls={"ca": "/nowhere"}))).startswith("unknown: not asked: [Errno 2]")


async def test_tls_with_a_plain_server_fails() -> None:
    async def plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"-ERR unknown command\r\n")
        writer.close()

    server = await asyncio.start_server(plain_text, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert (await look(config(url=url))).startswith("fail: no TLS with HOST: ")


async def test_the_server_is_told_the_name_that_is_asked_for_but_never_an_address(
    certificate: tuple[Path, Path],
) -> None:
    names: list[str | None] = []
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certificate)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    tls.sni_callback = lambda _connection, name, _context: names.append(name)
    protocols: list[str | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    def here(name: str) -> list[Address]:
        return [Address(socket.AF_INET, "127.0.0.1")]

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host in ("Shop.Test.", "127.0.0.1"):
            settings = config(url=f"https://{host}:{port}/", tls={"verify": False})
            assert (await HttpProbe(settings, context(lookup=here)).check()).raw is State.PASS
        verified = config(url=f"https://shop.test:{port}/", tls={"ca": str(certificate[0])})
        wrong = await HttpProbe(verified, context(lookup=here)).check()
    assert names == ["shop.test", None, "shop.test"]
    assert protocols[:2] == ["http/1.1", "http/1.1"]
    assert (wrong.raw, "Hostname mismatch" in wrong.output) == (State.FAIL, True)


async def test_authorities_that_rotate_are_read_again(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    ca = tmp_path / "ca.pem"
    ca.write_text("")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        probe = HttpProbe(config(url=url, tls={"ca": str(ca)}), context())
        assert (await probe.check()).raw is State.UNKNOWN
        ca.write_bytes(self_signed(tmp_path)[0].read_bytes())
        assert (await probe.check()).raw is State.FAIL
        ca.write_bytes(certificate[0].read_bytes() + b"\n")
        assert (await probe.check()).raw is State.PASS


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_deadline_leaves_no_connection_behind(scheme: str) -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1000):
                pass
        except ConnectionError:
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        probe = HttpProbe(config(url=f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), context())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(probe.check(), 0.1)
        await asyncio.wait_for(gone.wait(), 5)


# Configuration


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"url": "readyz"}, ('test: url: "readyz" is not a URL, expected a URL such as http://127.0.0.1:8080/readyz, '
                             'or a path such as /readyz, did you mean "/readyz"?')),
        ({"method": "PUT"}, 'test: method: "PUT" is not known, expected GET, HEAD, POST or OPTIONS'),
        ({"expect": {"status": "2000"}},
         'test: expect.status: "2000" is not a status code or range, expected status codes such as 200, 200-399 or 2xx'),
    ],
)  # fmt: skip
def test_bad_settings_are_explained(tree: dict[str, Any], problem: str) -> None:
    made, problems = load(Config, tree, {}, "test")
    assert made is None
    assert list(map(str, problems)) == [problem]


async def test_a_check_without_a_host_is_a_config_error_and_never_fails() -> None:
    assert list(misses(config(url="/x"), None)) == [
        ("url", "no host: target.url is not configured", "a URL such as http://127.0.0.1:8080/readyz")
    ]
    assert [key for key, _, _ in misses(config(), "tcp://127.0.0.1:1")] == ["url"]
    assert list(misses(config(url="http://a/"), None)) == list(misses(config(), "http://a")) == []
    assert (await HttpProbe(config(), context(None)).check()).raw is State.UNKNOWN


def test_the_table_has_every_kind() -> None:
    assert sorted(PROBES) == ["http", "log", "process", "tcp"]


def test_a_look_never_imports_aiohttp() -> None:
    code = (
        "import asyncio, sys; from sidecar.probes.http import Config, HttpProbe; "
        "from tests.sidecar.probes.support import context; "
        "print(asyncio.run(HttpProbe(Config(url='http://127.0.0.1:1/'), context()).check()).output, "
        "'aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "connection refused by 127.0.0.1:1 False\n"


async def test_headers_of_the_answer_are_conditions() -> None:
    async with HttpServer({"/": 200}) as server:
        there = config(url="/", expect={"headers": [{"name": "content-length", "matches": r"^\d+$"}]})
        assert await look(there, server.url) == "pass: GET http://HOST/: 200 in TIME"
        missing = config(url="/", expect={"headers": [{"name": "X-Version"}]})
        assert await look(missing, server.url) == "fail: GET http://HOST/: 200; the header X-Version is missing"
