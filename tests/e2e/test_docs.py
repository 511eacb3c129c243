"""The documentation runs: README's commands against a server that nobody here wrote, every YAML block, every link."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sidecar.config import load
from sidecar.io.spool_file import SpoolFile
from sidecar.model.signals import Batch, Signal
from sidecar.model.spool import Row
from tests.certificates import Authority
from tests.e2e.processes import ROOT, eventually, get, outrider, running
from tests.ports import free_port
from tests.real import require

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("bench/*.md")])
FENCE = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def block(page: str, label: str) -> str:
    """The one fenced block of `page` with this label."""
    (found,) = (body for kind, name, body in FENCE.findall((ROOT / page).read_text()) if name == label and kind == "sh")
    return str(found)


def test_the_reference_pages_are_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What examples name below /etc/outrider/tls."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "authority")
    for made, name in zip((authority.ca, *authority.issue()), ("ca.crt", "tls.crt", "tls.key"), strict=True):
        shutil.copy(made, folder / name)
    (folder / "token").write_text("a-token\n")
    (folder / "header").write_text("Bearer a-token\n")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_yaml_block_is_a_valid_configuration(page: Path, tmp_path: Path, files: Path) -> None:
    for kind, _, body in FENCE.findall(page.read_text()):
        if kind == "yaml":
            file = tmp_path / "outrider.yaml"
            file.write_text(body.replace("/etc/outrider/tls", str(files)))
            load({}, {"HOSTNAME": "h"}, str(file))


def test_readme_is_one_or_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


def test_the_first_commands_are_targets_of_the_makefile() -> None:
    """`make demo` and `make test` themselves are run by the demo's test and by whoever runs this."""
    assert block("README.md", "").strip() == "make demo"
    done = subprocess.run(["make", "-n", "demo", "test"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """README's installation, run in a copy of what is committed or will be, with a home directory of its own."""
    home = tmp_path_factory.mktemp("home")
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (home / "outrider" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / "outrider" / name)
    shell(block("README.md", "install"), home, {})
    return home


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[int]:
    """nginx on a free port."""
    port = free_port()
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; "
        f"client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path}; "
        f"uwsgi_temp_path {tmp_path}; scgi_temp_path {tmp_path}; "
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }} }}"
    )
    with running([require("nginx"), "-c", str(tmp_path / "nginx.conf")], tmp_path / "nginx.log"):
        eventually(lambda: get(f"http://127.0.0.1:{port}/").status == 200)
        yield port


def shell(script: str, home: Path, ports: dict[str, int]) -> str:
    """Run a block as it stands, but for its ports; after a line that ends in `&`, wait as a person would."""
    for written, port in ports.items():
        script = re.sub(rf"\b{written}\b", str(port), script)
    waits = {
        name: f"for i in $(seq 100); do curl -sf -o /dev/null {url} && break; sleep 0.1; done"
        for name, url in {
            "collector": f"http://127.0.0.1:{ports.get('4320')}/livez",
            "run": f"http://127.0.0.1:{ports.get('4319')}/health",
        }.items()
    }
    lines = ["set -eu", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"]
    for line in script.splitlines():
        lines.append(line)
        if line.endswith("&"):
            lines.append(waits["collector" if line.endswith("outrider collector &") else "run"])
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OUTRIDER_", "OTEL_"))}
    environ |= {
        "HOME": str(home),
        "OUTRIDER_API_LISTEN": f"127.0.0.1:{ports.get('4319', 0)}",
        "OUTRIDER_OTLP_GRPC": f"127.0.0.1:{ports.get('4317', 0)}",
        "OUTRIDER_OTLP_HTTP": f"127.0.0.1:{ports.get('4318', 0)}",
        "OUTRIDER_COLLECTOR_LISTEN": f"127.0.0.1:{ports.get('4320', 0)}",
        "OUTRIDER_COLLECTOR_GRPC": f"127.0.0.1:{ports.get('4321', 0)}",
        "OUTRIDER_DRAIN": "0s",
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=home / "outrider",
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_attaching_works_as_readme_says(installed: Path, foreign: int) -> None:
    ports = {"8080": foreign, "4319": free_port()}
    out = shell(block("README.md", "attach"), installed, ports)
    assert f"GET http://127.0.0.1:{foreign}/readyz: 200" in out
    assert "verdict: pass" in out
    assert "process: nginx" in out
    assert "\npass since " in out
    assert '"found": true' in out
    assert "outrider_target_up 1.0" in out


@pytest.mark.timeout(300)
def test_forwarding_works_as_readme_says(installed: Path, foreign: int) -> None:
    ports = {"8080": foreign, "4318": free_port(), "4319": free_port()}
    script = block("README.md", "forward").replace("http://gateway:4318", "http://127.0.0.1:9")
    out = shell(script + f"curl -s http://127.0.0.1:{ports['4319']}/status\n", installed, ports)
    assert '"name": "127.0.0.1:9"' in out
    assert f'"address": "127.0.0.1:{ports["4318"]}",\n      "up": true' in out


@pytest.mark.timeout(300)
def test_securing_works_as_the_guide_says(installed: Path, foreign: int) -> None:
    ports = {"8080": foreign, "4318": free_port(), "4319": free_port()}
    script = block("docs/guides/secure.md", "secure").replace("http://gateway:4318", "http://127.0.0.1:9")
    out = shell(script, installed, ports)
    assert '"message":"no token, expected Authorization: Bearer and a token of this port"' in out
    assert out.endswith("}401\n{}200\n")


@pytest.mark.timeout(300)
def test_the_collector_works_as_readme_says(installed: Path, foreign: int) -> None:
    ports = {"8080": foreign, "4318": free_port(), "4319": free_port(), "4320": free_port()}
    out = shell(block("README.md", "collector"), installed, ports)
    assert "  nginx  " in out


@pytest.mark.timeout(300)
def test_running_a_command_works_as_the_guide_says(installed: Path) -> None:
    assert shell(block("docs/guides/run.md", "run"), installed, {}) == "started\n"


def test_the_guides_session_with_a_spool_is_what_it_says(tmp_path: Path) -> None:
    eight = datetime(2026, 3, 1, 8, tzinfo=UTC).timestamp()
    folder = tmp_path / "spool"
    file = SpoolFile(str(folder), 8 << 20, full_sync=False, now=lambda: eight + 1800)
    rows = [
        Row(number, upstream, Batch(signal, b"x" * size, 9), eight + late)
        for number, upstream, signal, size, late in (
            (1, "moved:4317", Signal.LOGS, 4 << 10, -60),
            (2, "gateway:4318", Signal.TRACES, 8 << 10, 0),
            (3, "gateway:4318", Signal.TRACES, 16 << 10, 60),
        )
    ]
    file.apply(rows, (), ())
    poison = Row(4, "gateway:4318", Batch(Signal.METRICS, b"x" * 1024, 9), eight)
    file.apply((), (), [(poison, "HTTP 400: no such tenant")])
    page = (ROOT / "docs/guides/upstreams.md").read_text()
    sessions = {name: body for kind, name, body in FENCE.findall(page) if kind == "console"}
    assert session(sessions["live"], folder) == sessions["live"]
    file.close()
    assert session(sessions["stopped"], folder) == sessions["stopped"]


def session(shown: str, folder: Path) -> str:
    """The commands that a guide shows, with what they say now."""
    path, said = "/var/lib/outrider/spool", ""
    for line in shown.splitlines():
        if line.startswith("$ outrider "):
            command = outrider(*line.replace(path, str(folder)).split()[2:])
            environ = {**os.environ, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(command, cwd=folder.parent, env=environ, capture_output=True, text=True)
            said += f"{line}\n{done.stdout}{done.stderr}".replace(str(folder), path)
    return said
