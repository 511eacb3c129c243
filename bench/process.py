"""A process under measurement: memory by smaps_rollup, CPU by its clock, time until it answers."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

LIMIT = 60.0


class Memory(msgspec.Struct, frozen=True):
    """MB (10^6 bytes): resident, of that anonymous, and of that unique to the process."""

    rss: float
    anonymous: float
    uss: float


def start(command: Sequence[str], cwd: Path | None = None, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Bytecode is written and read as it is once installed; no configuration comes from our environment."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OUTRIDER_", "OTEL_"))}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if cwd is not None:
        environ["PYTHONPATH"] = str(cwd)
    with open(log or os.devnull, "ab") as output:
        return subprocess.Popen(command, env=environ, cwd=cwd, stdout=output, stderr=output)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def memory(pid: int) -> Memory:
    values: dict[str, int] = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            key, _, rest = line.partition(":")
            if rest.strip().endswith("kB"):
                values[key] = int(rest.split()[0])
    unique = values["Private_Clean"] + values["Private_Dirty"]
    return Memory(*(round(kb * 1024 / 1e6, 1) for kb in (values["Rss"], values["Anonymous"], unique)))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, to the nanosecond: clock_getcpuclockid(3), which Python has not."""
    return time.clock_gettime((~pid << 3) | 2)


def peak(pid: int) -> float:
    """MB: the most that was ever resident."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    raise ProcessLookupError(pid)


def until_200(
    port: int,
    method: str,
    path: str,
    headers: dict[str, str],
    since: float,
    process: subprocess.Popen[bytes] | None = None,
) -> float:
    """Milliseconds from `since` (perf_counter) until a request is answered 200; asks every millisecond, for `LIMIT`
    seconds at most or until the process has ended. Raises `TimeoutError`."""
    until = time.perf_counter() + LIMIT
    while time.perf_counter() < until and (process is None or process.poll() is None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request(method, path, body=b"" if method == "POST" else None, headers=headers)
            if connection.getresponse().status == 200:
                return (time.perf_counter() - since) * 1e3
        except OSError:
            time.sleep(0.001)
        finally:
            connection.close()
    raise TimeoutError(f"{method} {path} on port {port} was not answered 200 within {LIMIT} s, or its process ended")
