"""When the sidecar itself has no file descriptors left, nothing is known about the peer."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.ports import free_port

CODE = """
import asyncio, json, os, resource, sys
from sidecar.probes import http, tcp
from tests.sidecar.probes.support import context

async def main():
    port = int(sys.argv[1])
    probes = [
        http.HttpProbe(http.Config(url=f"http://127.0.0.1:{port}/"), context()),
        http.HttpProbe(http.Config(url=f"http://localhost:{port}/"), context()),
        tcp.TcpProbe(tcp.Config(), context(f"tcp://127.0.0.1:{port}")),
    ]
    before = [await probe.check() for probe in probes]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    after = [await probe.check() for probe in probes]
    for fd in held:
        os.close(fd)
    print(json.dumps([[r.raw, r.output] for r in before + after]))

asyncio.run(main())
"""


def test_without_file_descriptors_the_result_is_unknown() -> None:
    port = free_port()
    done = subprocess.run([sys.executable, "-c", CODE, str(port)], capture_output=True, text=True, check=True)
    here, name = f"127.0.0.1:{port}", f"localhost:{port}"
    said = "was not tried: the sidecar has no file descriptors left"
    assert json.loads(done.stdout) == [
        ["fail", f"connection refused by {here}"],
        ["fail", f"connection refused by {name}"],
        ["fail", f"connection refused by {here}"],
        ["unknown", f"{here} {said}"],
        ["unknown", f"{name} {said}"],
        ["unknown", f"{here} {said}"],
    ]
