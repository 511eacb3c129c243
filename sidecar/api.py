"""The HTTP surface of a sidecar.

`/livez` answers for our own loop and nothing else; `/readyz` for our configuration and listeners, never for an upstream
or the neighbour; `/health` is the neighbour's verdict as a gate; `/status` is everything; `/metrics` is for Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from .io.bearer import Bearer
from .io.clock import Clock
from .io.http_server import Handler, HttpServer, Limits
from .io.listener import Listener
from .io.server_tls import ServerTls
from .logic.health_json import CONTENT_TYPE, health_json, rfc3339, wants_text
from .logic.http_message import Request, Response, problem
from .logic.rollup import badness, is_open, weight
from .logic.scalars import Address, show_duration
from .metrics.exposition import Exposition
from .model.health import CheckReport, Role, State, Verdict
from .model.resource import Resource
from .model.signals import Metric
from .model.status import Status
from .version import VERSION

GATES = {"live": Role.LIVENESS, "ready": Role.READINESS, "started": Role.STARTUP}
JSON = "application/json"
FRESH = {"Cache-Control": "no-store"}


class Source(Protocol):
    """What the surface asks: the running sidecar."""

    resource: Resource

    def now(self) -> float: ...
    def unready(self) -> Sequence[str]: ...
    def verdict(self, role: Role | None = None) -> Verdict: ...
    def checks(self) -> Sequence[CheckReport]: ...
    def status(self) -> Status: ...
    def metrics(self) -> Sequence[Metric]: ...


def health_text(verdict: Verdict, checks: Sequence[CheckReport], resource: Resource, now: float) -> str:
    """The verdict for a person at a terminal: one line, then a line a check, the worst first."""
    head = f"{verdict.status.value} since {rfc3339(verdict.since)} ({_ago(now - verdict.since)})"
    lines = [f"{head}  {resource.service} {resource.instance}"]
    width = max((len(check.name) for check in checks), default=0)
    lines += [
        f"  {check.state.value:<7}  {check.name:<{width}}  {_ago(now - check.since):>5}  {check.output}{_beside(check, now)}"
        for check in sorted(checks, key=lambda check: (-badness(weight(check)), check.name))
    ]
    return "\n".join(lines) + "\n"


def _beside(check: CheckReport, now: float) -> str:
    """What the state alone would hide: flags, severity, failures not enough yet, and how long the last success is ago."""
    notes = [flag.value for flag in check.flags]
    if weight(check) is not check.state:
        notes.append(f"counts as {weight(check)}")
    if check.failing and check.state is not State.FAIL:
        notes.append(f"failed {check.failing} of {check.failure_threshold} times in a row")
    if check.failing and check.last_success is not None:
        notes.append(f"last success {_ago(now - check.last_success)} ago")
    return f" [{', '.join(notes)}]" if notes else ""


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return show_duration(float(int(max(0.0, seconds))))


def application(source: Source, bearer: Bearer | None = None) -> dict[str, Handler]:
    """The routes over `source`. With `bearer` all but the gates asks for a token: who asks those (a kubelet, a load balancer)
    has none to give, and they tell no more than a word or a check's name."""
    exposition = Exposition(source.metrics)

    async def readyz(_: Request) -> Response:
        reasons = source.unready()
        return Response(503 if reasons else 200, _text(reasons or ["ok"]))

    async def health(request: Request) -> Response:
        if what := _misasked(request.query):
            return problem(400, f"{what}, expected probe=live, probe=ready or probe=started")
        role = GATES.get(dict(request.query).get("probe", ""))
        verdict, checks = source.verdict(role), source.checks()
        # Unknown is 200 for liveness, 503 for the others.
        status = 200 if is_open(verdict.status, unknown_passes=role is Role.LIVENESS) else 503
        if wants_text(request.headers.get("accept", "*/*"), request.headers.get("user-agent", "")):
            text = health_text(verdict, checks, source.resource, source.now())
            return Response(status, text.encode(), headers=FRESH)
        document = health_json(verdict, checks, source.resource)
        return Response(status, msgspec.json.encode(document), CONTENT_TYPE, FRESH)

    async def status(_: Request) -> Response:
        text = msgspec.json.format(msgspec.json.encode(source.status()), indent=2)
        return Response(200, text + b"\n", JSON, FRESH)

    async def metrics(request: Request) -> Response:
        body, content_type = exposition.render(request.headers.get("accept", ""))
        return Response(200, body, content_type)

    guarded: dict[str, Handler] = {"/status": status, "/metrics": metrics}
    if bearer is not None:
        guarded = {path: _with_token(handler, bearer) for path, handler in guarded.items()}
    return {"/livez": _livez, "/readyz": readyz, "/health": health, **guarded}


def _with_token(handler: Handler, bearer: Bearer) -> Handler:
    async def guarded(request: Request) -> Response:
        refused = bearer.problem(request.headers.get("authorization", "").encode("latin-1"))
        if refused is None:
            return await handler(request)
        status, why = refused
        return problem(status, why, {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "1"})

    return guarded


def idle_application(problems: Sequence[str]) -> dict[str, Handler]:
    """The surface of a sidecar whose configuration is bad: alive, not ready, and telling why on every path."""

    async def why(_: Request) -> Response:
        return Response(503, _text(["the configuration is bad; telemetry is off", *problems]))

    async def status(_: Request) -> Response:
        text = msgspec.json.format(
            msgspec.json.encode({"version": VERSION, "idle": True, "problems": problems}), indent=2
        )
        return Response(200, text + b"\n", JSON)

    return {"/livez": _livez, "/status": status, "/readyz": why, "/health": why, "/metrics": why}


async def _livez(_: Request) -> Response:
    return Response(200, b"ok\n")


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _misasked(query: Sequence[tuple[str, str]]) -> str:
    """What is wrong with the parameters of `/health`."""
    for name, value in query:
        if name != "probe":
            return f"unknown parameter {name[:100]!r}"
        if value not in GATES:
            return f"unknown probe {value[:100]!r}"
    return "probe is given twice" if len(query) > 1 else ""


class Surface:
    """A server that listens, or waits for its port to become free."""

    def __init__(self, listener: Listener, server: HttpServer) -> None:
        self.listener = listener
        self._server = server

    async def close(self) -> None:
        await self.listener.stop()
        await self._server.close()


async def open_surface(
    routes: Mapping[str, Handler],
    address: Address,
    clock: Clock,
    limits: Limits | None = None,
    tls: ServerTls | None = None,
) -> Surface:
    """A taken port is not an error: the surface waits for it."""
    server = HttpServer(routes, limits)
    listener = Listener(address, server.protocol, clock, tls, max(1, server.limits.connections // 8))
    await listener.start()
    return Surface(listener, server)
