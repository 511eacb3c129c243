"""The API over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import io
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from structlog.typing import FilteringBoundLogger

from collector import resources
from collector.api import ROUTES
from collector.app import Running, Settings, build
from collector.cursor import encode_cursor
from collector.resources import Problem
from sidecar.io import log as logging
from sidecar.io.clock import SystemClock
from sidecar.logic.scalars import Address
from sidecar.model.health import Check, Role
from sidecar.model.heartbeat import Heartbeat, HeartbeatReply

from .sidecars import check, checks, full
from .test_traces import request as otlp_request

FREE = Address("127.0.0.1", 0)


@asynccontextmanager
async def collector(
    db: str = ":memory:", token_file: str = "", log: FilteringBoundLogger | None = None
) -> AsyncIterator[tuple[Running, aiohttp.ClientSession]]:
    log = log or logging.configure("info", io.StringIO())
    async with (
        build(Settings(FREE, FREE, db, token_file), SystemClock(), log) as running,
        aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session,
    ):
        yield running, session


async def post(session: aiohttp.ClientSession, beat: Heartbeat) -> HeartbeatReply:
    async with session.post("/v1/heartbeats", data=msgspec.json.encode(beat)) as response:
        assert response.status == 200
        return msgspec.json.decode(await response.read(), type=HeartbeatReply)


async def shop(session: aiohttp.ClientSession) -> None:
    """cache fails; of two api instances one is degraded; web is well."""
    refused = check("tcp", "-", "connection refused by 127.0.0.1:6380", since=5)
    degraded = check("cache", "~", "hit ratio 0", since=6)
    await post(session, full("cache-1", 1, [refused], service="cache"))
    await post(session, full("api-1", 1, [check("ready"), degraded], service="api"))
    await post(session, full("api-2", 1, [check("ready")], service="api"))
    await post(session, full("web-1", 1, [check("ready")], service="web"))


async def get(session: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, str, bytes]:
    async with session.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()}) as response:
        return response.status, response.content_type, await response.read()


async def test_services_read_worst_first_with_since_and_reason() -> None:
    async with collector() as (_, session):
        await shop(session)
        status, _, body = await get(session, "/v1/services")
        assert status == 200
        found = msgspec.json.decode(body, type=resources.Services)
        assert [(s.service, s.status.value, s.reasons) for s in found.services] == [
            ("cache", "fail", ("cache-1: tcp: connection refused by 127.0.0.1:6380",)),
            ("api", "warn", ("api-1: cache: hit ratio 0",)),
            ("web", "pass", ()),
        ]
        assert b'"since":"2023-11-14T22:13:25Z"' in body
        assert b'"instances":{"pass":1,"warn":1,"fail":0,"unknown":0}' in body
        _, _, body = await get(session, "/v1/services?status=warn")
        assert [s.service for s in msgspec.json.decode(body, type=resources.Services).services] == ["api"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/health", 503),
        ("/v1/health?fail_on=never", 200),
        ("/v1/health?probe=live", 200),
        ("/v1/health?probe=ready", 503),
        ("/v1/health?probe=started", 200),
        ("/v1/services/api/health", 200),
        ("/v1/services/api/health?fail_on=warn", 503),
        ("/v1/services/cache/health", 503),
        ("/v1/services/cache/health?probe=ready", 503),
        ("/v1/services/cache/health?probe=live", 200),
        ("/v1/services/cache/health?fail_on=never", 200),
        ("/v1/services/mute/health", 503),
        ("/v1/services/mute/health?probe=ready", 503),
        ("/v1/services/mute/health?probe=live", 200),
        ("/v1/services/cache", 200),
    ],
)
async def test_only_gates_turn_a_status_into_a_code(path: str, expected: int) -> None:
    """Unknown closes all gates but the one for liveness."""
    async with collector() as (_, session):
        await shop(session)
        mute = [msgspec.structs.replace(check("alive", "?"), role=role) for role in ("liveness", "readiness")]
        mute = [msgspec.structs.replace(c, name=c.role) for c in mute]
        await post(session, full("mute-1", 1, mute, service="mute"))
        assert (await get(session, path))[0] == expected


async def test_a_gate_answers_head_too_as_some_load_balancers_ask() -> None:
    async with collector() as (_, session):
        await shop(session)
        for path, expected in (("/livez", 200), ("/v1/services/api/health", 200), ("/v1/health", 503)):
            async with session.head(path) as response:
                assert (response.status, await response.read()) == (expected, b"")


async def test_health_comes_in_three_forms() -> None:
    async with collector() as (_, session):
        await shop(session)
        _, kind, body = await get(session, "/v1/health")
        assert kind == "application/health+json"
        health = msgspec.json.decode(body, type=resources.Health)
        assert (health.status, health.checks["api"][0].status) == ("fail", "warn")
        assert (await get(session, "/v1/health", Accept="application/json"))[1] == "application/json"
        _, kind, body = await get(session, "/v1/health", Accept="*/*", User_Agent="curl/8.5.0")
        assert kind == "text/plain"
        rows = [line.split() for line in body.decode().splitlines()]
        assert rows[0] == ["fail:", "1", "of", "3", "services", "well"]
        assert rows[3][:4] == ["fail", "cache", "2023-11-14", "22:13:25"]
        assert " ".join(rows[3][5:]) == "0/1 cache-1: tcp: connection refused by 127.0.0.1:6380"
        assert [row[1] for row in rows[3:]] == ["cache", "api", "web"]


async def test_unknown_is_written_as_warn_with_a_flag() -> None:
    async with collector() as (_, session):
        await post(session, full("shop-1", 1, checks(ready="?")))
        health = msgspec.json.decode((await get(session, "/v1/health"))[2], type=resources.Health)
        assert (health.status, health.flags) == ("warn", ("unknown",))


async def test_silence_past_the_lease_is_stale_within_seconds_and_over_with_a_heartbeat() -> None:
    async with collector() as (_, session):
        await post(session, full("shop-1", 1, checks(ready="+"), interval=0.3))

        async def service() -> resources.Service:
            body = (await get(session, "/v1/services/shop"))[2]
            return msgspec.json.decode(body, type=resources.ServiceDetail).service

        assert (await service()).status == "pass"
        while (await service()).status == "pass":
            await asyncio.sleep(0.1)  # until the collector looks again
        assert ((await service()).status, (await service()).flags) == ("unknown", ("stale",))
        await post(session, full("shop-1", 2, checks(ready="+"), interval=10))
        assert (await service()).status == "pass"


async def test_what_has_not_changed_is_not_sent_again() -> None:
    async with collector() as (_, session):
        await shop(session)
        for path in ("/v1/services", "/v1/services/api", "/v1/instances"):
            async with session.get(path) as response:
                tag = response.headers["ETag"]
            assert (await get(session, path, If_None_Match=tag))[::2] == (304, b"")
        await post(session, full("web-1", 2, [check("ready", "-")], service="web"))
        assert (await get(session, "/v1/services", If_None_Match=tag))[0] == 200


async def test_instances_and_events_are_read_in_pages() -> None:
    async with collector() as (_, session):
        await shop(session)

        async def pages(path: str, key: str) -> AsyncIterator[list[dict[str, Any]]]:
            cursor = ""
            while True:
                body = msgspec.json.decode((await get(session, f"{path}&limit=2{cursor}"))[2])
                yield body[key]
                if body["next"] is None:
                    return
                cursor = f"&cursor={body['next']}"

        instances = [i["instance"] async for page in pages("/v1/instances?", "instances") for i in page]
        assert instances == ["cache-1", "api-1", "api-2", "web-1"]
        of_api = [i["instance"] async for page in pages("/v1/instances?service=api", "instances") for i in page]
        assert of_api == ["api-1", "api-2"]
        events = [e async for page in pages("/v1/events?service=cache", "events") for e in page]
        assert [(e["kind"], e["instance"], e["check"], e["after"]) for e in events] == [
            ("joined", None, None, "fail"),
            ("joined", "cache-1", None, "fail"),
            ("status", "cache-1", "tcp", "fail"),
        ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/v2", None, 404, "no such path /v2; / lists what there is"),
        ("GET", "/v1/services/nope", None, 404, "no service nope; /v1/services has those that are known"),
        ("GET", "/v1/services/nope/health", None, 404, "no service nope; /v1/services has those that are known"),
        ("PUT", "/v1/services", None, 405, "PUT is not allowed here, expected GET, HEAD"),
        ("GET", "/v1/services?state=fail", None, 400, "unknown query parameter 'state'; expected status"),
        ("GET", "/livez?x=1", None, 400, "unknown query parameter 'x'; this resource has none"),
        (
            "GET",
            "/v1/services?status=down",
            None,
            400,
            "query parameter status=down: expected fail, pass, unknown, warn",
        ),
        ("GET", "/v1/events?limit=0", None, 400, "query parameter limit=0: expected 1 to 1000"),
        ("GET", "/v1/events?limit=1&limit=2", None, 400, "query parameter 'limit' is given twice"),
        ("GET", "/v1/traces?error=maybe", None, 400, "query parameter error=maybe: expected true, false"),
        (
            "GET",
            "/v1/events?cursor=%25",
            None,
            400,
            "cursor: expected the value of next from an answer to the same question",
        ),
        (
            "GET",
            f"/v1/events?cursor={encode_cursor(10**20)}",
            None,
            400,
            "cursor: expected the value of next from an answer to the same question",
        ),
        ("POST", "/v1/heartbeats", b"{", 400, "not a heartbeat: Input data was truncated"),
        (
            "POST",
            "/v1/heartbeats",
            msgspec.json.encode(full("a", 1, ())).replace(b'"epoch":1', b'"epoch":1' + b"0" * 400),
            400,
            "epoch and seq: expected 0 to 2^63-1 each",
        ),
        (
            "POST",
            "/v1/heartbeats",
            b'{"instance": 1}',
            400,
            "not a heartbeat: Expected `str`, got `int` - at `$.instance`",
        ),
        (
            "POST",
            "/v1/heartbeats",
            b'{"a":' * 100_000,
            400,
            "not a heartbeat: nested too deeply",
        ),
        ("POST", "/v1/heartbeats", b" " * 1048577, 413, "the body is too large, expected at most 1048576 bytes"),
    ],
)
async def test_errors_say_what_was_expected(
    method: str, path: str, body: bytes | None, status: int, detail: str
) -> None:
    async with (
        collector() as (_, session),
        session.request(method, path, data=io.BytesIO(body) if body else None) as response,
    ):
        assert response.content_type == "application/problem+json"
        problem = msgspec.json.decode(await response.read(), type=Problem)
        assert (response.status, problem.status, problem.detail) == (status, status, detail)


async def send_otlp(running: Running, body: bytes) -> tuple[int, bytes]:
    """On a connection of its own."""
    headers = {"Content-Type": "application/x-protobuf"}
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as other,
        other.post("/v1/traces", data=body, headers=headers) as response,
    ):
        return response.status, await response.read()


async def test_every_path_of_the_table_answers_as_its_declared_type() -> None:
    async with collector() as (running, session):
        await shop(session)
        body = otlp_request("api", {"trace": 0xAB, "span": 1})
        assert (await send_otlp(running, body))[0] == 200
        for route in ROUTES:
            path = route.path.format(service="api", trace_id="ab" * 16) if "{" in route.path else route.path
            if route.method == "POST":
                continue
            status, _, answer = await get(session, path)
            assert status == (503 if route.path == "/v1/health" else 200), path
            msgspec.json.decode(answer, type=route.returns)


async def test_a_restarted_sidecar_and_a_goodbye_are_told() -> None:
    async with collector() as (_, session):
        await post(session, full("shop-1", 1, checks(ready="+"), epoch=1))
        await post(session, full("shop-1", 1, checks(ready="+"), epoch=2))
        await post(session, full("shop-1", 2, (), epoch=2, leaving=True))
        events = msgspec.json.decode((await get(session, "/v1/events"))[2], type=resources.Events).events
        assert [(e.kind.value, e.instance) for e in events] == [
            ("left", "shop-1"),
            ("restarted", "shop-1"),
            ("joined", "shop-1"),
        ]
        assert (await get(session, "/v1/services/shop"))[0] == 404


async def test_a_fleet_of_a_thousand_is_judged_at_once() -> None:
    async with collector() as (running, session):
        ready: Iterable[Check] = checks(ready="+")
        beats = [full(f"shop-{n}", 1, ready, epoch=time.time_ns()) for n in range(1000)]
        for at in range(0, 1000, 50):
            await asyncio.gather(*(post(session, beat) for beat in beats[at : at + 50]))
        assert len(running.fleet.instances) == 1000
        body = (await get(session, "/v1/services/shop"))[2]
        assert msgspec.json.decode(body, type=resources.ServiceDetail).service.instances.pass_ == 1000


async def test_a_compressed_heartbeat_is_refused_and_nothing_is_inflated() -> None:
    """A megabyte would become a gigabyte, while everybody else waits."""
    beat = gzip.compress(msgspec.json.encode(full("shop-1", 1, checks(ready="+"))))
    async with (
        collector() as (running, session),
        session.post("/v1/heartbeats", data=beat, headers={"Content-Encoding": "gzip"}) as response,
    ):
        assert (response.status, response.content_type) == (415, "application/problem+json")
        detail = (await response.json(content_type=None))["detail"]
        assert detail == "Content-Encoding gzip is not taken, expected none"
        assert running.fleet.instances == {}


async def test_the_gate_of_a_probe_is_the_worst_of_the_services_gates() -> None:
    """A liveness that is not known opens the gate, and does not hide one that is worse than allowed."""
    async with collector() as (_, session):
        assert (await get(session, "/v1/health?probe=live"))[0] == 200
        for name, letter in (("a", "+"), ("b", "?")):
            await post(session, full(f"{name}-1", 1, [check("alive", letter, role=Role.LIVENESS)], service=name))
        assert (await get(session, "/v1/health?probe=live&fail_on=warn"))[0] == 200
        await post(session, full("c-1", 1, [check("alive", "~", role=Role.LIVENESS)], service="c"))
        assert (await get(session, "/v1/health?probe=live&fail_on=warn"))[0] == 503
        status, _, body = await get(session, "/v1/health?probe=live")
        health = msgspec.json.decode(body, type=resources.Health)
        assert (status, health.description, health.status) == (200, "all services of the fleet, live", "warn")


async def test_what_is_not_http_is_answered_with_a_problem_and_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    out = io.StringIO()
    async with collector(log=logging.configure("info", out)) as (running, _):
        for said in (
            b"NONSENSE\r\n\r\n",
            b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
            b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
            b"POST /v1/heartbeats HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(said)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            assert head.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.0 400 Bad Request\r\n"))
            assert b"application/problem+json" in head
            assert b"Server:" not in head
            assert msgspec.json.decode(body, type=Problem).status == 400
    assert caplog.records == []
    assert [line for line in out.getvalue().splitlines() if "stood still" not in line] == []


async def test_no_answer_names_the_library() -> None:
    async with collector() as (_, session):
        for path in ("/", "/v1/health", "/nowhere", "/v1/services?x=1"):
            async with session.get(path) as response:
                assert "Server" not in response.headers
