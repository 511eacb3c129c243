"""Where values come from: layers of mappings, merged so that the later wins and each value keeps its place.

The order is default < detected < file < environment < flags. A layer is a tree of plain values and, for every leaf in it,
the place it was written at. The names of environment variables follow from the schema: `OUTRIDER_` and the path in
capitals, for every scalar that stands at a fixed path (`OUTRIDER_TARGET_PROCESS_PORT`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from .scalars import quoted
from .schema import Problem, bare, hints, join, optional_of, scalar_of, shorthand_of, table_of

PREFIX = "OUTRIDER_"

# Kubernetes and Docker links put these beside every container for a Service that happens to be named `outrider-…`.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


class Layer(msgspec.Struct):
    """Values and their places; `problems` and `warnings` are what was wrong on the way."""

    tree: dict[str, Any] = msgspec.field(default_factory=dict)
    places: dict[str, str] = msgspec.field(default_factory=dict)
    problems: list[Problem] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)

    def put(self, path: str, value: Any, place: str) -> None:
        """Set `path`, and with it everything below: a value laid over another hides all of it."""
        *parents, last = path.split(".")
        at = self.tree
        for key in parents:
            below = at.get(key)
            if not isinstance(below, dict):
                below = at[key] = {}
            at = below
        at[last] = value
        self.places[path] = place


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is not a mapping, with its path; an empty mapping is a leaf."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from leaves(value, join(path, str(key)))
    else:
        yield path, tree


def merge(layers: list[Layer]) -> Layer:
    """Later layers win, mapping by mapping; lists are replaced whole. What should be a mapping and is none stays, to be told."""
    merged = Layer()
    for layer in layers:
        merged.tree = _overlay(merged.tree, layer.tree)
        merged.places |= layer.places
        merged.problems += layer.problems
        merged.warnings += layer.warnings
    return merged


def _overlay(below: Any, above: Any) -> Any:
    if isinstance(above, dict) and below is not None:
        if not isinstance(below, dict):
            return below
        return below | {key: _overlay(below[key], value) if key in below else value for key, value in above.items()}
    return above


def spelled_out(kind: type, layer: Layer, path: str = "") -> None:
    """Replace what is written in short by the mapping that it stands for, so that another layer can add to it."""
    for name, annotation in hints(kind).items():
        at, inner = join(path, name), optional_of(annotation) or annotation
        key = shorthand_of(inner)
        if key is not None:
            value = _below(layer.tree, at)
            if value is not None and not isinstance(value, Mapping):
                place = layer.places.get(at, "")
                layer.put(at, {key: value}, place)
                layer.places[join(at, key)] = place
        elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            spelled_out(inner, layer, at)


def _below(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def variables(kind: type, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and environment variable of each scalar that one can hold, in the schema's order. That of a struct with a shorthand
    is its own (`OUTRIDER_OTLP_GRPC` is `otlp.grpc.listen`)."""
    for field, annotation in hints(kind).items():
        inner = optional_of(annotation) or annotation
        at = join(path, field)
        if scalar_of(inner) is not None:
            yield at, variable(at)
        elif (key := shorthand_of(inner)) is not None:
            for below, of_it in variables(inner.__origin__, at):
                yield below, variable(at) if below == join(at, key) else of_it
        elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from variables(inner, at)
        elif isinstance(bare(inner), type) and table_of(annotation) is None:
            yield at, variable(at)


def variable(path: str) -> str:
    return PREFIX + path.replace(".", "_").upper()


def own_environment(kind: type, environ: Mapping[str, str], known_elsewhere: frozenset[str]) -> Layer:
    """The layer of `OUTRIDER_*`. An unknown one warns: it may be meant for a newer version."""
    layer = Layer()
    paths = {name: path for path, name in variables(kind)}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known_elsewhere:
            continue
        linked = _LINK_VALUE.match(environ[name]) and not paths.get(name, "").endswith("url")
        if linked or (name not in paths and _SERVICE_LINK.search(name)):
            continue
        if name in paths:
            if environ[name] != "":  # an unset value in Compose arrives as an empty one
                layer.put(paths[name], environ[name], f"environment {name}")
            continue
        near = difflib.get_close_matches(name, [*paths, *known_elsewhere], 1, 0.8)
        layer.warnings.append(
            f"environment {name}: unknown variable" + (f', did you mean "{near[0]}"?' if near else "")
        )
    return layer


RESOURCE_KEYS = {
    "service.name": "name",
    "service.namespace": "namespace",
    "service.version": "version",
    "service.instance.id": "instance",
    "deployment.environment.name": "environment",
    "deployment.environment": "environment",
}


def otel_environment(environ: Mapping[str, str]) -> Layer:
    """The layer of `OTEL_*` as the OpenTelemetry specification means them, for our own resource and export.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    layer = Layer()
    _resource(layer, environ)
    _exporter(layer, environ)
    if interval := environ.get("OTEL_METRIC_EXPORT_INTERVAL"):
        _milliseconds(layer, "metrics.interval", interval, "OTEL_METRIC_EXPORT_INTERVAL")
    return layer


def _resource(layer: Layer, environ: Mapping[str, str]) -> None:
    place = "environment OTEL_RESOURCE_ATTRIBUTES"
    for pair in filter(None, (p.strip() for p in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))):
        key, equals, value = pair.partition("=")
        key, value = unquote(key.strip()), unquote(value.strip())
        if not equals or not key:
            layer.problems.append(Problem(place, "", f"{quoted(pair)} is not an attribute", "key=value,key=value"))
        elif key in RESOURCE_KEYS:
            layer.put(f"service.{RESOURCE_KEYS[key]}", value, place)
        else:
            layer.tree.setdefault("service", {}).setdefault("attributes", {})[key] = value
            layer.places["service.attributes"] = place
    if name := environ.get("OTEL_SERVICE_NAME"):
        layer.put("service.name", name, "environment OTEL_SERVICE_NAME")


_EXPORTER = "OTEL_EXPORTER_OTLP_"
_FILES = {"CERTIFICATE": "ca", "CLIENT_CERTIFICATE": "cert", "CLIENT_KEY": "key"}
_PROTOCOLS = {"http/protobuf": "otlp_http", "grpc": "otlp_grpc"}
_SIGNALS = ("TRACES", "METRICS", "LOGS")


def _exporter(layer: Layer, environ: Mapping[str, str]) -> None:
    endpoints = [f"{signal}ENDPOINT" for signal in ("", *(f"{name}_" for name in _SIGNALS))]
    if not any(environ.get(_EXPORTER + suffix) for suffix in endpoints):
        return
    kind = _protocol(layer, environ)
    sink: dict[str, Any] = {}
    at = f"export.0.{kind}"

    def take(suffix: str, key: str, value: Any) -> None:
        sink[key] = value
        layer.places[f"{at}.{key}"] = f"environment {_EXPORTER}{suffix}"

    for suffix in endpoints:
        if value := environ.get(_EXPORTER + suffix):
            take(suffix, suffix.lower(), _target(environ, suffix, value) if kind == "otlp_grpc" else value)
    if value := environ.get(_EXPORTER + "COMPRESSION"):
        take("COMPRESSION", "compression", value)
    if value := environ.get(_EXPORTER + "HEADERS"):
        take("HEADERS", "headers", dict(_headers(layer, value)))
    _tls(layer, environ, sink, at)
    layer.tree["export"] = [{kind: sink}]
    layer.places["export"] = f"environment {_EXPORTER}ENDPOINT"
    if value := environ.get(_EXPORTER + "TIMEOUT"):
        if re.fullmatch(r"\d+", value):
            take("TIMEOUT", "timeout", f"{value}ms")
        else:
            layer.problems.append(
                Problem(f"environment {_EXPORTER}TIMEOUT", "", f"{quoted(value)} is not a number", "milliseconds")
            )


def _tls(layer: Layer, environ: Mapping[str, str], sink: dict[str, Any], at: str) -> None:
    """Files for all signals, and for one: those stand before the former, file by file."""
    common = _files(environ, "")
    for signal in ("", *(f"{name}_" for name in _SIGNALS)):
        own = _files(environ, signal) if signal else common
        if own:
            key = f"{signal.lower()}tls"
            sink[key] = {name: file for name, (_, file) in (common | own).items()}
            for name, (variable, _) in (common | own).items():
                layer.places[f"{at}.{key}.{name}"] = f"environment {variable}"


def _files(environ: Mapping[str, str], signal: str) -> dict[str, tuple[str, str]]:
    """Key -> variable and file."""
    given = {name: f"{_EXPORTER}{signal}{suffix}" for suffix, name in _FILES.items()}
    return {name: (variable, environ[variable]) for name, variable in given.items() if environ.get(variable)}


def _protocol(layer: Layer, environ: Mapping[str, str]) -> str:
    """The kind of export. One signal's protocol stands before that for all; an upstream has one for all signals."""
    spoken = ""
    for signal in _SIGNALS:
        own = f"{_EXPORTER}{signal}_PROTOCOL"
        name = own if environ.get(own) else f"{_EXPORTER}PROTOCOL"
        protocol = environ.get(name) or "http/protobuf"
        if protocol not in _PROTOCOLS:
            problem = Problem(f"environment {name}", "", f"{quoted(protocol)} is not spoken", "http/protobuf or grpc")
            if problem not in layer.problems:
                layer.problems.append(problem)
            spoken = "http/protobuf"
        elif spoken and protocol != spoken:
            why = f"{quoted(protocol)} for {signal.lower()} and {quoted(spoken)} for others"
            layer.problems.append(Problem(f"environment {name}", "", why, "one protocol for all signals"))
            break
        else:
            spoken = protocol
    return _PROTOCOLS[spoken]


def _target(environ: Mapping[str, str], suffix: str, value: str) -> str:
    """An endpoint of gRPC as a URL: it may come without a scheme, and `…INSECURE` is for those alone."""
    if "://" in value:
        return value
    own = environ.get(_EXPORTER + suffix.replace("ENDPOINT", "INSECURE"))
    insecure = own or environ.get(_EXPORTER + "INSECURE") or ""
    return f"{'http' if insecure.strip().lower() == 'true' else 'https'}://{value}"


def _headers(layer: Layer, text: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = pair.partition("=")
        if equals and key.strip():
            yield unquote(key.strip()), unquote(value.strip())
        else:
            # The pair is not shown: headers carry tokens.
            layer.problems.append(
                Problem(f"environment {_EXPORTER}HEADERS", "", "a pair has no name or no =", "key=value,key=value")
            )


def _milliseconds(layer: Layer, path: str, value: str, name: str) -> None:
    if re.fullmatch(r"\d+", value):
        layer.put(path, f"{value}ms", f"environment {name}")
    else:
        layer.problems.append(Problem(f"environment {name}", "", f"{quoted(value)} is not a number", "milliseconds"))
