"""The whole configuration: the schema, assembled from the components' own, and how it is loaded.

`load` never prints and never exits: it returns a `Loaded` or raises `BadConfig` with every problem in it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import fields

from .export.otlp_grpc import Config as OtlpGrpcConfig
from .export.otlp_http import Config as OtlpHttpConfig
from .io.secrets import SecretValue
from .io.server_tls import Config as ServerTlsConfig
from .io.spool import Config as SpoolConfig
from .io.tls import Config as TlsConfig
from .io.yaml_file import BadYaml, load_file
from .logic.http_header import HeaderText, is_value
from .logic.layers import Layer, leaves, merge, otel_environment, own_environment, spelled_out
from .logic.redaction_config import Config as Redaction
from .logic.scalars import (
    Address,
    Duration,
    HttpUrl,
    ListenAddress,
    Rule,
    Scalar,
    Secret,
    SecretText,
    TargetUrl,
    masked_url,
    quoted,
    show_duration,
)
from .logic.schema import Checks, Problem, Table, hints, join, one_of, optional_of, scalar_of, shorthand_of
from .logic.schema import load as load_tree
from .logs.config import Entry as LogEntry
from .metrics.process import Config as ProcessConfig
from .otlp.http import Config as ReceiverLimits
from .otlp.listen import Grpc as GrpcConfig
from .otlp.listen import GrpcListener, HttpListener
from .otlp.listen import Http as HttpConfig
from .probes import PROBES
from .probes.base import CheckConfig
from .probes.http import Config as HttpCheck
from .probes.log import Config as LogCheck
from .probes.tcp import Config as TcpCheck

DEFAULT_FILE = "/etc/outrider/outrider.yaml"
LOGS = "OUTRIDER_LOGS"
"""Patterns of log files, with commas between them."""
# Read by other commands of the same image, so not ours to warn about.
KNOWN_ELSEWHERE = frozenset(
    {
        "OUTRIDER_CONFIG",
        LOGS,
        "OUTRIDER_COLLECTOR_LISTEN",
        "OUTRIDER_COLLECTOR_GRPC",
        "OUTRIDER_COLLECTOR_DB",
        "OUTRIDER_COLLECTOR_TOKEN_FILE",
        "OUTRIDER_COLLECTOR_CERT",
        "OUTRIDER_COLLECTOR_KEY",
        "OUTRIDER_COLLECTOR_CLIENT_CA",
    }
)

FROM_COLLECTOR = "default for collector.url"
"""Where an export comes from that is not written."""
MAX_LOGS = 32
"""Sources of logs."""
MAX_PROBES = 200
"""As many as a collector takes of one instance."""
ProbeName = Annotated[
    str,
    Rule(
        re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}").fullmatch,
        "is not a name",
        "a letter or digit, then letters, digits, _, . or -, at most 63 in all",
    ),
]

CheckConfigs = Annotated[CheckConfig, Table("kind", {kind: made.config for kind, made in PROBES.items()})]


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Who the telemetry is about. Environment variables `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` say it too."""

    name: Annotated[str, Rule(lambda name: len(name) <= 255, "is too long", "at most 255 characters")] = ""
    namespace: str = ""
    version: str = ""
    environment: str = ""
    instance: str = ""
    attributes: dict[str, str] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The neighbour: where it answers, and which process it is (by the URL's port, when that is on this host)."""

    url: TargetUrl | None = None
    process: ProcessConfig | None = None


class Otlp(ReceiverLimits, frozen=True, kw_only=True):
    """Where applications send their telemetry, and how much of it at once."""

    grpc: GrpcListener = GrpcConfig()
    http: HttpListener = HttpConfig()

    def listening(self) -> dict[str, Address]:
        """Those that are not switched off, by key."""
        addresses = {"otlp.http": self.http.listen, "otlp.grpc": self.grpc.listen}
        return {key: address for key, address in addresses.items() if address is not None}


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream, over HTTP or gRPC. A producer is answered OK when every required one has accepted."""

    otlp_http: OtlpHttpConfig | None = None
    otlp_grpc: OtlpGrpcConfig | None = None
    required: bool = True

    @property
    def kind(self) -> str:
        return "otlp_grpc" if self.otlp_grpc else "otlp_http"

    @property
    def sink(self) -> OtlpHttpConfig | OtlpGrpcConfig:
        """The one that is given."""
        return self.otlp_grpc or self.otlp_http or OtlpHttpConfig()

    def problems(self) -> Checks:
        if (self.otlp_http is None) is (self.otlp_grpc is None):
            given = "neither otlp_http nor otlp_grpc" if self.otlp_http is None else "both otlp_http and otlp_grpc"
            yield "", given, "one of them for each upstream"


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """Where heartbeats go and, unless an export is configured, telemetry too."""

    url: HttpUrl
    interval: Annotated[Duration, Rule(lambda s: 0.5 <= s <= 3600, "is out of range", "500ms to 1h")] = 10.0
    token: HeaderText | None = None
    tls: TlsConfig = TlsConfig()


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """With `token` all but the gates (`/livez`, `/readyz`, `/health`) asks for one of its lines as `Authorization: Bearer`."""

    listen: ListenAddress = Address("localhost", 4319)
    tls: ServerTlsConfig | None = None
    token: SecretText | None = None


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """How often the neighbour's process and the sidecar itself are measured and exported."""

    interval: Annotated[Duration, Rule(lambda s: s >= 1, "is too short", "at least 1s")] = 15.0


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """The sidecar's own log, on standard error."""

    level: Level = Level.INFO


class Config(msgspec.Struct, frozen=True, kw_only=True):
    service: Service = Service()
    target: Target = Target()
    probes: dict[ProbeName, CheckConfigs] = {}
    otlp: Otlp = Otlp()
    export: tuple[Export, ...] = ()
    spool: SpoolConfig | None = None
    logs: tuple[LogEntry, ...] = ()
    redaction: Redaction = Redaction()
    collector: Collector | None = None
    api: Api = Api()
    metrics: Metrics = Metrics()
    drain: Duration = 5.0
    log: Log = Log()

    def problems(self) -> Checks:
        yield self._probe_problems()
        yield self._log_problems()
        yield self._listener_problems()
        yield self._export_problems()

    def _probe_problems(self) -> Checks:
        if len(self.probes) > MAX_PROBES:
            yield "probes", f"{len(self.probes)} probes", f"at most {MAX_PROBES}"
        for name, check in self.probes.items():
            yield self._missing(name, check)

    def _missing(self, name: str, check: CheckConfig) -> Checks:
        for kind in PROBES.values():
            if isinstance(check, kind.config):
                for key, problem, expected in kind.misses(check, self.target.url):
                    yield join(f"probes.{name}", key), problem, expected

    def _log_problems(self) -> Checks:
        if len(self.logs) > MAX_LOGS:
            yield "logs", f"{len(self.logs)} sources", f"at most {MAX_LOGS}"
        labels: set[str] = set()
        for index, entry in enumerate(self.logs):
            yield _read_twice(index, entry, labels)
        yield self._source_problems()

    def _source_problems(self) -> Checks:
        labels = [entry.label for entry in self.logs]
        for name, check in self.probes.items():
            if isinstance(check, LogCheck):
                yield _not_read(name, check, labels)

    def _listener_problems(self) -> Checks:
        api, grpc, http = self.api, self.otlp.grpc, self.otlp.http
        yield _same_port("api.listen", api, "otlp.http", http)
        yield _same_port("api.listen", api, "otlp.grpc", grpc)
        yield _same_port("otlp.grpc", grpc, "otlp.http", http)

    def _export_problems(self) -> Checks:
        for index, export in enumerate(self.export):
            for listener in (self.otlp.http, self.otlp.grpc):
                yield _to_ourselves(f"export.{index}", export, listener)


def _read_twice(index: int, entry: LogEntry, labels: set[str]) -> Checks:
    """`labels` are those of the entries before."""
    if entry.label in labels:
        yield f"logs.{index}", f"{quoted(entry.label)} is read twice", "another name"
    labels.add(entry.label)


def _not_read(name: str, check: LogCheck, labels: list[str]) -> Checks:
    if check.source and check.source not in labels:
        expected = one_of(labels) if labels else "the name of an entry of logs"
        yield f"probes.{name}.source", f"{quoted(check.source)} is not read", expected


def _same_port(key: str, one: Api | GrpcConfig | HttpConfig, other_key: str, other: GrpcConfig | HttpConfig) -> Checks:
    if one.listen is not None and other.listen is not None and one.listen.overlaps(other.listen):
        yield key, f"{one.listen} is {other_key} too ({other.listen})", "another host or port"


def _to_ourselves(path: str, export: Export, listener: GrpcConfig | HttpConfig) -> Checks:
    def check(key: str, endpoint: str) -> Checks:
        if listener.listen is not None and _is_our_own(endpoint, listener.listen):
            yield f"{path}.{export.kind}.{key}", f'"{endpoint}" is this sidecar\'s own listener', "another host or port"

    for key, endpoint in export.sink.urls():
        yield check(key, endpoint)


def kind_of(check: CheckConfig) -> str:
    return next(kind for kind, made in PROBES.items() if made.config is type(check))


def _is_our_own(endpoint: str, listen: Address) -> bool:
    """By what is written; a name that only resolves to us is found out by the first request (`logic.loop`)."""
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (host in _HERE or host.startswith("127.")) and Address(host, port).overlaps(listen)


_HERE = frozenset({"localhost", "::1", "0.0.0.0", "::"})
"""Beside 127.0.0.0/8; a connection to the unspecified address is one to this host."""


class BadConfig(Exception):
    """Every problem, in the order found. `str()` is what is printed: one line each."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Loaded(msgspec.Struct, frozen=True):
    """A configuration that holds, where each given value came from (by dotted path), and what is worth a warning."""

    config: Config
    places: dict[str, str]
    warnings: list[str]


def load(flags: Mapping[str, str], environ: Mapping[str, str], file: str | None) -> Loaded:
    """Merge the layers and type them. `flags` maps dotted paths to what was given on the command line.

    `file` must be readable when it is named (by flag or `OUTRIDER_CONFIG`); the default one need not exist.
    Raises `BadConfig`.
    """
    named = file or environ.get("OUTRIDER_CONFIG")
    from_file = read(named or DEFAULT_FILE, must_exist=named is not None)
    given = Layer()
    for path, value in flags.items():
        _put(given, path, value, f"flag --{path.split('.')[0]}")
    own = own_environment(Config, environ, KNOWN_ELSEWHERE)
    if patterns := environ.get(LOGS):
        _put(own, "logs", patterns, f"environment {LOGS}")
    spelled_out(Config, from_file)
    merged = merge([from_file, otel_environment(environ), own, given])
    _derive(merged, environ)

    def files(config: Config) -> Checks:
        """Of what is written: those of a derived export are the collector's."""
        derived = merged.places.get("export") == FROM_COLLECTOR
        return _unreadable(msgspec.structs.replace(config, export=()) if derived else config)

    config, problems = load_tree(
        Config, merged.tree, merged.places, named or "default", whole=not from_file.problems, outside=files
    )
    problems = merged.problems + problems
    if config is None or problems:
        raise BadConfig(problems)
    return Loaded(config, merged.places, [*merged.warnings, *_doubtful(config)])


def _put(layer: Layer, path: str, value: str, place: str) -> None:
    """One given value; `logs` are patterns of files, with commas between them, or - for standard input."""
    if path == "logs":
        layer.put(
            path,
            [{"stdin": True} if glob.strip() == "-" else {"file": glob.strip()} for glob in value.split(",")],
            place,
        )
    else:
        layer.put(path, value, place)


def _derive(merged: Layer, environ: Mapping[str, str]) -> None:
    """Defaults that follow from the machine and from other values, so that one URL alone makes a working sidecar. From a wrong
    one nothing follows."""
    service, target, collector = (merged.tree.get(section) for section in ("service", "target", "collector"))
    url = target.get("url") if isinstance(target, dict) else None
    if service is None or (isinstance(service, dict) and service.get("instance") is None):
        # The instance is the host name (a container's id, a Pod's name). Beside a service on this host there may be others: two
        # of one name must not be taken for one.
        host = environ.get("HOSTNAME") or socket.gethostname()
        local = re.match(r"\w+://(?:localhost|127\.[\d.]+|\[::1\])(:\d+)", url) if isinstance(url, str) else None
        merged.put("service.instance", host + (local[1] if local else ""), "detected")
    if not merged.tree.get("probes") and isinstance(url, str):
        kind = "tcp" if url.startswith("tcp://") else "http"
        merged.put("probes", {kind: {"kind": kind, "role": "readiness"}}, "default for target.url")
    if not merged.tree.get("export") and collector and load_tree(Collector, collector, {}, "")[0] is not None:
        sink = {"endpoint": collector["url"], **({"tls": collector["tls"]} if collector.get("tls") else {})}
        merged.put("export", [{"otlp_http": sink}], FROM_COLLECTOR)


def read(file: str, *, must_exist: bool) -> Layer:
    """The layer of one YAML file."""
    layer = Layer()
    try:
        tree = load_file(file)
    except FileNotFoundError:
        if must_exist:
            layer.problems.append(Problem(file, "", "no such file", "a YAML file"))
        return layer
    except BadYaml as error:
        layer.problems.append(Problem(file, "", error.problem, error.expected))
        return layer
    if tree is not None and not isinstance(tree, dict):
        layer.problems.append(Problem(file, "", "the file is not a mapping", "keys such as target: and probes:"))
    elif tree:
        layer.tree = tree
        layer.places = {path: file for path, _ in leaves(tree)} | dict.fromkeys(tree, file)
    return layer


def _unreadable(loaded: Any, path: str = "") -> Checks:
    """Files that cannot be used: of secrets, also such that hold what no header can; of certificates and their keys. Read
    once, and never shown."""
    if isinstance(loaded, Secret) and loaded.file is not None:
        try:
            value = SecretValue(loaded).read()
        except OSError as error:
            yield path, f"{loaded.file}: {error.strerror}" if error.strerror else str(error), "a readable file"
        else:
            if not value:
                yield path, f"{loaded.file} is empty", "a secret in it"
            elif not is_value(value) and (".headers." in path or path == "collector.token"):
                yield path, f"{loaded.file} has more than one line, or a control character", "one line"
    elif isinstance(loaded, TlsConfig | ServerTlsConfig):
        for problems in loaded.unusable():
            yield ((join(path, key), problem, "a readable PEM file") for key, problem in problems)
    elif isinstance(loaded, msgspec.Struct):
        for name in loaded.__struct_fields__:
            yield _unreadable(getattr(loaded, name), join(path, name))
    elif isinstance(loaded, dict):
        for name, value in loaded.items():
            yield _unreadable(value, join(path, str(name)))
    elif isinstance(loaded, tuple):
        for index, value in enumerate(loaded):
            yield _unreadable(value, f"{path}.{index}")


def _doubtful(config: Config) -> Iterable[str]:
    """What Kubernetes allows too, and nobody means."""
    for name, check in config.probes.items():
        if check.timeout > check.period:
            long, short = show_duration(check.timeout), show_duration(check.period)
            yield f"probes.{name}: the timeout of {long} is longer than the period of {short}"
        yield from (f"probes.{name}.{never}" for never in _never_met(check))
    for index, export in enumerate(config.export):
        for key, address in export.sink.urls():
            tls = f"{key.removesuffix('endpoint')}tls"
            if address.startswith("http://") and getattr(export.sink, tls) not in (None, TlsConfig()):
                yield f"export.{index}.{export.kind}.{tls}: {masked_url(address)} is not https, so that this is not used"
    collector = config.collector
    if collector is not None and collector.url.startswith("http://") and collector.tls != TlsConfig():
        yield f"collector.tls: {masked_url(collector.url)} is not https, so that this is not used"


def _never_met(check: CheckConfig) -> Iterable[str]:
    """Conditions that no answer can meet, or break."""
    path, latency = "", None
    match check:
        case HttpCheck(expect=expect):
            path, latency = "expect.", expect.latency
            if check.method == "HEAD" and (expect.body or expect.json):
                yield f"expect: the answer to HEAD has no body, so that {'body' if expect.body else 'json'} never holds"
        case TcpCheck():
            latency = check.latency
    timeout = show_duration(check.timeout)
    if latency is not None and latency.warn is not None and latency.warn >= check.timeout:
        yield f"{path}latency.warn: {show_duration(latency.warn)} is never reached, the timeout is {timeout}"
    if latency is not None and latency.fail is not None and latency.fail > check.timeout:
        yield f"{path}latency.fail: {show_duration(latency.fail)} is never reached, the timeout is {timeout}"


def show(loaded: Loaded) -> list[tuple[str, str, str]]:
    """The effective configuration: (path, value as it would be written, where from), in the schema's order."""
    return list(_rows(Config, loaded.config, "", loaded.places))


def _rows(kind: Any, value: Any, path: str, places: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    kind = optional_of(kind) or kind
    if shorthand_of(kind) is not None:
        kind = kind.__origin__
    scalar: Scalar | None = scalar_of(kind)
    if isinstance(value, msgspec.Struct) and scalar is None:
        if isinstance(value, CheckConfig):
            yield f"{path}.kind", kind_of(value), _origin(path, places)
        defaults = {field.name: field.default for field in fields(value)}
        for name, annotation in hints(type(value)).items():
            at, below = join(path, name), getattr(value, name)
            if (below is not None or scalar_of(annotation) is not None) and below not in ((), {}, []):
                # Beside what is written in a list or a check stands what was left out of it.
                is_given = below != defaults[name] or any(f"{place}.".startswith(f"{at}.") for place in places)
                yield from _rows(annotation, below, at, places if is_given else {})
    elif isinstance(value, dict) and scalar is None:
        for name, below in value.items():
            yield from _rows(kind.__args__[1], below, join(path, name), places)
    elif isinstance(value, tuple) and scalar is None:
        for index, below in enumerate(value):
            yield from _rows(kind.__args__[0], below, f"{path}.{index}", places)
    else:
        yield path, scalar.show(value) if scalar else _plain(value), _origin(path, places)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _origin(path: str, places: Mapping[str, str]) -> str:
    while path:
        if path in places:
            return places[path]
        path = path.rpartition(".")[0]
    return "default"


__all__ = ["BadConfig", "Config", "Loaded", "load", "read", "show", "show_duration"]
