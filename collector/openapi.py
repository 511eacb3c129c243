"""OpenAPI 3.1 from the table of routes and the types of the answers: there is nothing to forget.

`python -m collector.openapi` prints it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from sidecar.version import VERSION

from .resources import NoQuery, Problem
from .route import Route

_REF = "#/components/schemas/{name}"
_PROBLEMS = {
    "400": "What was asked for is not understood",
    "401": "The collector requires a token that was not brought",
    "404": "Not known (any more)",
    "408": "The body did not come in time",
    "409": "Two sidecars report as the same instance, and this is not the one that counts",
    "413": "The body is too large",
    "415": "A body that is compressed",
    "429": "The fleet is too large; later perhaps",
    "503": "The collector can't read its token; later perhaps",
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole description, ready for JSON."""
    paths: dict[str, dict[str, Any]] = {}
    schemas = _schemas(routes)
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    queries = {route.query.__name__ for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Outrider collector",
            "version": VERSION,
            "description": (
                "The health of a fleet, as its sidecars tell it. "
                "OTLP/HTTP (POST /v1/traces, /v1/metrics, /v1/logs) is taken on the same port."
            ),
        },
        "paths": paths,
        "components": {"schemas": {name: schema for name, schema in schemas.items() if name not in queries}},
    }


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    types: list[Any] = [Problem]
    for route in routes:
        types += [route.returns, route.query, *([route.takes] if route.takes else [])]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    return components


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    answer = _content(route.returns, "application/health+json" if route.is_gate else "application/json")
    if route.is_gate:
        answer |= {**_content(route.returns, "application/json"), "text/plain": {"schema": {"type": "string"}}}
    responses: dict[str, Any] = {"200": {"description": _about(route), "content": answer}}
    if route.is_gate:
        responses["503"] = {"description": "Closed", "content": answer}
    if route.is_tagged:
        responses["304"] = {"description": "Nothing changed since the revision in If-None-Match"}
    problems = [
        "400",
        *(["404"] if "{" in route.path else []),
        *(["401", "408", "409", "413", "415", "429", "503"] if route.takes else []),
    ]
    for status in problems:
        responses[status] = {
            "description": _PROBLEMS[status],
            "content": _content(Problem, "application/problem+json"),
        }
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.handler.__name__,
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query, schemas)],
        "responses": responses,
    }
    if route.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.takes, "application/json")}
    return operation


def _about(route: Route) -> str:
    kind = route.returns
    is_ours = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return (is_ours and inspect.getdoc(kind)) or route.summary


def _content(kind: Any, media: str) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return {media: {"schema": schema}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(query: type[msgspec.Struct], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    properties = {} if query is NoQuery else schemas[query.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def text(routes: Sequence[Route]) -> str:
    return msgspec.json.format(msgspec.json.encode(document(routes)), indent=2).decode() + "\n"


if __name__ == "__main__":
    from .api import ROUTES

    sys.stdout.write(text(ROUTES))
