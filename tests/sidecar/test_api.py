"""The surface over a scripted sidecar, asked by a real client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import aiohttp
import pytest

from sidecar.api import Surface, application, health_text, idle_application, open_surface
from sidecar.io.bearer import Bearer
from sidecar.io.clock import SystemClock
from sidecar.logic import status
from sidecar.logic.rollup import rollup
from sidecar.logic.scalars import Address, Secret
from sidecar.model.health import CheckReport, Role, Severity, State, Verdict
from sidecar.model.process import ProcessSample
from sidecar.model.resource import Resource
from sidecar.model.signals import Metric, Point
from sidecar.model.status import Status

TEXT = """\
fail since 1970-01-01T00:00:40.000Z (1m)  api api-1
  fail     ready     1m  saw fail
  pass     live      1m  saw pass
"""


RESOURCE = {"service.name": "api", "service.instance.id": "api-1"}


class ScriptedSidecar:
    """Says what a test tells it to."""

    def __init__(self) -> None:
        self.resource = Resource(RESOURCE)
        self.states = {"ready": State.PASS}
        self.reasons: list[str] = []

    def now(self) -> float:
        return 100.0

    def unready(self) -> Sequence[str]:
        return self.reasons

    def checks(self) -> Sequence[CheckReport]:
        roles = {"live": Role.LIVENESS, "ready": Role.READINESS}
        return [
            CheckReport(
                name=name,
                kind="http",
                role=roles[name],
                state=state,
                since=40.0,
                output=f"saw {state}",
                period=10,
                timeout=1,
                success_threshold=1,
                failure_threshold=3,
            )
            for name, state in self.states.items()
        ]

    def verdict(self, role: Role | None = None) -> Verdict:
        checks = [check for check in self.checks() if role in (None, check.role)]
        return rollup(checks, None, 40.0, State.PASS)

    def status(self) -> Status:
        raise RuntimeError("scripted")

    def metrics(self) -> Sequence[Metric]:
        return [Metric("outrider.info", "gauge", "", "Info.", (Point(1),))]


@pytest.fixture
async def surface() -> AsyncIterator[tuple[ScriptedSidecar, str]]:
    sidecar = ScriptedSidecar()
    opened = await open_surface(application(sidecar), Address("127.0.0.1", 0), SystemClock())
    yield sidecar, base(opened)
    await opened.close()


def base(opened: Surface) -> str:
    return f"http://127.0.0.1:{opened.listener.ports[0]}"


async def get(url: str, **headers: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_livez_answers_for_the_loop_alone(surface: tuple[ScriptedSidecar, str]) -> None:
    sidecar, url = surface
    sidecar.states, sidecar.reasons = {"ready": State.FAIL}, ["cannot listen"]
    assert await get(f"{url}/livez") == (200, "text/plain", "ok\n")


async def test_readyz_tells_what_is_missing(surface: tuple[ScriptedSidecar, str]) -> None:
    sidecar, url = surface
    sidecar.states = {"ready": State.FAIL}
    assert await get(f"{url}/readyz") == (200, "text/plain", "ok\n")
    sidecar.reasons = ["cannot listen on 127.0.0.1:4318: the port is taken by another process"]
    assert (await get(f"{url}/readyz"))[::2] == (503, sidecar.reasons[0] + "\n")


@pytest.mark.parametrize(
    ("live", "ready", "overall", "gate_live", "gate_ready"),
    [
        (State.PASS, State.PASS, 200, 200, 200),
        (State.PASS, State.WARN, 200, 200, 200),
        (State.PASS, State.FAIL, 503, 200, 503),
        (State.FAIL, State.PASS, 503, 503, 200),
        (State.UNKNOWN, State.PASS, 503, 200, 200),
        (State.PASS, State.UNKNOWN, 503, 200, 503),
    ],
)
async def test_health_is_a_gate(
    surface: tuple[ScriptedSidecar, str], live: State, ready: State, overall: int, gate_live: int, gate_ready: int
) -> None:
    sidecar, url = surface
    sidecar.states = {"live": live, "ready": ready}
    statuses = [(await get(f"{url}/health{query}"))[0] for query in ("", "?probe=live", "?probe=ready")]
    assert statuses == [overall, gate_live, gate_ready]


async def test_a_gate_that_passes_names_no_reason_of_another(surface: tuple[ScriptedSidecar, str]) -> None:
    sidecar, url = surface
    sidecar.states = {"live": State.PASS, "ready": State.FAIL}
    documents = [json.loads((await get(f"{url}/health?probe={probe}"))[2]) for probe in ("live", "ready", "started")]
    seen = [(document["status"], document.get("output")) for document in documents]
    assert seen == [("pass", None), ("fail", "ready: saw fail"), ("pass", None)]


async def test_health_is_plain_text_for_curl_and_health_json_for_the_rest(surface: tuple[ScriptedSidecar, str]) -> None:
    sidecar, url = surface
    sidecar.states = {"live": State.PASS, "ready": State.FAIL}
    curl = {"User-Agent": "curl/8.0", "Accept": "*/*"}
    assert await get(f"{url}/health", **curl) == (
        503,
        "text/plain",
        TEXT,
    )
    for headers in ({}, {"Accept": "application/health+json", "User-Agent": "curl/8.0"}):
        code, kind, body = await get(f"{url}/health", **headers)
        assert (code, kind, json.loads(body)["status"]) == (503, "application/health+json", "fail")


def test_failures_that_are_not_enough_yet_are_not_hidden() -> None:
    report = CheckReport(
        name="ready",
        kind="http",
        state=State.PASS,
        raw=State.FAIL,
        since=40.0,
        output="no answer within 1s",
        period=10,
        timeout=1,
        success_threshold=1,
        failure_threshold=3,
        failing=2,
        last_success=88.0,
    )
    text = health_text(rollup([report], None, 40.0), [report], Resource(RESOURCE), 100.0)
    assert text.splitlines()[1] == (
        "  pass     ready     1m  no answer within 1s [failed 2 of 3 times in a row, last success 12s ago]"
    )


def test_the_worst_check_stands_first_and_what_only_warns_says_so() -> None:
    def report(name: str, state: State, severity: Severity = Severity.FAIL) -> CheckReport:
        return CheckReport(
            name=name,
            kind="tcp",
            state=state,
            severity=severity,
            since=40.0,
            output="seen",
            period=10,
            timeout=1,
            success_threshold=1,
            failure_threshold=3,
        )

    checks = [
        report("cache", State.FAIL, Severity.WARN),
        report("live", State.PASS),
        report("queue", State.UNKNOWN),
        report("ready", State.FAIL),
    ]
    text = health_text(rollup(checks, None, 40.0), checks, Resource(RESOURCE), 100.0)
    assert text.splitlines()[1:] == [
        "  fail     ready     1m  seen",
        "  unknown  queue     1m  seen",
        "  fail     cache     1m  seen [counts as warn]",
        "  pass     live      1m  seen",
    ]


async def test_an_unknown_parameter_is_refused_with_what_is_known(surface: tuple[ScriptedSidecar, str]) -> None:
    _, url = surface
    code, kind, body = await get(f"{url}/health?probe=readyness")
    assert (code, kind, body[-2:]) == (400, "application/problem+json", "}\n"), "a shell's prompt comes behind it"
    assert json.loads(body)["detail"] == (
        "unknown probe 'readyness', expected probe=live, probe=ready or probe=started"
    )
    assert (await get(f"{url}/health?gate=live"))[0] == 400


async def test_metrics_are_for_prometheus(surface: tuple[ScriptedSidecar, str]) -> None:
    _, url = surface
    code, kind, body = await get(f"{url}/metrics")
    assert (code, kind) == (200, "text/plain")
    assert body == "# HELP outrider_info Info.\n# TYPE outrider_info gauge\noutrider_info 1.0\n"


async def test_an_idle_sidecar_lives_is_not_ready_and_tells_why() -> None:
    opened = await open_surface(idle_application(["a.yaml: drain: bad"]), Address("127.0.0.1", 0), SystemClock())
    url = base(opened)
    assert await get(f"{url}/livez") == (200, "text/plain", "ok\n")
    for path in ("/readyz", "/health", "/metrics"):
        code, _, body = await get(url + path)
        assert (code, body) == (503, "the configuration is bad; telemetry is off\na.yaml: drain: bad\n")
    code, _, body = await get(f"{url}/status")
    assert (code, json.loads(body)["problems"]) == (200, ["a.yaml: drain: bad"])
    await opened.close()


async def test_a_taken_port_is_waited_for() -> None:
    taken = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    opened = await open_surface(application(ScriptedSidecar()), Address("127.0.0.1", port), SystemClock())
    assert not opened.listener.up
    assert opened.listener.why == f"cannot listen on 127.0.0.1:{port}: the port is taken by another process"
    await opened.close()
    taken.close()


def test_times_and_ages_of_status() -> None:
    assert status.time_of(1.23456) == datetime(1970, 1, 1, 0, 0, 1, 235000, UTC)
    assert status.time_of(None) is None
    assert status.age_of(10.0, 12.3456) == 2.346
    assert status.age_of(10.0, 9.0) == 0.0
    assert status.process(ProcessSample(found=False, why="gone")).pid is None


async def test_with_a_token_all_but_the_gates_asks_for_it() -> None:
    bearer = Bearer(Secret(literal="one"))
    opened = await open_surface(application(ScriptedSidecar(), bearer), Address("127.0.0.1", 0), SystemClock())
    url = f"http://127.0.0.1:{opened.listener.ports[0]}"
    async with aiohttp.ClientSession() as session:
        for path, status in (("/livez", 200), ("/readyz", 200), ("/health", 200), ("/status", 401), ("/metrics", 401)):
            async with session.get(url + path) as response:
                assert (path, response.status) == (path, status)
        async with session.get(url + "/metrics") as response:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            detail = "no token, expected Authorization: Bearer and a token of this port"
            assert (await response.json(content_type=None))["detail"] == detail
        async with session.get(url + "/metrics", headers={"Authorization": "Bearer one"}) as response:
            assert response.status == 200
    await opened.close()
