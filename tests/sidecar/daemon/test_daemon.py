"""The sidecar assembled, in this process: real sockets, a clock that a test turns."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

import grpc
import pytest

from sidecar.api import Surface
from sidecar.daemon.daemon import Daemon, build
from sidecar.io.clock import SystemClock
from sidecar.logic.launch import HEADER
from sidecar.logs.sources import file
from sidecar.logs.sources.child import Copy
from sidecar.model.signals import Signal
from tests.fakes import RecordingUpstream
from tests.sidecar.daemon.running import Events, Hurried, running, settings, surface, until


async def test_what_the_sidecar_measures_goes_out_the_same_way() -> None:
    neighbour = await asyncio.create_subprocess_exec("sleep", "60")
    async with RecordingUpstream() as upstream:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url,
            "OTEL_SERVICE_NAME": "sleeper",
            "OUTRIDER_TARGET_PROCESS_PID": str(neighbour.pid),
        }
        async with running(settings(environ)) as (daemon, _):
            await until(lambda: upstream.points)
            assert daemon.process.found
        assert {frozenset(resource.items()) for resource, _ in upstream.points} == {
            frozenset({"service.name": "sleeper", "service.instance.id": "pod-1"}.items())
        }
        modes = [a.value.string_value for _, p in upstream.points for a in p.attributes if a.key == "cpu.mode"]
        assert {"user", "system"} <= set(modes)
    neighbour.kill()
    await neighbour.wait()


async def test_an_upstream_that_is_down_is_said_once_and_so_is_its_return() -> None:
    async with RecordingUpstream() as upstream:
        upstream.answer = lambda path, body: (503, {"Retry-After": "0"}, b"")
        async with running(settings({"OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url})) as (daemon, events):
            await until(lambda: events.named("cannot deliver"))
            assert daemon.unready() == [], "an upstream never makes us unready"
            assert daemon.status().relay[0].state == "retrying"
            upstream.answer = lambda path, body: None
            await until(lambda: events.named("delivers again"))
            failed = events.named("cannot deliver")
            assert failed[0]["to"] == f"upstream 127.0.0.1:{upstream.port}"


async def test_an_upstreams_rates_and_losses_are_in_status_and_its_state_in_the_metrics() -> None:
    async with RecordingUpstream() as upstream:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url}
        async with running(settings(environ)) as (daemon, _):
            await until(lambda: (relay := daemon.status().relay[0]).rates and relay.rates.out_items_per_s > 0)
            upstream.answer = lambda path, body: (400, {}, b"")
            await until(lambda: daemon.status().relay[0].lost)
            assert set(daemon.status().relay[0].lost) == {"rejected"}
            state = next(m for m in daemon.metrics() if m.name == "outrider.relay.upstream.state")
            assert [(dict(point.attributes), point.value) for point in state.points] == [
                ({"upstream": f"127.0.0.1:{upstream.port}"}, 0)
            ]


async def test_without_an_upstream_otlp_stays_closed_and_that_is_said_once() -> None:
    async with running(settings()) as (daemon, events):
        await until(lambda: events.named("otlp closed"))
        assert daemon.parts.listeners == {}
        assert daemon.status().relay == ()
    assert len(events.named("otlp closed")) == 1
    assert events.named("no checks")[0]["remedy"] == "give --target URL, or probes in a file"


async def test_a_service_without_a_name_is_told_what_it_is_called_and_how_to_name_it() -> None:
    async with running(settings()) as (_, events):
        await until(lambda: events.named("the service has no name"))
    async with running(settings({"OTEL_SERVICE_NAME": "shop"})) as (_, named):
        await until(lambda: named.named("outrider runs"))
    told = events.named("the service has no name")
    assert [(line["service"], line["remedy"]) for line in told] == [("unknown_service", "set OTEL_SERVICE_NAME")]
    assert named.named("the service has no name") == []


async def test_both_protocols_have_their_listener_and_one_receiver() -> None:
    async with RecordingUpstream() as upstream:
        async with running(settings({"OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url})) as (daemon, events):
            await until(lambda: len(events.named("otlp open")) == 2)
            listeners = [(listener.name, listener.up) for listener in daemon.status().listeners]
            assert listeners == [("otlp grpc", True), ("otlp http", True), ("api", True)]
            port = daemon.parts.listeners["otlp grpc"].ports[0]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
                assert await export(b"\n\x04\x12\x02\x12\x00") == b""
            assert len(upstream.spans) == 1
            assert daemon.parts.received.items[Signal.TRACES] == 1
        assert [event["protocol"] for event in events.named("otlp open")] == ["grpc", "http"]


async def test_a_port_of_grpc_that_is_taken_keeps_us_from_being_ready() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OUTRIDER_OTLP_GRPC": f"127.0.0.1:{port}"}
        async with running(settings(environ)) as (daemon, events):
            await until(lambda: events.named("otlp not open yet"))
            why = f"cannot listen on 127.0.0.1:{port}: the port is taken by another process"
            assert daemon.unready() == [why]
            assert [(e["protocol"], e["why"]) for e in events.named("otlp not open yet")] == [("grpc", why)]


async def test_an_api_whose_port_is_taken_is_said() -> None:
    """Who asks there would be answered by somebody else, perhaps by another sidecar."""
    taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        address = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
        async with running(settings({"OUTRIDER_API_LISTEN": address})) as (_, events):
            await until(lambda: events.named("outrider runs"))
        assert events.named("outrider runs")[0]["api"] == "none"
        (said,) = events.named("api not open yet")
        assert said["why"] == f"cannot listen on {address}: the port is taken by another process"


async def test_status_is_complete_before_and_after_the_first_look() -> None:
    loaded = settings({"OUTRIDER_TARGET_URL": "tcp://127.0.0.1:9"})
    daemon = build(loaded, Events().log, Hurried(), random.Random(1))
    before = daemon.status()
    assert (before.health.status, before.checks[0].output) == ("unknown", "not looked at yet")
    async with running(loaded) as (daemon, _):
        await until(lambda: daemon.verdict().status == "fail")
        status = daemon.status()
        assert status.checks[0].output == "connection refused by 127.0.0.1:9"
        assert status.checks[0].last_success is None
        assert [listener.name for listener in status.listeners] == ["api"]
        names = {metric.name for metric in daemon.metrics()}
        assert {"outrider.health.status", "outrider.check.status", "outrider.info", "outrider.target.up"} <= names


async def test_a_task_that_breaks_ends_the_sidecar_loudly() -> None:
    daemon = build(settings(), Events().log, Hurried(), random.Random(1))

    async def broken(_: Daemon) -> Surface:
        raise OSError("no surface")

    with pytest.raises(OSError, match="no surface"):
        await daemon.run(broken)


async def test_last_words_in_a_file_that_is_looked_at_rarely_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "BUSY", 0.0)
    log = tmp_path / "app.log"
    log.write_text('{"msg":"hello"}\n')
    async with RecordingUpstream() as upstream:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url, "OUTRIDER_LOGS": str(log), "OUTRIDER_DRAIN": "20s"}
        daemon = build(settings(environ), Events().log, SystemClock(), random.Random(1))
        running = asyncio.create_task(daemon.run(surface))
        logs = daemon.parts.logs
        assert logs is not None
        await until(lambda: upstream.records and logs.delivery.is_idle)
        with log.open("a") as more:
            more.write('{"msg":"last words"}\n')
        daemon.stop(patient=False)
        await asyncio.wait_for(running, 20)
        assert [record.body.string_value for _, record in upstream.records] == ["hello", "last words"]


class Ahead(SystemClock):
    """Real time, and so many seconds more."""

    seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds


@pytest.mark.parametrize("is_delivered", [True, False])
async def test_last_words_of_a_command_are_waited_for_as_long_as_the_drain_allows(is_delivered: bool) -> None:
    """Also without an upstream: a check may look at them."""
    launcher, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    async with RecordingUpstream() as upstream:
        environ = {"OUTRIDER_DRAIN": "20s"} | ({"OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url} if is_delivered else {})
        events, clock = Events(), Ahead()
        daemon = build(settings(environ), events.log, clock, random.Random(1), ["app"], Copy(theirs, "run"))
        running = asyncio.create_task(daemon.run(surface))
        await until(lambda: events.named("outrider runs"))
        daemon.stop(patient=False)
        await until(lambda: upstream.points or not is_delivered)
        clock.seconds = 2.0
        await asyncio.sleep(0.3)
        launcher.send(HEADER.pack(1, 0, 0, 0, 1) + b"last words\n")
        launcher.close()
        await asyncio.wait_for(running, 20)
        assert daemon.parts.logs is not None
        (counters,) = daemon.parts.logs.counters.values()
        assert (counters.lines, counters.dropped) == (1, {})
        assert [record.body.string_value for _, record in upstream.records] == ["last words"] * is_delivered
    theirs.close()
