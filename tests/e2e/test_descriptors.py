"""A sidecar that may open few files, and many who connect to it."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.processes import eventually, get, outrider, running
from tests.ports import free_port


@pytest.mark.parametrize("limit", [32, 64])
def test_running_out_of_descriptors_is_lived_through(tmp_path: Path, limit: int) -> None:
    api, otlp, log = free_port(), free_port(), tmp_path / "log"
    neighbour = subprocess.Popen(["sleep", "60"])
    settings = {
        "OUTRIDER_API_LISTEN": f"127.0.0.1:{api}",
        "OUTRIDER_OTLP_HTTP": f"127.0.0.1:{otlp}",
        "OUTRIDER_OTLP_GRPC": f"127.0.0.1:{free_port()}",
        "OUTRIDER_COLLECTOR_URL": "http://127.0.0.1:9",
        "OUTRIDER_TARGET_PROCESS_PID": str(neighbour.pid),
        "OUTRIDER_METRICS_INTERVAL": "1s",
        "OUTRIDER_DRAIN": "0s",
    }
    command = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *outrider("run")]
    with running(command, log, settings) as sidecar, ExitStack() as opened:
        eventually(lambda: get(f"http://127.0.0.1:{api}/livez").status == 200)
        assert resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE) == (limit, limit)
        for _ in range(200):
            for port in (otlp, api):
                opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        time.sleep(3)  # several samples and exports
        assert sidecar.poll() is None, log.read_text()
        opened.close()
        eventually(lambda: get(f"http://127.0.0.1:{api}/livez").status == 200)
        eventually(lambda: json.loads(get(f"http://127.0.0.1:{api}/status").text)["process"]["found"])
        assert {item["up"] for item in json.loads(get(f"http://127.0.0.1:{api}/status").text)["listeners"]} == {True}
        socket.create_connection(("127.0.0.1", otlp)).close()
    neighbour.kill()
    neighbour.wait()
    said = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "few connections"]
    assert [line["why"] for line in said] == [f"this process may have only {limit} file descriptors"]
