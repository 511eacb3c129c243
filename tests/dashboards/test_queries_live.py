"""Every query of both dashboards has data in a real Prometheus that scrapes the running demo."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dashboards.build import dashboards
from tests.ports import free_port

# The demo is scraped every 5 s; Grafana's interval is four scrapes.
VARIABLES = {"$__rate_interval": "20s", "$__range": "1m", "$job": ".+", "$instance": ".+"}
STARTED = 40.0
DATA = 60.0


def queries() -> dict[str, str]:
    """`file: panel ref` -> PromQL without variables."""
    found = {}
    for name, text in dashboards().items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"]
                for variable, value in VARIABLES.items():
                    query = query.replace(variable, value)
                found[f"{name}: {panel['title']} {target['refId']}"] = query
    return found


@contextmanager
def running(argv: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child of ours, with its output in `log`; interrupted and awaited at the end."""
    with log.open("wb") as output:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def has_data(prometheus: str, query: str) -> bool:
    """Whether an instant query answers with at least one number."""
    body = urllib.parse.urlencode({"query": query}).encode()
    with urllib.request.urlopen(f"{prometheus}/api/v1/query", body, timeout=20) as answer:
        result = json.load(answer)["data"]["result"]
    return any(not math.isnan(float(series["value"][1])) for series in result)


def listens(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


@pytest.mark.timeout(150)
def test_every_query_has_data_when_the_demo_is_scraped(tmp_path: Path) -> None:
    prometheus = shutil.which("prometheus") or ""
    if not prometheus:
        reason = "prometheus is not installed (Debian package: prometheus)"
        pytest.skip(reason)
    folder, scrape = tmp_path / "demo", tmp_path / "demo/prometheus.yml"
    url = f"http://127.0.0.1:{free_port()}"
    demo = [sys.executable, "-m", "sidecar", "demo", "--dir", str(folder), "--free-ports", "--duration", "120"]
    server = [
        prometheus,
        f"--config.file={scrape}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=warn",
    ]
    with running(demo, tmp_path / "demo.log") as child:
        deadline = time.monotonic() + STARTED
        while not scrape.exists():
            assert child.poll() is None, (tmp_path / "demo.log").read_text()
            assert time.monotonic() < deadline, "the demo wrote no scrape configuration"
            time.sleep(0.1)
        with running(server, tmp_path / "prometheus.log") as scraper:
            while not listens(f"{url}/-/ready"):
                assert scraper.poll() is None, (tmp_path / "prometheus.log").read_text()
                assert time.monotonic() < deadline, "prometheus is not ready"
                time.sleep(0.1)
            pending = queries()
            deadline = time.monotonic() + DATA
            while pending and time.monotonic() < deadline:
                pending = {name: query for name, query in pending.items() if not has_data(url, query)}
                if pending:
                    time.sleep(1)
            assert not pending, "no data:\n" + "\n".join(f"{name}: {query}" for name, query in pending.items())
