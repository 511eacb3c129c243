"""TLS, certificates of clients and tokens through real sidecars, with the OpenTelemetry SDK's exporters, curl and openssl."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from tests.certificates import Authority
from tests.e2e.processes import eventually, outrider, running
from tests.fakes import RecordingUpstream
from tests.ports import free_port
from tests.real import require


class Sidecar(NamedTuple):
    http: int
    grpc: int
    api: int
    log: Path

    def status(self, context: ssl.SSLContext | None = None) -> Any:
        scheme = "https" if context else "http"
        request = urllib.request.Request(
            f"{scheme}://127.0.0.1:{self.api}/status", headers={"Authorization": "Bearer reader"}
        )
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return json.load(answer)

    def said(self, text: str) -> bool:
        return text in self.log.read_text()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(autouse=True)
def _no_bundle_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's HTTP exporter would believe it, in place of the authorities that it was given."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


@asynccontextmanager
async def sidecar(folder: Path, config: dict[str, Any]) -> AsyncIterator[Sidecar]:
    """A process; ports are put into `config`, of which each part is in its long form."""
    folder.mkdir(exist_ok=True)
    made = Sidecar(free_port(), free_port(), free_port(), folder / "log")
    otlp = config.setdefault("otlp", {})
    otlp.setdefault("grpc", {})["listen"] = f"127.0.0.1:{made.grpc}"
    otlp.setdefault("http", {})["listen"] = f"127.0.0.1:{made.http}"
    config.setdefault("api", {})["listen"] = f"127.0.0.1:{made.api}"
    config |= {"metrics": {"interval": "10m"}, "drain": "100ms"}
    file = folder / "outrider.yaml"
    file.write_text(json.dumps(config))  # which is YAML
    with running(outrider("run", "--config", str(file)), made.log):
        await asyncio.to_thread(eventually, lambda: made.said("outrider runs"))
        yield made
    assert not made.said("Traceback"), made.log.read_text()


def identity(authority: Authority, *names: str) -> dict[str, str]:
    cert, key = authority.issue(*names)
    return {"cert": str(cert), "key": str(key)}


def send(exporter: SpanExporter, name: str) -> SpanExportResult:
    results = []

    class Noting(SimpleSpanProcessor):
        def on_end(self, span: Any) -> None:
            results.append(self.span_exporter.export((span,)))

    provider = TracerProvider()
    provider.add_span_processor(Noting(exporter))
    provider.get_tracer("t").start_span(name).end()
    provider.shutdown()
    return results[0]


async def test_exporters_over_mtls_through_two_sidecars_to_a_backend_over_mtls(
    authority: Authority, tmp_path: Path
) -> None:
    """HTTP and gRPC in, gRPC between the two, HTTP out: each with certificates on both sides, and a token that only one has."""
    tokens = tmp_path / "tokens"
    tokens.write_text("old\nnew\n")
    first_tls = {**identity(authority), "client_ca": str(authority.ca)}
    us = identity(authority, "us")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(RecordingUpstream(authority.server(verify_clients=True)))
        to_backend = {"endpoint": upstream.url, "tls": {"ca": str(authority.ca), **us}}
        second = await stack.enter_async_context(
            sidecar(
                tmp_path / "second",
                {
                    "otlp": {"grpc": {"tls": first_tls, "token": {"file": str(tokens)}}},
                    "export": [{"otlp_http": to_backend}],
                },
            )
        )
        to_second = {
            "endpoint": f"https://localhost:{second.grpc}",
            "tls": {"ca": str(authority.ca), **us},
            "headers": {"authorization": "Bearer new"},
        }
        first = await stack.enter_async_context(
            sidecar(
                tmp_path / "first",
                {
                    "otlp": {"grpc": {"tls": first_tls}, "http": {"tls": first_tls}},
                    "export": [{"otlp_grpc": to_second}],
                },
            )
        )
        http = OTLPSpanExporter(
            f"https://localhost:{first.http}/v1/traces",
            certificate_file=str(authority.ca),
            client_certificate_file=us["cert"],
            client_key_file=us["key"],
        )
        credentials = grpc.ssl_channel_credentials(
            authority.ca.read_bytes(), Path(us["key"]).read_bytes(), Path(us["cert"]).read_bytes()
        )
        rpc = GrpcSpanExporter(f"https://localhost:{first.grpc}", credentials=credentials)
        for exporter, name in ((http, "over http"), (rpc, "over grpc")):
            assert await asyncio.to_thread(send, exporter, name) is SpanExportResult.SUCCESS
        assert sorted(span.name for _, span in upstream.spans) == ["over grpc", "over http"]


async def test_a_token_and_a_certificate_that_rotate_need_no_restart(authority: Authority, tmp_path: Path) -> None:
    cert, key, tokens = tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "tokens"

    def rotate(*names: str) -> None:
        for new, place in zip(authority.issue(*names), (cert, key), strict=True):
            shutil.copy(new, tmp_path / "new")
            os.replace(tmp_path / "new", place)

    def exporter(token: str) -> OTLPSpanExporter:
        return OTLPSpanExporter(
            f"https://localhost:{running_one.http}/v1/traces",
            certificate_file=str(authority.ca),
            headers={"authorization": f"Bearer {token}"},
        )

    rotate("localhost")
    tokens.write_text("one\n")
    tls = {"cert": str(cert), "key": str(key)}
    async with RecordingUpstream() as upstream:
        http = {"tls": tls, "token": {"file": str(tokens)}}
        config = {"otlp": {"http": http}, "export": [{"otlp_http": {"endpoint": upstream.url}}]}
        async with sidecar(tmp_path / "s", config) as running_one:
            assert await asyncio.to_thread(send, exporter("one"), "a") is SpanExportResult.SUCCESS
            assert await asyncio.to_thread(send, exporter("two"), "b") is SpanExportResult.FAILURE
            tokens.write_text("one\ntwo\n")
            assert await asyncio.to_thread(send, exporter("two"), "c") is SpanExportResult.SUCCESS
            rotate("localhost", "127.0.0.1")
            curl = [require("curl"), "-sS", "--cacert", str(authority.ca), "-o", "/dev/null", "-w", "%{http_code}"]
            url = f"https://127.0.0.1:{running_one.http}/v1/traces"
            done = await asyncio.to_thread(subprocess.run, [*curl, url], capture_output=True, text=True, timeout=30)
            assert (done.stdout, done.stderr) == ("401", "")
            key.write_text("-----BEGIN PRIVATE KEY-----\nbroken")
            await asyncio.to_thread(eventually, lambda: running_one.said("file not usable"))
            (listener,) = [each for each in running_one.status()["listeners"] if each["name"] == "otlp http"]
            assert listener["warning"].endswith("; the certificate before it stays in force")
            assert await asyncio.to_thread(send, exporter("two"), "d") is SpanExportResult.SUCCESS
            rotate("localhost")
            await asyncio.to_thread(eventually, lambda: running_one.said("files are usable again"))
        assert [span.name for _, span in upstream.spans] == ["a", "c", "d"]
        assert running_one.log.read_text().count("file not usable") == 1


async def test_who_gets_it_wrong_is_told_or_the_log_is(authority: Authority, tmp_path: Path) -> None:
    """No certificate, another authority's, plain HTTP to TLS, TLS to a plain port, another protocol, another host name."""
    stranger = Authority(tmp_path / "theirs")
    tls = {**identity(authority, "localhost"), "client_ca": str(authority.ca)}
    config = {
        "otlp": {"grpc": {"tls": tls}},
        "api": {"tls": identity(authority), "token": "reader"},
        "export": [{"otlp_http": {"endpoint": "https://127.0.0.1:9", "tls": {"ca": str(authority.ca)}}}],
    }
    us, them = authority.issue("us"), stranger.issue("them")

    async def openssl(port: int, *arguments: str | Path) -> str:
        line = [require("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", authority.ca, *arguments]
        done = await asyncio.to_thread(
            subprocess.run, line, input="", capture_output=True, text=True, timeout=30, check=False
        )
        return str(done.stdout + done.stderr)

    async def curl(url: str, *arguments: str | Path) -> str:
        line = [require("curl"), "-sS", "--cacert", authority.ca, *arguments, url]
        done = await asyncio.to_thread(subprocess.run, line, capture_output=True, text=True, timeout=30, check=False)
        return str(done.stdout + done.stderr)

    async with sidecar(tmp_path / "s", config) as made:
        identity_of_us = ("-cert", us[0], "-key", us[1])
        agreed = await openssl(made.grpc, *identity_of_us, "-alpn", "h2", "-verify_hostname", "localhost")
        assert "ALPN protocol: h2" in agreed
        assert "Verify return code: 0 (ok)" in agreed
        # A client that speaks only HTTP/1.1 is told where it belongs.
        with_us = ("--cert", us[0], "--key", us[1])
        told = await curl(f"https://localhost:{made.grpc}/v1/traces", "--http1.1", *with_us)
        assert told == "this port speaks gRPC; OTLP/HTTP is on 4318\n"
        assert "no alternative certificate subject name" in await curl(f"https://127.0.0.1:{made.grpc}/", *with_us)
        await curl(f"https://localhost:{made.grpc}/")
        await curl(f"https://localhost:{made.grpc}/", "--cert", them[0], "--key", them[1])
        await curl(f"http://localhost:{made.grpc}/")
        assert "wrong version number" in await curl(f"https://127.0.0.1:{made.http}/v1/traces")
        assert await curl(f"https://127.0.0.1:{made.api}/livez") == "ok\n"
        alive = outrider("healthcheck", f"https://127.0.0.1:{made.api}/livez")
        assert (await asyncio.to_thread(subprocess.run, alive, timeout=30)).returncode == 0
        assert '"status":401' in await curl(f"https://127.0.0.1:{made.api}/metrics")
        context = ssl.create_default_context(cafile=authority.ca)

        def refused(why: str) -> bool:
            listeners = {each["name"]: each for each in made.status(context)["listeners"]}
            return any(reason.startswith(why) for reason in listeners["otlp grpc"]["refused_handshakes"])

        for why in (
            "the client shows no certificate",
            "the client does not speak TLS, but plain HTTP",
            "the client's certificate is not accepted: ",
        ):
            await asyncio.to_thread(eventually, partial(refused, why))
        await asyncio.to_thread(eventually, lambda: made.said("the client does not speak TLS, but plain HTTP"))


async def test_an_upstream_of_another_authority_is_told_and_nothing_is_lost(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "theirs")
    ca = tmp_path / "ca.pem"
    shutil.copy(other.ca, ca)
    async with RecordingUpstream(authority.server()) as upstream:
        config = {
            "export": [{"otlp_http": {"endpoint": upstream.url, "tls": {"ca": str(ca)}}}],
            "spool": {"path": str(tmp_path / "spool")},
        }
        async with sidecar(tmp_path / "s", config) as made:
            exporter = OTLPSpanExporter(f"http://127.0.0.1:{made.http}/v1/traces")
            assert await asyncio.to_thread(send, exporter, "kept") is SpanExportResult.SUCCESS
            where = upstream.url.removeprefix("https://")
            await asyncio.to_thread(eventually, lambda: made.said(f"certificate of {where} not accepted"))
            shutil.copy(authority.ca, ca)
            await asyncio.to_thread(eventually, lambda: upstream.spans)
        assert [span.name for _, span in upstream.spans] == ["kept"]


async def test_heartbeats_and_telemetry_reach_a_collector_over_mtls(authority: Authority, tmp_path: Path) -> None:
    http, rpc = free_port(), free_port()
    theirs, ours = identity(authority), identity(authority, "us")
    command = [sys.executable, "-m", "sidecar", "collector", "--listen", f"127.0.0.1:{http}"]
    command += ["--grpc", f"127.0.0.1:{rpc}", "--cert", theirs["cert"], "--key", theirs["key"]]
    log = tmp_path / "collector.log"
    with running([*command, "--client-ca", str(authority.ca)], log):
        await asyncio.to_thread(eventually, lambda: "collector listens" in log.read_text())
        collector = {"url": f"https://localhost:{http}", "tls": {"ca": str(authority.ca), **ours}}
        config = {"service": {"name": "checkout"}, "collector": collector}
        async with sidecar(tmp_path / "s", config) as made:
            exporter = OTLPSpanExporter(f"http://127.0.0.1:{made.http}/v1/traces")
            assert await asyncio.to_thread(send, exporter, "seen") is SpanExportResult.SUCCESS
            context = ssl.create_default_context(cafile=authority.ca)
            context.load_cert_chain(ours["cert"], ours["key"])

            def asked(path: str) -> str:
                with urllib.request.urlopen(f"https://localhost:{http}{path}", timeout=20, context=context) as answer:
                    return str(answer.read().decode())

            await asyncio.to_thread(eventually, lambda: '"checkout"' in asked("/v1/services"))
            assert '"seen"' in await asyncio.to_thread(asked, "/v1/traces")
            stranger = ssl.create_default_context(cafile=authority.ca)
            with pytest.raises(OSError, match=r"."):
                await asyncio.to_thread(
                    urllib.request.urlopen, f"https://localhost:{http}/v1/services", timeout=20, context=stranger
                )
            await asyncio.to_thread(eventually, lambda: "the client shows no certificate" in log.read_text())
    assert "Traceback" not in log.read_text()


def test_a_sidecar_with_files_that_cannot_be_used_does_not_start(tmp_path: Path) -> None:
    environ = {**os.environ, "OUTRIDER_API_TLS_CERT": "/nowhere/tls.crt", "OUTRIDER_API_TLS_KEY": "/nowhere/tls.key"}
    done = subprocess.run(outrider("run"), env=environ, capture_output=True, text=True, timeout=50)
    what = "No such file or directory, expected a readable PEM file"
    assert (done.returncode, done.stderr.splitlines()) == (
        78,
        [
            f"environment OUTRIDER_API_TLS_CERT: api.tls.cert: /nowhere/tls.crt: {what}",
            f"environment OUTRIDER_API_TLS_KEY: api.tls.key: /nowhere/tls.key: {what}",
            "outrider: 2 problems in the configuration",
        ],
    )
