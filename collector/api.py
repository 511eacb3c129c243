"""What the API answers. Reading a resource is always 200; only the `health` gates turn a status into 200 or 503.

`ROUTES` is the one table of method, path, handler, parameters and answer: the router is built from it, and so is
`openapi.json`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from sidecar.logic.rollup import is_open
from sidecar.model.health import State, Verdict
from sidecar.model.heartbeat import HEARTBEAT_PATH, Heartbeat, HeartbeatReply
from sidecar.model.signals import Signal
from sidecar.version import VERSION

from . import resources as shown
from . import views
from .admission import Refused
from .cursor import decode_cursor, encode_cursor
from .events import Moment
from .openapi import document
from .registry import Fleet, Service
from .resources import moment
from .route import Answer, Failure, Gate, Route
from .store import Store
from .text import fleet_text, service_text
from .token import Token
from .traces import Traces
from .verdict import fleet_status

EventId = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]

BODY = 10.0
"""Seconds in which the body of a heartbeat must have come."""
PAGE = 1000
"""Instances in the answer about one service."""


class Api:
    """The questions over one fleet. `now` is the clock; nothing here waits but for the store."""

    def __init__(
        self,
        fleet: Fleet,
        store: Store,
        traces: Traces,
        now: Callable[[], Moment],
        log: FilteringBoundLogger,
        token: Token | None = None,
    ) -> None:
        self.fleet = fleet
        self.store = store
        self.traces = traces
        self.now = now
        self._log = log
        self._token = token

    def record(self) -> None:
        """Hands to the store what happened since the last call; our own log gets what happened to services."""
        events = self.fleet.take_events()
        self.store.append(events)
        for event in events:
            if not event.instance:
                self._log.info(
                    f"service {event.kind}",
                    service=event.service,
                    before=event.before,
                    after=event.after,
                    output=event.output,
                )
        for notice in self.fleet.take_notices():
            self._log.warning(notice.what, service=notice.service, instance=notice.instance, why=notice.why)

    async def heartbeat(self, request: web.Request, _: shown.NoQuery) -> Answer:
        if self._token is not None:
            self._token.require(request.headers.get("Authorization", ""))
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise Failure(415, f"Content-Encoding {encoding[:100]} is not taken, expected none")
        try:
            async with asyncio.timeout(BODY):
                body = await request.read()
        except TimeoutError:
            raise Failure(408, f"the body did not come within {BODY:g} s") from None
        try:
            beat = msgspec.json.decode(body, type=Heartbeat)
        except RecursionError:
            raise Failure(400, "not a heartbeat: nested too deeply") from None
        except msgspec.DecodeError as error:
            raise Failure(400, f"not a heartbeat: {error}") from None
        reply = self.fleet.hear(beat, self.now())
        self.record()
        if isinstance(reply, Refused):
            raise Failure(reply.status, reply.why, {"Retry-After": "60"} if reply.status == 429 else None)
        return reply

    async def fleet_health(self, _: web.Request, query: shown.GateQuery) -> Answer:
        now = self.now()
        services = views.worst_first(self.fleet.services(now))
        states = [_gate(service.verdict, query) for service in services]
        state = fleet_status(states)

        def as_document() -> shown.Health:
            flags = {flag for service in services for flag in service.verdict.flags}
            return shown.Health(
                status=views.word(state),
                description=f"all services of the fleet, {query.probe or 'all checks'}",
                output="; ".join(reason for service in services for reason in service.verdict.reasons[:1]),
                flags=views.flags(state, sorted(flags)),
                as_of=moment(now.unix),
                since=None,
                revision=self.fleet.revision,
                checks=views.fleet_checks(services),
            )

        # Each for itself: an unknown that passes must not cover a warn that does not.
        opens = all(_opens(one, query) for one in states or [state])
        return Gate(opens, as_document, fleet_text(state, services, now.unix))

    async def service_health(self, request: web.Request, query: shown.GateQuery) -> Answer:
        now = self.now()
        service = self._service(request, now)
        verdict = service.verdict
        state = _gate(verdict, query)

        def as_document() -> shown.Health:
            return shown.Health(
                status=views.word(state),
                description=f"{service.name}, {query.probe or 'all checks'}",
                output="; ".join(verdict.reasons),
                flags=views.flags(state, verdict.flags),
                as_of=moment(now.unix),
                since=moment(verdict.since),
                revision=self.fleet.revision,
                checks=views.service_checks(service),
            )

        return Gate(_opens(state, query), as_document, service_text(state, service, now.unix))

    async def services(self, _: web.Request, query: shown.ServicesQuery) -> Answer:
        now = self.now()
        services = views.worst_first(self.fleet.services(now))
        return shown.Services(
            as_of=moment(now.unix),
            revision=self.fleet.revision,
            services=tuple(views.service(s) for s in services if query.status in (None, s.verdict.status)),
        )

    async def service(self, request: web.Request, _: shown.NoQuery) -> Answer:
        now = self.now()
        service = self._service(request, now)
        page = service.members[:PAGE]
        return shown.ServiceDetail(
            as_of=moment(now.unix),
            revision=self.fleet.revision,
            service=views.service(service),
            instances=tuple(views.instance(member) for member in page),
            next=encode_cursor(page[-1].place) if len(page) < len(service.members) else None,
        )

    async def instances(self, _: web.Request, query: shown.InstancesQuery) -> Answer:
        now = self.now()
        after = decode_cursor(query.cursor, tuple[int, str, str]) if query.cursor else (-9, "", "")
        found = sorted(
            (known.place, known)
            for known in self.fleet.instances.values()
            if query.service in (None, known.service) and query.status in (None, known.verdict.status)
        )
        page = [(key, known) for key, known in found if key > after][: query.limit]
        more = bool(page) and page[-1] != found[-1]
        return shown.Instances(
            as_of=moment(now.unix),
            revision=self.fleet.revision,
            instances=tuple(views.instance(known) for _, known in page),
            next=encode_cursor(page[-1][0]) if more else None,
        )

    async def events(self, _: web.Request, query: shown.EventsQuery) -> Answer:
        now = self.now()
        self.fleet.settle(now)
        self.record()
        before = decode_cursor(query.cursor, EventId) if query.cursor else None
        page = await self.store.page(service=query.service, before=before, limit=query.limit)
        return shown.Events(
            as_of=moment(now.unix),
            revision=self.fleet.revision,
            events=tuple(views.event(number, event) for number, event in page.events),
            next=encode_cursor(page.events[-1][0]) if page.more else None,
        )

    async def find_traces(self, _: web.Request, query: shown.TracesQuery) -> Answer:
        return shown.Traces(
            as_of=moment(self.now().unix),
            revision=self.fleet.revision,
            traces=tuple(self.traces.find(query.service, query.error, query.limit)),
        )

    async def trace(self, request: web.Request, _: shown.NoQuery) -> Answer:
        trace_id = request.match_info["trace_id"]
        found = self.traces.get(trace_id)
        if found is None:
            raise Failure(404, f"trace {trace_id[:64]} is not held (any more); expected 32 hex digits of a recent one")
        trace, spans = found
        return shown.TraceDetail(as_of=moment(self.now().unix), revision=self.fleet.revision, trace=trace, spans=spans)

    async def index(self, _: web.Request, __: shown.NoQuery) -> Answer:
        now = self.now()
        return shown.Index(
            as_of=moment(now.unix),
            version=VERSION,
            status=fleet_status(service.verdict.status for service in self.fleet.services(now)),
            revision=self.fleet.revision,
            instances=len(self.fleet.instances),
            heartbeats_ignored=self.fleet.ignored,
            events_dropped=self.store.dropped,
            telemetry=shown.Telemetry(
                spans=self.traces.received[Signal.TRACES],
                spans_held=len(self.traces),
                metrics_dropped=self.traces.received[Signal.METRICS],
                logs_dropped=self.traces.received[Signal.LOGS],
            ),
            links={route.path: route.summary for route in ROUTES if route.method == "GET" and route.path != "/"},
        )

    async def livez(self, _: web.Request, __: shown.NoQuery) -> Answer:
        return shown.Ok()

    async def readyz(self, _: web.Request, __: shown.NoQuery) -> Answer:
        return shown.Ok()  # the store was opened and the fleet restored before the port was

    async def openapi(self, _: web.Request, __: shown.NoQuery) -> Answer:
        return document(ROUTES)

    def _service(self, request: web.Request, now: Moment) -> Service:
        name = request.match_info["service"]
        service = self.fleet.service(name, now)
        if service is None:
            raise Failure(404, f"no service {name[:100]}; /v1/services has those that are known")
        return service


def _gate(verdict: Verdict, query: shown.GateQuery) -> State:
    gates = {"live": verdict.live, "ready": verdict.ready, "started": verdict.started}
    return gates[query.probe] if query.probe else verdict.status


def _opens(state: State, query: shown.GateQuery) -> bool:
    if query.fail_on == "never":
        return True
    return is_open(state, fail_on=State(query.fail_on), unknown_passes=query.probe == "live")


def _get(path: str, handler: Any, returns: Any, summary: str, **more: Any) -> Route:
    return Route(method="GET", path=path, handler=handler, returns=returns, summary=summary, **more)


ROUTES: tuple[Route, ...] = (
    _get("/", Api.index, shown.Index, "What there is to ask, and the collector about itself"),
    _get(
        "/v1/health",
        Api.fleet_health,
        shown.Health,
        "Gate over the whole fleet: 200 or 503",
        query=shown.GateQuery,
        is_gate=True,
    ),
    _get(
        "/v1/services",
        Api.services,
        shown.Services,
        "All services, the worst first",
        query=shown.ServicesQuery,
        is_tagged=True,
    ),
    _get(
        "/v1/services/{service}",
        Api.service,
        shown.ServiceDetail,
        "One service and its instances",
        is_tagged=True,
    ),
    _get(
        "/v1/services/{service}/health",
        Api.service_health,
        shown.Health,
        "Gate over one service: 200 or 503",
        query=shown.GateQuery,
        is_gate=True,
    ),
    _get(
        "/v1/instances",
        Api.instances,
        shown.Instances,
        "All instances and their checks, the worst first",
        query=shown.InstancesQuery,
        is_tagged=True,
    ),
    _get("/v1/events", Api.events, shown.Events, "What changed, newest first", query=shown.EventsQuery),
    _get("/v1/traces", Api.find_traces, shown.Traces, "The latest traces, newest first", query=shown.TracesQuery),
    _get("/v1/traces/{trace_id}", Api.trace, shown.TraceDetail, "One trace and its spans"),
    Route(
        method="POST",
        path=HEARTBEAT_PATH,
        handler=Api.heartbeat,
        returns=HeartbeatReply,
        summary="A sidecar's heartbeat",
        takes=Heartbeat,
    ),
    _get("/livez", Api.livez, shown.Ok, "The collector's loop turns"),
    _get("/readyz", Api.readyz, shown.Ok, "The collector takes heartbeats"),
    _get("/openapi.json", Api.openapi, dict[str, Any], "This API, in OpenAPI 3.1"),
)
