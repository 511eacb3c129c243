"""What a person is told of a sidecar beside a command."""

from __future__ import annotations

import random

import msgspec

from sidecar.config import load
from sidecar.daemon.daemon import build
from sidecar.io.clock import SystemClock
from sidecar.logic.found import found_text
from sidecar.model.status import ListenerStatus

UPSTREAM = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://gateway:4318", "OTEL_SERVICE_NAME": "shop"}


async def lines(environ: dict[str, str], told: dict[str, str | None], not_told: str = "") -> list[str]:
    daemon = build(load({}, {"HOSTNAME": "h", **environ}, None), clock=SystemClock(), rng=random.Random(1))
    return found_text(daemon.status(), "15s", told, not_told).splitlines()


async def test_where_telemetry_goes_and_how_the_command_knows() -> None:
    told = await lines(
        {**UPSTREAM, "OUTRIDER_TARGET_URL": "http://127.0.0.1:1"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}
    )
    assert told[0] == "outrider 0.1.0 beside shop"
    assert told[1] == "  process  not found: no process listens on port 1"
    assert told[2] == "  health   checks http"
    assert "  logs     stdout and stderr of the command" in told
    assert "  otlp     closed: not started (gRPC); not started (HTTP)" in told
    assert told[-1] == "  sent to  http://gateway:4318"


async def test_what_is_missing_is_told_with_what_helps() -> None:
    told = await lines({"OTEL_SERVICE_NAME": "a\x1b[31mb"}, {}, "no upstream")
    assert told[0] == "outrider 0.1.0 beside a\\x1b[31mb"
    assert "  health   not checked: give --target http://127.0.0.1:PORT, or probes in a file" in told
    assert "  otlp     closed: no upstream" in told
    assert told[-1] == "  sent to  nowhere: set OUTRIDER_COLLECTOR_URL or OTEL_EXPORTER_OTLP_ENDPOINT"


async def test_a_command_that_was_over_at_once_is_not_called_one_that_was_not_found() -> None:
    daemon = build(load({}, {"HOSTNAME": "h"}, None), clock=SystemClock(), rng=random.Random(1))
    told = found_text(daemon.status(), "15s", {}, "no upstream", is_over=True).splitlines()
    assert told[1] == "  process  has ended already"


async def test_nobody_is_sent_to_an_address_where_somebody_else_listens() -> None:
    daemon = build(load({}, {"HOSTNAME": "h"}, None), clock=SystemClock(), rng=random.Random(1))
    api = ListenerStatus(
        name="api", address="127.0.0.1:4319", up=False, why="the port is taken", warning="", refused_handshakes={}
    )
    status = msgspec.structs.replace(daemon.status(), listeners=(api,))
    assert "  status   not open: the port is taken" in found_text(status, "15s", {}, "no upstream").splitlines()
    status = msgspec.structs.replace(status, listeners=(msgspec.structs.replace(api, up=True),))
    assert "  status   127.0.0.1:4319/status" in found_text(status, "15s", {}, "no upstream").splitlines()
