"""The routes as an aiohttp application: parameters in, answers out, every error a problem (RFC 9457)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware
from structlog.typing import FilteringBoundLogger

from sidecar.logic.health_json import wants_text
from sidecar.model.signals import Signal

from .admission import MAX_BODY
from .api import Api
from .resources import Problem
from .route import Failure, Gate, Route
from .store import StoreError

IDLE = 75.0
"""Seconds without a whole request after which a connection is closed."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Reply(web.Response):
    """Any answer of ours: without the header that names library and version."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class Connection(web.RequestHandler):
    """aiohttp's connection, but for what is not HTTP: that gets a problem too, and no traceback in the log."""

    def __init__(self, server: web.Server, idle: float = IDLE) -> None:
        # None is what turns it off, whatever the annotation says.
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=idle,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        first = (message or "").strip().partition("\n")[0].rstrip(":")
        response = problem(status, f"not HTTP as we know it: {first[:200]}")
        response.force_close()
        return response


def application(api: Api, routes: Sequence[Route], log: FilteringBoundLogger) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_problems(log)])
    for route in routes:
        for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
            app.router.add_route(method, route.path, _serve(api, route))
    for signal in Signal:
        app.router.add_post(f"/v1/{signal}", _misdirected)
    return app


def _serve(api: Api, route: Route) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        query = parse_query(request.query, route.query)
        headers = {"Cache-Control": "no-cache"}
        if route.is_tagged:
            api.fleet.settle(api.now())
            headers["ETag"] = f'W/"{api.fleet.revision}"'
            if headers["ETag"] in request.headers.get("If-None-Match", ""):
                return Reply(status=304, headers=headers)
        answer = await route.handler(api, request, query)
        if isinstance(answer, Gate):
            return _gate(answer, request.headers.get("Accept", "*/*"), request.headers.get("User-Agent", ""))
        return Reply(body=_line(answer), content_type="application/json", headers=headers)

    return serve


def _gate(gate: Gate, accept: str, user_agent: str) -> Reply:
    status = 200 if gate.is_open else 503
    headers = {"Cache-Control": "no-store", "Vary": "Accept, User-Agent"}
    if wants_text(accept, user_agent):
        return Reply(text=gate.text, status=status, headers=headers)
    plain = "application/json" in accept and "health+json" not in accept
    content_type = "application/json" if plain else "application/health+json"
    return Reply(body=_line(gate.document()), content_type=content_type, status=status, headers=headers)


def parse_query(given: Any, kind: type[msgspec.Struct]) -> msgspec.Struct:
    """The parameters as their type. A name that is not known is refused with those that are."""
    known = kind.__struct_fields__
    for name in given:
        if name not in known:
            expected = f"expected {', '.join(known)}" if known else "this resource has none"
            raise Failure(400, f"unknown query parameter {name[:100]!r}; {expected}")
        if len(given.getall(name)) > 1:
            raise Failure(400, f"query parameter {name!r} is given twice")
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].strip("`") or "query"
        value = given.get(name, "")[:100]
        raise Failure(400, f"query parameter {name}={value}: {_expected(kind, name) or error}") from None


def _expected(kind: type[msgspec.Struct], name: str) -> str:
    """`expected pass, warn, fail, unknown` or `expected 1 to 1000`."""
    _, schemas = msgspec.json.schema_components([kind])
    schema = schemas[kind.__name__]["properties"].get(name, {})
    words: list[str] = []
    for option in schema.get("anyOf", [schema]):
        target = schemas.get(option.get("$ref", "").rpartition("/")[2], option)
        words += [str(word) for word in target.get("enum", ())]
        if target.get("type") == "boolean":
            words += ["true", "false"]
        if "minimum" in target:
            words.append(f"{target['minimum']} to {target['maximum']}")
    return f"expected {', '.join(words)}" if words else ""


def _problems(log: FilteringBoundLogger) -> Middleware:
    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Failure as failure:
            return problem(failure.status, failure.detail, failure.headers)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            match error:
                case web.HTTPMethodNotAllowed():
                    allowed = ", ".join(sorted(error.allowed_methods))
                    return problem(405, f"{request.method} is not allowed here, expected {allowed}", {"Allow": allowed})
                case web.HTTPNotFound():
                    return problem(404, f"no such path {request.path[:200]}; / lists what there is")
                case web.HTTPRequestEntityTooLarge():
                    return problem(413, f"the body is too large, expected at most {MAX_BODY} bytes")
                case _:
                    return problem(error.status, error.reason)
        except web.RequestPayloadError:
            return problem(400, "the body is not what its Transfer-Encoding says")
        except StoreError as error:
            return problem(503, f"the history can't be read: {error}")
        except Exception:
            log.exception("request failed", method=request.method, path=request.path)
            return problem(500, "this is a bug of the collector; its log has the details")

    return problems


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Reply:
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Reply(body=_line(body), status=status, content_type="application/problem+json", headers=headers)


def _line(document: object) -> bytes:
    """JSON that ends like a line: a shell's prompt comes behind it."""
    return msgspec.json.encode(document) + b"\n"


async def _misdirected(_: web.Request) -> web.StreamResponse:
    """OTLP on a connection that began with something else: which protocol serves a connection is chosen by its first
    bytes. OTLP clients retry a 503, and find the right one on their next connection."""
    response = problem(503, "send OTLP on a connection of its own", {"Retry-After": "1"})
    response.force_close()
    return response
