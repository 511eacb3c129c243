"""Sidecar processes that lead to themselves or to each other: producers, `/status` and the log say so; nothing circulates."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.logic.otlp_http import decode_status
from tests.e2e.processes import eventually, get, outrider, running
from tests.fakes import RecordingUpstream
from tests.ports import free_port

REQUESTS = 20
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

Said = tuple[str, str]
"""Status, as each protocol has it, and the message."""


class Sidecar:
    """One process that listens on all addresses, with its log. `start` it when its upstream's port is known."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.http, self.rpc, self.api = free_port(), free_port(), free_port()
        self.spool = folder / f"{name}.spool"
        self.log = folder / f"{name}.log"

    @contextmanager
    def start(
        self, endpoint: str, *, protocol: str = "http/protobuf", spooled: bool = False, metrics: str = "10m"
    ) -> Iterator[None]:
        environ = {
            "OUTRIDER_SERVICE_INSTANCE": self.name,
            "OUTRIDER_OTLP_HTTP": f"0.0.0.0:{self.http}",
            "OUTRIDER_OTLP_GRPC": f"0.0.0.0:{self.rpc}",
            "OUTRIDER_API_LISTEN": f"127.0.0.1:{self.api}",
            "OUTRIDER_METRICS_INTERVAL": metrics,
            "OUTRIDER_DRAIN": "100ms",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            **({"OUTRIDER_SPOOL_PATH": str(self.spool)} if spooled else {}),
        }
        with running(outrider("run"), self.log, environ):
            eventually(lambda: all(listener["up"] for listener in self.status()["listeners"]))
            yield

    def status(self) -> Any:
        return json.loads(get(f"http://127.0.0.1:{self.api}/status").text)

    def held(self) -> str:
        """Why, while its upstream is held."""
        (upstream,) = self.status()["relay"]
        return str(upstream["why"]) if upstream["state"] == "held" else ""

    def has_logged(self, text: str) -> bool:
        return text in self.log.read_text()

    def queued(self) -> int:
        return int(self.status()["relay"][0]["queue_rows"])

    def dropped(self) -> int:
        return int(self.status()["relay"][0]["lost"].get("dropped", 0))

    def has_dropped(self, number: int) -> bool:
        return self.dropped() >= number

    def sends(self) -> int:
        """Requests to its upstream, but for those that found nobody there."""
        samples = get(f"http://127.0.0.1:{self.api}/metrics").text
        found = re.findall(r"^outrider_relay_sends_total(\{.*\}) (\S+)$", samples, re.MULTILINE)
        return sum(int(float(n)) for labels, n in found if 'outcome="retry_later"' not in labels)


def over_http(sidecar: Sidecar, body: bytes) -> Said:
    headers = {"Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"http://127.0.0.1:{sidecar.http}/v1/traces", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.status), ""
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code), decode_status(error.read())[1]


def over_grpc(sidecar: Sidecar, body: bytes) -> Said:
    with grpc.insecure_channel(f"127.0.0.1:{sidecar.rpc}") as channel:
        try:
            channel.unary_unary(EXPORT)(body, timeout=20)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", ""


Send = Callable[[Sidecar, bytes], Said]
REFUSED: dict[Send, str] = {over_http: "508", over_grpc: "FAILED_PRECONDITION"}


def spans() -> bytes:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="lost")
    body: bytes = request.SerializeToString()
    return body


def own_addresses() -> list[str]:
    """One of this machine's beside the loopback; what goes there never leaves it."""
    every = [a.address for found in psutil.net_if_addrs().values() for a in found if a.family == socket.AF_INET]
    return [address for address in every if not address.startswith("127.")][:1]


def own_names() -> list[str]:
    """The host's name, where it leads here, and one of 127.0.0.1 that no list of ours holds."""
    try:
        found = {where[4][0] for where in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        found = set()
    return ["0x7f000001", *([socket.gethostname()] if "127.0.0.1" in found else [])]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "127.0.0.9"])
def test_an_own_listener_is_no_upstream_that_can_be_configured(host: str) -> None:
    port = free_port()
    environ = {"OUTRIDER_OTLP_HTTP": f":{port}", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}:{port}"}
    ended = subprocess.run(outrider("run"), env=environ, cwd=Path(__file__).parents[2], capture_output=True, timeout=50)
    assert (ended.returncode, ended.stdout) == (78, b"")
    assert (
        f'"http://{host}:{port}" is this sidecar\'s own listener, expected another host or port'
        in ended.stderr.decode()
    )


@pytest.mark.parametrize(("protocol", "spooled"), [("http/protobuf", True), ("grpc", False)])
@pytest.mark.parametrize("host", [*own_names(), *own_addresses()])
def test_an_upstream_that_turns_out_to_be_ourselves_is_held(
    tmp_path: Path, host: str, protocol: str, spooled: bool
) -> None:
    me = Sidecar("me", tmp_path)
    with me.start(f"http://{host}:{me.rpc if protocol == 'grpc' else me.http}", protocol=protocol, spooled=spooled):
        answers = [over_http(me, spans()) for _ in range(REQUESTS)]
        ((status, said),) = set(answers)
        assert re.fullmatch(r"508 this upstream is this sidecar's own listener \(me~[0-9a-f]{8}\)", f"{status} {said}")
        assert (me.held(), me.queued(), me.sends()) == (said, 0, 1)
        eventually(partial(me.has_logged, said))


@pytest.mark.parametrize(
    ("names", "send", "protocol", "spooled"),
    [
        ("ab", over_http, "http/protobuf", True),
        ("ab", over_grpc, "grpc", False),
        ("abc", over_http, "grpc", True),
        ("abc", over_grpc, "http/protobuf", False),
    ],
)
def test_sidecars_in_a_circle_all_say_so_after_one_round(
    tmp_path: Path, names: str, send: Send, protocol: str, spooled: bool
) -> None:
    circle = [Sidecar(name, tmp_path) for name in names]
    with ExitStack() as stack:
        for n, sidecar in enumerate(circle):
            there = circle[(n + 1) % len(circle)]
            url = f"http://127.0.0.1:{there.rpc if protocol == 'grpc' else there.http}"
            stack.enter_context(sidecar.start(url, protocol=protocol, spooled=spooled))
        first = circle[0]
        answers = [send(first, spans()) for _ in range(REQUESTS)]
        ((status, said),) = set(answers)
        assert (status, said[:25]) == (REFUSED[send], "the upstreams form a loop")
        way = " -> ".join(f"{name}~[0-9a-f]{{8}}" for name in [*names, names[0]])
        assert re.fullmatch(f"the upstreams form a loop: {way}", said)
        for sidecar in circle:
            assert (sidecar.held(), sidecar.queued(), sidecar.sends()) == (said, 0, 1)
            eventually(partial(sidecar.has_logged, said))
        assert first.status()["otlp"]["refused"] == {"508": REQUESTS + 1}
        assert [sidecar.status()["otlp"]["refused"] for sidecar in circle[1:]] == [{"508": 1}] * (len(circle) - 1)


def test_what_sidecars_measure_of_themselves_circulates_no_more_than_anything_else(tmp_path: Path) -> None:
    """Both export their own metrics every second: each refuses the other's first, and then sends none."""
    a, b = Sidecar("a", tmp_path), Sidecar("b", tmp_path)
    with a.start(f"http://127.0.0.1:{b.http}", metrics="1s"), b.start(f"http://127.0.0.1:{a.http}", metrics="1s"):
        eventually(lambda: a.held() and b.held())
        before = a.sends(), b.sends()
        for _ in range(2):
            dropped = a.dropped()
            eventually(partial(a.has_dropped, dropped + 1))
        assert (a.sends(), b.sends()) == before
        assert sum(before) <= 6


async def test_what_an_outage_left_in_the_spool_waits_for_the_end_of_a_loop(tmp_path: Path) -> None:
    """It was acknowledged, so it is kept, and goes where the mended upstream leads; what comes meanwhile is refused."""
    a, b = Sidecar("a", tmp_path), Sidecar("b", tmp_path)

    def trouble() -> None:
        with a.start(f"http://127.0.0.1:{b.http}", spooled=True):
            assert over_http(a, spans()) == ("200", "")
            with b.start(f"http://127.0.0.1:{a.http}"):
                eventually(a.held)
                assert (a.queued(), over_http(a, spans())[0]) == (1, "508")

    def mended() -> None:
        with b.start(upstream.url), a.start(f"http://127.0.0.1:{b.http}", spooled=True):
            eventually(lambda: not a.queued())

    await asyncio.to_thread(trouble)
    async with RecordingUpstream() as upstream:
        await asyncio.to_thread(mended)
        assert [span.name for _, span in upstream.spans] == ["lost"]
