"""The command: settings, a real process, kill -9."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.app import Settings, settings_from
from sidecar.config import load
from sidecar.logic.scalars import Address
from sidecar.logic.schema import Problem
from sidecar.model.heartbeat import Heartbeat

from .sidecars import check, full

ROOT = Path(__file__).parents[2]
START = "import sys; from collector.app import main; sys.exit(main(sys.argv[1:]))"


HTTP, GRPC = Address("127.0.0.1", 4320), Address("127.0.0.1", 4321)


def test_flags_come_before_the_environment_before_defaults() -> None:
    assert settings_from([], {}) == Settings(HTTP, GRPC, ":memory:")
    environ = {"OUTRIDER_COLLECTOR_LISTEN": "[::1]:1", "OUTRIDER_COLLECTOR_DB": "/a"}
    assert settings_from([], environ) == Settings(Address("::1", 1), GRPC, "/a")
    assert settings_from(["--listen", "127.0.0.1:2"], environ) == Settings(Address("127.0.0.1", 2), GRPC, "/a")
    environ = {"OUTRIDER_COLLECTOR_TOKEN_FILE": "/t", "OUTRIDER_COLLECTOR_GRPC": "[::1]:2"}
    assert settings_from([], environ) == Settings(HTTP, Address("::1", 2), ":memory:", "/t")
    flags = ["--token-file", "/u", "--grpc", "127.0.0.1:3"]
    assert settings_from(flags, environ) == Settings(HTTP, Address("127.0.0.1", 3), ":memory:", "/u")


def test_a_sidecar_takes_no_offence_at_the_collectors_variables() -> None:
    names = ("LISTEN", "GRPC", "DB", "TOKEN_FILE", "CERT", "KEY", "CLIENT_CA")
    loaded = load({}, {"HOSTNAME": "h", **{f"OUTRIDER_COLLECTOR_{name}": "x" for name in names}}, None)
    assert [warning for warning in loaded.warnings if "OUTRIDER_COLLECTOR" in warning] == []


def test_what_kubernetes_sets_for_a_service_is_not_ours() -> None:
    environ = {"OUTRIDER_COLLECTOR_LISTEN": "tcp://10.0.0.7:4320", "OUTRIDER_COLLECTOR_DB": "udp://10.0.0.7:1"}
    assert settings_from([], environ) == Settings(HTTP, GRPC, ":memory:")


@pytest.mark.parametrize(
    ("argv", "environ", "problem"),
    [
        (
            ["--listen", "4320"],
            {},
            (
                'flag --listen: "4320" has no host, expected host:port such as 127.0.0.1:4320, '
                'did you mean "127.0.0.1:4320"?'
            ),
        ),
        (
            [],
            {"OUTRIDER_COLLECTOR_LISTEN": "here:99999"},
            (
                "environment OUTRIDER_COLLECTOR_LISTEN: port 99999 is above 65535, "
                "expected host:port such as 127.0.0.1:4320"
            ),
        ),
        (
            ["--grpc", "127.0.0.1:4320"],
            {},
            "flag --grpc: 127.0.0.1:4320 is --listen too, expected another host or port",
        ),
        (
            ["--client-ca", "/ca"],
            {"OUTRIDER_COLLECTOR_KEY": "/k"},
            "environment OUTRIDER_COLLECTOR_KEY: not enough for TLS, expected a certificate and its key (--cert, --key)",
        ),
        (["--db", ""], {}, 'flag --db: "" is not a file, expected a path, or :memory:'),
    ],
)
def test_bad_settings_are_told_in_a_line(argv: list[str], environ: dict[str, str], problem: str) -> None:
    found = settings_from(argv, environ)
    assert isinstance(found, Problem)
    assert str(found) == problem


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)


def test_bad_settings_and_files_exit_78(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("not a database, but long enough to look at" * 20)
    done = run("--listen", "127.0.0.1:0", "--db", str(tmp_path / "db"))
    assert (done.returncode, done.stderr) == (
        78,
        f"outrider collector: --db: {tmp_path}/db: file is not a database\n",
    )
    assert run("--listen", "nowhere").returncode == 78


def test_a_token_file_that_cannot_be_used_exits_78(tmp_path: Path) -> None:
    done = run("--listen", "127.0.0.1:0", "--token-file", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stderr) == (
        78,
        f"outrider collector: --token-file: [Errno 2] No such file or directory: '{tmp_path}/nowhere'\n",
    )
    (tmp_path / "empty").write_text("\n")
    done = run("--listen", "127.0.0.1:0", "--token-file", str(tmp_path / "empty"))
    assert (done.returncode, done.stderr) == (
        78,
        f"outrider collector: --token-file: {tmp_path}/empty is empty, expected a token\n",
    )


def test_certificate_files_that_cannot_be_used_exit_78_with_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("")
    done = run("--cert", str(tmp_path / "cert"), "--key", str(tmp_path / "key"))
    assert (done.returncode, done.stderr.splitlines()) == (
        78,
        [
            f"outrider collector: --cert: {tmp_path}/cert: No such file or directory",
            f"outrider collector: --key: {tmp_path}/key holds no PEM of a private key",
        ],
    )


def without_protobuf(*argv: str) -> subprocess.CompletedProcess[str]:
    """The command where the extra is not installed."""
    hidden = "import sys; sys.modules.update({'google': None, 'google.protobuf': None, 'opentelemetry': None}); "
    command = [sys.executable, "-c", hidden + START, *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)


def test_help_and_bad_settings_need_no_extra() -> None:
    done = without_protobuf("--help")
    assert (done.returncode, done.stdout[:26]) == (0, "usage: outrider collector ")
    assert without_protobuf("--listen", "nowhere").returncode == 78
    assert without_protobuf("--nonsense").returncode == 2
    done = without_protobuf("--listen", "127.0.0.1:0")
    assert (done.returncode, done.stderr) == (
        1,
        "outrider collector: opentelemetry-proto is not installed; pip install 'outrider[collector]'\n",
    )


@contextmanager
def process(db: Path, *under: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A collector with ports of its own, started by `under`; its base URL is read from its log."""
    options = ["--listen", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--db", str(db)]
    command = [*under, sys.executable, "-c", START, *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ}) as child:
        try:
            assert child.stderr is not None
            said = json.loads(child.stderr.readline())
            assert said["event"] == "collector listens"
            yield child, said["url"]
        finally:
            child.kill()


def ask(url: str, beat: Heartbeat | None = None) -> Any:
    body = msgspec.json.encode(beat) if beat else None
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=20) as response:
        return json.load(response)


def test_a_killed_collector_comes_back_with_its_events_and_since(tmp_path: Path) -> None:
    db = tmp_path / "fleet.db"
    failing = [check("tcp", "-", "connection refused", since=5)]
    with process(db) as (child, url):
        ask(f"{url}/v1/heartbeats", full("shop-1", 1, failing))
        before = ask(f"{url}/v1/events")["events"]
        assert [event["kind"] for event in before] == ["joined", "joined", "status"]
        child.send_signal(signal.SIGKILL)
        child.wait(20)
    with process(db) as (child, url):
        assert ask(f"{url}/v1/events")["events"] == before
        (service,) = ask(f"{url}/v1/services")["services"]
        assert (service["status"], service["flags"]) == ("unknown", ["stale"])
        assert ask(f"{url}/v1/heartbeats", full("shop-1", 9, failing))["resync"] is False
        (service,) = ask(f"{url}/v1/services")["services"]
        assert (service["status"], service["since"]) == ("fail", "2023-11-14T22:13:25Z")
        assert ask(f"{url}/v1/events")["events"] == before
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0


def test_every_sidecar_keeps_a_connection_so_the_low_default_of_descriptors_is_raised(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with process(tmp_path / "db", "sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh") as (child, _):
        assert resource.prlimit(child.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_port_that_is_taken_ends_the_command_with_the_reason(tmp_path: Path) -> None:
    with process(tmp_path / "db") as (_, url):
        match = re.search(r"127.0.0.1:\d+", url)
        assert match is not None
        address = match[0]
        done = run("--listen", address)
        assert (done.returncode, done.stderr) == (
            1,
            f"outrider collector: cannot listen on {address}: the port is taken by another process\n",
        )
