"""The HTTP surface of a sidecar.

`/livez` answers for our own loop and nothing else; `/readyz` for our configuration and listeners, never for an upstream
or the neighbour; `/health` is the neighbour's verdict as a gate; `/status` is everything; `/metrics` is for Prometheus.
aiohttp is imported when the API opens, after the OTLP listeners are up: it is the largest of our imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from .io.clock import Clock
from .io.listener import Listener
from .logic.health_json import CONTENT_TYPE, health_json, rfc3339
from .logic.rollup import is_open
from .logic.schema import Address, show_duration
from .metrics.exposition import Exposition
from .model.health import CheckReport, State, Verdict
from .model.resource import Resource
from .model.signals import Metric
from .model.status import Status
from .version import VERSION

if TYPE_CHECKING:
    from aiohttp import web

GATES = ("live", "ready", "started")


class Source(Protocol):
    """What the surface asks: the running sidecar."""

    resource: Resource

    def now(self) -> float: ...
    def unready(self) -> Sequence[str]: ...
    def verdict(self) -> Verdict: ...
    def checks(self) -> Sequence[CheckReport]: ...
    def status(self) -> Status: ...
    def metrics(self) -> Sequence[Metric]: ...


def gate_of(verdict: Verdict, probe: str | None) -> tuple[State, bool]:
    """The state that a gate shows and whether it answers 200: unknown is 200 for liveness, 503 for the others."""
    state = {"live": verdict.live, "ready": verdict.ready, "started": verdict.started}.get(probe or "", verdict.status)
    return state, is_open(state, unknown_passes=probe == "live")


def health_text(verdict: Verdict, state: State, checks: Sequence[CheckReport], resource: Resource, now: float) -> str:
    """The verdict for a person at a terminal: one line, then a line a check, the worst first."""
    head = f"{state.value} since {rfc3339(verdict.since)} ({_ago(now - verdict.since)})"
    lines = [f"{head}  {resource.service} {resource.instance}"]
    width = max((len(check.name) for check in checks), default=0)
    for check in sorted(checks, key=lambda check: (check.state is State.PASS, check.name)):
        flags = f" [{', '.join(check.flags)}]" if check.flags else ""
        lines.append(
            f"  {check.state.value:<7}  {check.name:<{width}}  {_ago(now - check.since):>5}  {check.output}{flags}"
        )
    return "\n".join(lines) + "\n"


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return show_duration(float(int(max(0.0, seconds))))


def application(source: Source) -> web.Application:
    """The routes over `source`."""
    from aiohttp import web

    exposition = Exposition(source.metrics)

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reasons = source.unready()
        return web.Response(text="\n".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)

    async def health(request: web.Request) -> web.Response:
        unknown = set(request.query) - {"probe"}
        probe = request.query.get("probe")
        if unknown or (probe is not None and probe not in GATES):
            what = f"unknown parameter {min(unknown)!r}" if unknown else f"unknown probe {probe!r}"
            return web.json_response(
                {
                    "type": "about:blank",
                    "title": "Bad Request",
                    "status": 400,
                    "detail": f"{what}, expected probe=live, probe=ready or probe=started",
                },
                status=400,
                content_type="application/problem+json",
            )
        verdict, checks = source.verdict(), source.checks()
        state, is_up = gate_of(verdict, probe)
        headers = {"Cache-Control": "no-store"}
        if wants_text(request.headers.get("Accept", "*/*"), request.headers.get("User-Agent", "")):
            text = health_text(verdict, state, checks, source.resource, source.now())
            return web.Response(text=text, status=200 if is_up else 503, headers=headers)
        return web.Response(
            body=msgspec.json.encode(health_json(verdict, state, checks, source.resource)),
            content_type=CONTENT_TYPE,
            status=200 if is_up else 503,
            headers=headers,
        )

    async def status(_: web.Request) -> web.Response:
        body = msgspec.json.format(msgspec.json.encode(source.status()), indent=2)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = exposition.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", livez),
            web.get("/readyz", readyz),
            web.get("/health", health),
            web.get("/status", status),
            web.get("/metrics", metrics),
        ]
    )
    return app


def idle_application(problems: Sequence[str]) -> web.Application:
    """The surface of a sidecar whose configuration is bad: alive, not ready, and telling why on every path."""
    from aiohttp import web

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def why(_: web.Request) -> web.Response:
        return web.Response(
            text="\n".join(["the configuration is bad; telemetry is off", *problems]) + "\n", status=503
        )

    async def status(_: web.Request) -> web.Response:
        return web.json_response({"version": VERSION, "idle": True, "problems": list(problems)})

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", livez),
            web.get("/status", status),
            *(web.get(path, why) for path in ("/readyz", "/health", "/metrics")),
        ]
    )
    return app


class Surface:
    """An application that is open, or waiting for its port to become free."""

    def __init__(self, listener: Listener, runner: web.AppRunner) -> None:
        self.listener = listener
        self._runner = runner

    async def close(self) -> None:
        await self.listener.stop()
        await self._runner.cleanup()


async def open_surface(app: web.Application, address: Address, clock: Clock) -> Surface:
    """A taken port is not an error: the surface waits for it."""
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("the application was closed while it opened")
    listener = Listener(address, server, clock)
    await listener.start()
    return Surface(listener, runner)


def wants_text(accept: str, user_agent: str) -> bool:
    """Plain text when it is asked for, or by a terminal's client that takes anything."""
    if "json" in accept:
        return False
    return "text/plain" in accept or ("*/*" in accept and user_agent.lower().startswith(("curl/", "wget/", "httpie/")))
