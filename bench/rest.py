"""`python -m bench rest`: a sidecar at rest beside bare Python and the Collector. Prints a table; what was
measured when stands in RESULTS.md.

The sidecar has all functions on: ten checks at their default period, a neighbour of ten processes, OTLP in and out,
heartbeats, and its surface asked once. The budget for CPU at rest counts 2,000 scraped series too: the sidecar does not
scrape yet, so they are not in it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.ports import free_port

from .process import Memory, cpu_seconds, memory, start, stop, until_200
from .programs import must

STARTS = 7
SETTLE = 12.0
REST = 30.0
BUDGET = {"rss": 45.0, "anonymous": 30.0, "otlp": 200.0, "livez": 400.0, "cpu": 1.0}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
PEERS = {
    "python": "import time; time.sleep(600)",
    "python, asyncio and uvloop": "import asyncio, uvloop; uvloop.run(asyncio.sleep(600))",
}


def configuration(neighbour: int, api: int, otlp: int, directory: Path) -> str:
    url = f"http://127.0.0.1:{neighbour}"
    checks = [f"  http-{i}: {{kind: http, url: '{url}/{i}', expect: {{latency: {{warn: 200ms}}}}}}" for i in range(5)]
    checks += [f"  tcp-{i}: {{kind: tcp, address: '127.0.0.1:{neighbour}'}}" for i in range(4)]
    return "\n".join(
        [
            f"target: {{url: '{url}'}}",
            f"api: {{listen: '127.0.0.1:{api}'}}",
            f"otlp: {{grpc: '127.0.0.1:0', http: '127.0.0.1:{otlp}'}}",
            f"export: [{{otlp_http: {{endpoint: '{url}'}}}}]",
            f"collector: {{url: '{url}'}}",
            f"spool: {{path: '{directory}/spool'}}",
            f"logs: [{{file: '{directory}/app.log'}}]",
            "probes:",
            *checks,
            "  process: {kind: process, role: liveness}",
        ]
    )


def collector(neighbour: int, directory: Path) -> list[str]:
    """The Collector with as much to do: OTLP in and out, the neighbour scraped, the host measured, a log file read."""
    url = f"http://127.0.0.1:{neighbour}"
    receivers = {
        "otlp": {"protocols": {kind: {"endpoint": f"127.0.0.1:{free_port()}"} for kind in ("grpc", "http")}},
        "filelog": {"include": [str(directory / "app.log")]},
        "hostmetrics": {
            "collection_interval": "15s",
            "scrapers": {"cpu": {}, "memory": {}, "process": {"mute_process_all_errors": True}},
        },
        "prometheus": {
            "config": {
                "scrape_configs": [{"job_name": "neighbour", "static_configs": [{"targets": [url.split("//")[1]]}]}]
            }
        },
    }
    kinds = {"traces": ["otlp"], "logs": ["otlp", "filelog"], "metrics": ["otlp", "hostmetrics", "prometheus"]}
    pipeline = {"processors": ["memory_limiter", "batch"], "exporters": ["otlp_http"]}
    metrics = {"readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": free_port()}}}}]}
    config = {
        "receivers": receivers,
        "processors": {"memory_limiter": {"check_interval": "1s", "limit_mib": 512}, "batch": {}},
        "exporters": {"otlp_http": {"endpoint": url}},
        "extensions": {"health_check": {"endpoint": f"127.0.0.1:{free_port()}"}},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {"metrics": metrics},
            "pipelines": {kind: {"receivers": names, **pipeline} for kind, names in kinds.items()},
        },
    }
    file = directory / "otelcol.yaml"
    file.write_text(json.dumps(config))
    return [must("otelcol"), "--config", str(file)]


def starts(config: str, api: int, otlp: int) -> tuple[float, float]:
    """Median milliseconds from exec to the first 200, of OTLP and of /livez."""
    times: dict[str, list[float]] = {"otlp": [], "livez": []}
    for turn in range(STARTS * 2):
        since = time.perf_counter()
        sidecar = start([sys.executable, "-m", "sidecar", "run", "--config", config])
        try:
            if turn % 2:
                times["otlp"].append(until_200(otlp, "POST", "/v1/traces", PROTOBUF, since))
            else:
                times["livez"].append(until_200(api, "GET", "/livez", {}, since))
        finally:
            sidecar.kill()
            sidecar.wait()
    return statistics.median(times["otlp"]), statistics.median(times["livez"])


def rest(command: list[str], warm: list[str]) -> tuple[Memory, float]:
    """Memory, and per cent of a core over a window, of a command that has settled; `warm` is asked once before."""
    process = start(command)
    try:
        time.sleep(SETTLE)
        for url in warm:
            with urllib.request.urlopen(url, timeout=5) as answer:
                answer.read()
        before = cpu_seconds(process.pid)
        time.sleep(REST)
        used = cpu_seconds(process.pid) - before
        return memory(process.pid), used / REST * 100
    finally:
        stop(process)


def main() -> int:
    neighbour_port, api, otlp = free_port(), free_port(), free_port()
    neighbour = start([sys.executable, str(Path(__file__).with_name("neighbour.py")), str(neighbour_port)])
    try:
        until_200(neighbour_port, "GET", "/", {}, time.perf_counter())
        with tempfile.TemporaryDirectory() as directory:
            config = Path(directory, "outrider.yaml")
            Path(directory, "app.log").write_text('{"level":"info","msg":"started"}\n' * 1000)
            config.write_text(configuration(neighbour_port, api, otlp, Path(directory)))
            command = [sys.executable, "-m", "sidecar", "run", "--config", str(config)]
            rows = {name: rest([sys.executable, "-c", code], []) for name, code in PEERS.items()}
            rows["otelcol, as much configured"] = rest(collector(neighbour_port, Path(directory)), [])
            base = f"http://127.0.0.1:{api}"
            rows["outrider, before its first scrape"] = rest(command, [])
            rows["outrider"] = rest(command, [f"{base}{path}" for path in ("/health", "/status", "/metrics")])
            first_otlp, first_livez = starts(str(config), api, otlp)
    finally:
        stop(neighbour)

    print("| at rest | RSS MB | anonymous MB | USS MB | CPU, % of a core |\n|---|---|---|---|---|")
    for name, (used, cpu) in rows.items():
        print(f"| {name} | {used.rss} | {used.anonymous} | {used.uss} | {cpu:.2f} |")
    print(f"| budget | {BUDGET['rss']} | {BUDGET['anonymous']} | - | {BUDGET['cpu']} |")
    print(f"\n| start to first 200, median of {STARTS} | ms | budget |\n|---|---|---|")
    print(f"| OTLP | {first_otlp:.0f} | {BUDGET['otlp']:.0f} |")
    print(f"| /livez | {first_livez:.0f} | {BUDGET['livez']:.0f} |")
    used, cpu = rows["outrider"]
    over = [
        name
        for name, value in (
            ("rss", used.rss),
            ("anonymous", used.anonymous),
            ("cpu", cpu),
            ("otlp", first_otlp),
            ("livez", first_livez),
        )
        if value > BUDGET[name]
    ]
    print(f"\nover budget: {', '.join(over)}" if over else "\nwithin every budget")
    return 0
