"""The command, as it is run: a real process beside a real server."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.daemon.daemon import QUIET
from tests.e2e.processes import ROOT, eventually, get, outrider, running
from tests.ports import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """Python's own web server: nobody here wrote it."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with running(command, tmp_path / "server.log"):
        eventually(lambda: get(f"http://127.0.0.1:{port}/").status == 200)
        yield port


def run(*args: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        outrider(*args), cwd=ROOT, env=environ or {"HOSTNAME": "h"}, capture_output=True, text=True, timeout=50
    )


def post(url: str, body: bytes) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def environ(api: int, otlp: int, **more: str) -> dict[str, str]:
    return {
        "OUTRIDER_API_LISTEN": f"127.0.0.1:{api}",
        "OUTRIDER_OTLP_GRPC": "127.0.0.1:0",
        "OUTRIDER_OTLP_HTTP": f"127.0.0.1:{otlp}",
        **more,
    }


def test_check_says_what_it_sees_and_exits_by_the_verdict(server: int) -> None:
    done = run("check", "--target", f"http://127.0.0.1:{server}")
    assert done.returncode == 0, done.stderr
    assert f"http   http  readiness  pass   GET http://127.0.0.1:{server}/: 200 in" in done.stdout
    assert f"(listens on port {server})" in done.stdout
    assert done.stdout.endswith("verdict: pass\n")

    closed = free_port()
    done = run("check", "--target", f"http://127.0.0.1:{closed}")
    assert done.returncode == 2
    assert f"FAIL   connection refused by 127.0.0.1:{closed}" in done.stdout
    assert f"process: not found (no process listens on port {closed})" in done.stdout

    assert run("check").returncode == 3, "nothing to look at is unknown"


def test_one_look_knows_nothing_of_logs_and_its_verdict_is_that_of_the_other_checks(
    server: int, tmp_path: Path
) -> None:
    config = tmp_path / "outrider.yaml"
    config.write_text(
        f"target: {{url: 'http://127.0.0.1:{server}/'}}\nlogs: [{{file: {tmp_path}/*.log}}]\n"
        "probes: {up: {kind: http}, panics: {kind: log}}\n"
    )
    done = run("check", "--config", str(config))
    assert done.returncode == 0
    assert "logs are read by a sidecar that runs" in done.stdout


def test_a_bad_configuration_is_told_whole_and_exits_78(tmp_path: Path) -> None:
    file = tmp_path / "outrider.yaml"
    file.write_text("drain: 5\ntarget: {url: x}\n")
    for command in ("run", "check", "config", "validate"):
        done = run(command, "--config", str(file))
        assert done.returncode == 78
        assert done.stderr.splitlines()[-1] == "outrider: 2 problems in the configuration"
        assert f"{file}: drain: 5 has no unit" in done.stderr
        assert done.stdout == ""


def test_validate_and_config_agree(tmp_path: Path) -> None:
    file = tmp_path / "outrider.yaml"
    file.write_text("target: {url: 'http://127.0.0.1:1'}\n")
    assert run("validate", "--config", str(file)).stdout == "ok: 1 check, 0 upstreams, 0 log sources\n"
    shown = run("config", "--config", str(file), environ={"OUTRIDER_DRAIN": "1s", "OUTRIDER_NONE": "x"})
    rows = {line.split(": ")[0]: " ".join(line.split()) for line in shown.stdout.splitlines()}
    assert rows["target.url"] == f"target.url: http://127.0.0.1:1 # {file}"
    assert rows["drain"] == "drain: 1s # environment OUTRIDER_DRAIN"
    assert shown.stderr == "warning: environment OUTRIDER_NONE: unknown variable\n"


def test_a_misspelt_variable_is_said_by_validate_and_by_run(tmp_path: Path) -> None:
    told = 'environment OUTRIDER_DRIAN: unknown variable, did you mean "OUTRIDER_DRAIN"?'
    assert run("validate", environ={"OUTRIDER_DRIAN": "1s"}).stderr == f"warning: {told}\n"
    log = tmp_path / "log"
    with running(outrider("run"), log, environ(free_port(), free_port(), OUTRIDER_DRIAN="1s")):
        eventually(lambda: "outrider runs" in log.read_text())
    first = json.loads(log.read_text().splitlines()[0])
    assert (first["event"], first["level"], first["warning"]) == ("configuration", "warning", told)


def test_idle_on_bad_configuration_lives_and_tells_why(tmp_path: Path) -> None:
    port = free_port()
    settings = {"OUTRIDER_API_LISTEN": f"127.0.0.1:{port}", "OUTRIDER_DRAIN": "soon"}
    with running(outrider("run", "--on-bad-config", "idle"), tmp_path / "log", settings) as sidecar:
        eventually(lambda: get(f"http://127.0.0.1:{port}/livez").status == 200)
        assert get(f"http://127.0.0.1:{port}/readyz").status == 503
        assert (
            'environment OUTRIDER_DRAIN: drain: "soon"'
            in json.loads(get(f"http://127.0.0.1:{port}/status").text)["problems"][0]
        )
        sidecar.terminate()
        assert sidecar.wait(20) == 0


def test_healthcheck_asks_livez_and_imports_nothing_heavy(server: int) -> None:
    assert run("healthcheck", f"http://127.0.0.1:{server}/").returncode == 0
    missing = run("healthcheck", f"http://127.0.0.1:{server}/nothing")
    assert (missing.returncode, missing.stderr.split(": ", 2)[2]) == (1, "HTTP/1.0 404 File not found\n")
    closed = free_port()
    refused = run("healthcheck", environ={"OUTRIDER_API_LISTEN": f"0.0.0.0:{closed}"})
    assert (refused.returncode, refused.stderr) == (
        1,
        f"healthcheck: http://127.0.0.1:{closed}/livez: Connection refused\n",
    )
    assert run("healthcheck", "nonsense").returncode == 64
    program = (
        "import sys; from sidecar.cli import main; main(['healthcheck', 'http://127.0.0.1:1/']); print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=50)
    heavy = {"asyncio", "aiohttp", "uvloop", "msgspec", "yaml", "psutil", "ssl", "http", "argparse", "structlog"}
    assert not heavy & set(modules.stdout.split())


def test_healthcheck_of_what_can_be_no_host_is_one_line() -> None:
    done = run("healthcheck", "http://a..b:80/livez")
    assert (done.returncode, done.stderr) == (1, "healthcheck: http://a..b:80/livez: no such host\n")


def test_run_says_what_it_found_and_logs_a_transition_once(server: int, tmp_path: Path) -> None:
    api, log = free_port(), tmp_path / "log"
    settings = environ(api, free_port(), OUTRIDER_SERVICE_NAME="files")
    with running(outrider("run", "--target", f"http://127.0.0.1:{server}"), log, settings) as sidecar:
        eventually(lambda: get(f"http://127.0.0.1:{api}/health").status == 200)
        time.sleep(0.5)
        sidecar.send_signal(signal.SIGINT)
        assert sidecar.wait(20) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    events = [line["event"] for line in lines]
    expected = ["check changed", "no logs are read", "otlp closed", "outrider runs", "process found", "stopped"]
    assert sorted(events) == expected
    assert events[-1] == "stopped"
    said = dict(zip(events, lines, strict=True))
    assert said["outrider runs"]["service"] == "files"
    assert said["outrider runs"]["target"] == f"http://127.0.0.1:{server}"
    assert said["process found"]["why"] == f"listens on port {server}"
    assert list(lines[0])[:3] == ["timestamp", "level", "event"]


def test_a_taken_port_degrades_that_listener_and_is_retried(server: int, tmp_path: Path) -> None:
    api, otlp = free_port(), free_port()
    settings = environ(api, otlp, OUTRIDER_COLLECTOR_URL="http://127.0.0.1:9", OUTRIDER_DRAIN="0s")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", otlp))
        taken.listen()
        with running(outrider("run", "--target", f"http://127.0.0.1:{server}"), tmp_path / "log", settings):
            eventually(lambda: get(f"http://127.0.0.1:{api}/readyz").status == 503)
            why = f"cannot listen on 127.0.0.1:{otlp}: the port is taken by another process\n"
            assert get(f"http://127.0.0.1:{api}/readyz").text == why
            eventually(lambda: get(f"http://127.0.0.1:{api}/health").status == 200)  # the neighbour's is not touched
            taken.close()
            eventually(lambda: get(f"http://127.0.0.1:{api}/readyz").status == 200)


def test_sigterm_keeps_the_listeners_open_while_the_service_runs(server: int, tmp_path: Path) -> None:
    api = free_port()
    settings = environ(api, free_port(), OUTRIDER_DRAIN="10m", OUTRIDER_COLLECTOR_URL="http://127.0.0.1:9")
    with running(outrider("run", "--target", f"http://127.0.0.1:{server}"), tmp_path / "log", settings) as sidecar:
        eventually(lambda: get(f"http://127.0.0.1:{api}/health").status == 200)
        sidecar.terminate()
        eventually(lambda: '"draining"' in (tmp_path / "log").read_text())
        time.sleep(3 * QUIET)
        assert get(f"http://127.0.0.1:{api}/livez").status == 200
        assert sidecar.poll() is None
        sidecar.terminate()  # the second ends it at once
        assert sidecar.wait(20) == 1


def test_closed_standard_files_end_no_sidecar(tmp_path: Path) -> None:
    api = free_port()
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *outrider("run")]
    with running(command, tmp_path / "log", environ(api, free_port())) as sidecar:
        eventually(lambda: get(f"http://127.0.0.1:{api}/livez").status == 200)
        sidecar.terminate()
        assert sidecar.wait(20) == 0


def test_sigterm_ends_soon_after_the_service_has_gone(tmp_path: Path) -> None:
    port, api = free_port(), free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(command, tmp_path / "server.log") as server:
        eventually(lambda: get(f"http://127.0.0.1:{port}/").status == 200)
        settings = environ(api, free_port(), OUTRIDER_DRAIN="10m", OUTRIDER_COLLECTOR_URL="http://127.0.0.1:9")
        with running(outrider("run", "--target", f"http://127.0.0.1:{port}"), tmp_path / "log", settings) as sidecar:
            eventually(lambda: get(f"http://127.0.0.1:{api}/health").status == 200)
            server.kill()
            server.wait()
            sidecar.terminate()
            assert sidecar.wait(30) == 0


def test_the_sidecar_never_imports_what_costs_too_much(server: int, tmp_path: Path) -> None:
    """Also not while it checks by HTTP, forwards, beats and is asked: aiohttp is for TLS upstreams and proxies alone."""
    program = (
        "import sys, sidecar.daemon.daemon, sidecar.api, sidecar.config; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'grpc', 'google', 'pydantic', 'rich', 'aiohttp', "
        "'prometheus_client', 'sqlite3', 'opentelemetry'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.stdout == "[]\n", "prometheus_client comes when it is scraped"

    api, otlp, url = free_port(), free_port(), f"http://127.0.0.1:{server}"
    settings = environ(api, otlp, OUTRIDER_COLLECTOR_URL=url, OUTRIDER_DRAIN="0s")
    with running(outrider("run", "--target", url), tmp_path / "log", settings) as sidecar:
        eventually(lambda: get(f"http://127.0.0.1:{api}/health").status == 200)
        assert post(f"http://127.0.0.1:{otlp}/v1/traces", b"\n\4\x12\2\x12\0") == 503, "the upstream takes no POST"
        eventually(lambda: json.loads(get(f"http://127.0.0.1:{api}/status").text)["collector"]["failed"])
        (upstream,) = json.loads(get(f"http://127.0.0.1:{api}/status").text)["relay"]
        assert upstream["held_signals"]["traces"] == "HTTP 501"
        assert get(f"http://127.0.0.1:{api}/metrics").status == 200
        maps = Path(f"/proc/{sidecar.pid}/maps").read_text()
    assert "/httptools/" in maps, "else this would prove nothing"
    assert [name for name in ("aiohttp", "yarl", "multidict", "frozenlist", "sqlite3") if f"/{name}" in maps] == []


def test_version_and_help() -> None:
    assert run("--version").stdout == "outrider 0.1.0\n"
    assert "healthcheck" in run("--help").stdout
    assert run("nonsense").returncode == 64
    alone = run()
    assert (alone.returncode, alone.stderr.split("\n")[0]) == (64, "usage: outrider [-h] [--version] COMMAND ...")
    assert "healthcheck" in alone.stderr, "all commands are named"
    assert run("check", "--targt", "x").returncode == 64, "2 would be the verdict fail"
