"""Around every request: duration and outcome counted, one log line, errors as problem+json (RFC 9457)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from .metrics import Metrics

# Asked every few seconds by every prober: counted nowhere, logged never.
QUIET = {"/healthz", "/readyz", "/metrics"}

log = structlog.stdlib.get_logger("fastjson-api")


def problem(status: int, detail: str) -> web.Response:
    title = HTTPStatus(status).phrase
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")


def observed(metrics: Metrics) -> Middleware:
    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        route = route_of(request)
        if route in QUIET:
            return await answered(request, handler)
        began = time.perf_counter()
        with metrics.active.track_inprogress():
            response = await answered(request, handler)
        took = time.perf_counter() - began
        method = request.method if request.method in hdrs.METH_ALL else "_OTHER"
        metrics.requests.labels(method, route, str(response.status)).observe(took)
        log.info(
            "request",
            method=method,
            path=request.path,
            status=response.status,
            duration_ms=round(took * 1000, 2),
            cache=response.headers.get("X-Cache"),
        )
        return response

    return middleware


async def answered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = problem(error.status, error.text or error.reason)
        if hdrs.ALLOW in error.headers:
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return response
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        return problem(500, "The request failed; the log of this service has the reason.")


def route_of(request: web.Request) -> str:
    """The route's template, so that the label has few values; `unmatched` for what is nowhere."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"
