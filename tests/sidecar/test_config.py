"""Configuration: where values come from, and what is said of bad ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.config import BadConfig, Config, Loaded, load, show
from sidecar.export.otlp import Compression
from sidecar.io.tls import Config as Tls
from sidecar.logic.scalars import Address, Secret
from sidecar.model.signals import Signal
from sidecar.probes import http, tcp
from tests.certificates import Authority

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "config").glob("*.txt"))
LINE = "----------\n"
ENVIRON = {"HOSTNAME": "pod-1"}

ENDPOINT = "export.0.otlp_http.endpoint"
EXPECTED_TARGET = "expected a URL such as http://127.0.0.1:8080 or tcp://127.0.0.1:6379"
EXPECTED_URL = "expected a URL such as http://127.0.0.1:8080"
EXPECTED_ADDRESS = "expected host:port such as 127.0.0.1:4318"
EXPECTED_DURATION = "expected a number with a unit such as 500ms, 10s or 2m"


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str = "", environ: dict[str, str] | None = None, flags: dict[str, str] | None = None) -> Loaded:
    Path("outrider.yaml").write_text(text)
    return load(flags or {}, {**ENVIRON, **(environ or {})}, "outrider.yaml")


def problems(text: str = "", environ: dict[str, str] | None = None, flags: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(BadConfig) as bad:
        loaded(text, environ, flags)
    return str(bad.value).splitlines()


def test_there_are_enough_of_them() -> None:
    assert len(GOLDEN) >= 25


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_a_bad_file_is_told_all_of_it_literally(golden: Path) -> None:
    text, _, expected = golden.read_text().partition(LINE)
    assert "\n".join(problems(text)) + "\n" == expected


def rows(loaded: Loaded) -> dict[str, tuple[str, str]]:
    return {path: (value, place) for path, value, place in show(loaded)}


def test_what_is_left_out_of_a_check_or_of_an_entry_of_a_list_is_shown_as_a_default() -> None:
    text = "probes: {x: {kind: tcp, address: '127.0.0.1:1', period: 10s}}\nexport: [{otlp_http: {endpoint: 'http://u:1'}}]\n"
    shown = rows(loaded(text))
    assert shown["probes.x.kind"] == ("tcp", "outrider.yaml")
    assert shown["probes.x.period"] == ("10s", "outrider.yaml")
    assert shown["probes.x.timeout"] == ("1s", "default")
    assert shown["export.0.otlp_http.endpoint"] == ("http://u:1", "outrider.yaml")
    assert shown["export.0.otlp_http.timeout"] == ("10s", "default")


def test_flags_win_over_environment_over_file_over_detected_over_default() -> None:
    text = "target: {url: 'http://file:1'}\ndrain: 1s\nservice: {name: from-file}\n"
    environ = {"OUTRIDER_TARGET_URL": "http://env:2", "OUTRIDER_DRAIN": "2s"}
    shown = rows(loaded(text, environ, {"target.url": "http://flag:3"}))
    assert shown["target.url"] == ("http://flag:3", "flag --target")
    assert shown["drain"] == ("2s", "environment OUTRIDER_DRAIN")
    assert shown["service.name"] == ("from-file", "outrider.yaml")
    assert shown["service.instance"] == ("pod-1", "detected")
    assert shown["metrics.interval"] == ("15s", "default")


def test_one_url_makes_a_working_sidecar() -> None:
    config = load({"target.url": "http://127.0.0.1:8080"}, ENVIRON, None).config
    (check,) = config.probes.values()
    assert isinstance(check, http.Config)
    assert check.role == "readiness"
    config = load({"target.url": "tcp://127.0.0.1:6379"}, ENVIRON, None).config
    assert isinstance(config.probes["tcp"], tcp.Config)


def test_the_collector_is_the_upstream_unless_an_export_is_configured() -> None:
    config = loaded("collector: {url: 'http://c:4320'}\n").config
    assert [e.sink.endpoint for e in config.export] == ["http://c:4320"]
    config = loaded("collector: {url: 'http://c:4320'}\nexport: [{otlp_http: {endpoint: 'http://gw:4318'}}]\n").config
    assert [e.sink.endpoint for e in config.export] == ["http://gw:4318"]


def test_nothing_at_all_is_a_valid_configuration() -> None:
    config = load({}, {"HOSTNAME": "h"}, None).config
    assert (config.probes, config.export, config.collector) == ({}, (), None)
    assert config.api.listen == Address("localhost", 4319)


def test_a_named_file_must_exist() -> None:
    with pytest.raises(BadConfig) as bad:
        load({}, ENVIRON, "missing.yaml")
    assert str(bad.value) == "missing.yaml: no such file, expected a YAML file"
    with pytest.raises(BadConfig):
        load({}, {"OUTRIDER_CONFIG": "missing.yaml"}, None)


def test_bad_environment_and_flags_name_their_place() -> None:
    environ = {
        "OUTRIDER_DRAIN": "soon",
        "OUTRIDER_API_LISTEN": "4319",
        "OTEL_RESOURCE_ATTRIBUTES": "team",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "gateway:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_HEADERS": "secret-without-equals",
    }
    told = problems("", environ, {"target.url": "localhost"})
    assert told == [
        'environment OTEL_RESOURCE_ATTRIBUTES: "team" is not an attribute, expected key=value,key=value',
        'environment OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" is not spoken, expected http/protobuf or grpc',
        "environment OTEL_EXPORTER_OTLP_HEADERS: a pair has no name or no =, expected key=value,key=value",
        f'flag --target: target.url: "localhost" has no scheme, {EXPECTED_TARGET}, did you mean "http://localhost"?',
        f'environment OTEL_EXPORTER_OTLP_ENDPOINT: {ENDPOINT}: "gateway:4317" has no scheme, {EXPECTED_URL}, did you mean "http://gateway:4317"?',
        f'environment OUTRIDER_API_LISTEN: api.listen: "4319" has no host, {EXPECTED_ADDRESS}, did you mean "127.0.0.1:4319"?',
        f'environment OUTRIDER_DRAIN: drain: "soon" is not a duration, {EXPECTED_DURATION}',
    ]


def test_otel_variables_keep_their_meaning() -> None:
    environ = {
        "OTEL_SERVICE_NAME": "api",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,service.version=1.2,k8s.pod.name=api-0,team=a%2Cb",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://gw:4318",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4318/in",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x,x-tenant=a",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        "OTEL_METRIC_EXPORT_INTERVAL": "30000",
    }
    config = loaded("", environ).config
    assert (config.service.name, config.service.version) == ("api", "1.2")
    assert config.service.attributes == {"k8s.pod.name": "api-0", "team": "a,b"}
    (export,) = config.export
    assert export.sink.headers == {"authorization": Secret("Bearer x"), "x-tenant": Secret("a")}
    assert export.sink.timeout == 2.5
    assert str(export.sink.compression) == "gzip"
    assert export.sink.traces_endpoint == "http://traces:4318/in"
    assert config.metrics.interval == 30


def test_certificates_of_otel_variables_are_for_all_signals_or_for_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    cert, key = map(str, authority.issue("us"))
    ca = str(authority.ca)
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://gw:4318",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": ca,
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE": cert,
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY": key,
    }
    shown = rows(loaded("", environ))
    place = "environment OTEL_EXPORTER_OTLP_CERTIFICATE"
    assert shown["export.0.otlp_http.tls.ca"] == shown["export.0.otlp_http.logs_tls.ca"] == (ca, place)
    assert shown["export.0.otlp_http.logs_tls.key"] == (key, "environment OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY")
    assert "export.0.otlp_http.tls.key" not in shown
    del environ["OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY"]
    environ["OTEL_EXPORTER_OTLP_CERTIFICATE"] = "/nowhere"
    place_of_cert = "environment OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE"
    told = f"{place_of_cert}: export.0.otlp_http.logs_tls.cert: given without key, expected both, or none"
    nowhere = "/nowhere: No such file or directory, expected a readable PEM file"
    assert problems("", environ) == [
        told,
        f"{place}: export.0.otlp_http.tls.ca: {nowhere}",
        f"{place}: export.0.otlp_http.logs_tls.ca: {nowhere}",
    ]


def test_the_collector_is_reached_by_its_tls_for_telemetry_too(tmp_path: Path) -> None:
    ca = str(Authority(tmp_path / "ca").ca)
    environ = {"OUTRIDER_COLLECTOR_URL": "https://c:4320", "OUTRIDER_COLLECTOR_TLS_CA": ca}
    config = loaded("", environ).config
    assert config.collector is not None
    assert config.collector.tls == config.export[0].sink.tls == Tls(ca=ca)


def test_an_address_alone_is_short_for_a_listener_and_each_layer_may_add_to_it(tmp_path: Path) -> None:
    cert, key = map(str, Authority(tmp_path / "ca").issue())
    environ = {"OUTRIDER_OTLP_GRPC_TLS_CERT": cert, "OUTRIDER_OTLP_GRPC_TLS_KEY": key}
    shown = rows(loaded("otlp: {grpc: '127.0.0.1:1', http: '127.0.0.1:2'}\n", {**environ, "OUTRIDER_OTLP_HTTP": "h:3"}))
    assert shown["otlp.grpc.listen"] == ("127.0.0.1:1", "outrider.yaml")
    assert shown["otlp.grpc.tls.cert"] == (cert, "environment OUTRIDER_OTLP_GRPC_TLS_CERT")
    assert shown["otlp.http.listen"] == ("h:3", "environment OUTRIDER_OTLP_HTTP")
    in_full = loaded(f"otlp: {{grpc: {{listen: '127.0.0.1:1', tls: {{cert: {cert}, key: {key}}}}}, http: 'h:3'}}\n")
    assert {k: v for k, (v, _) in rows(in_full).items()} == {k: v for k, (v, _) in shown.items()}


@pytest.mark.parametrize("off", ["off", "'off'", "false"])
def test_a_port_can_be_switched_off(off: str) -> None:
    """Also where the other one has its address."""
    text = f"otlp: {{grpc: {off}, http: 'localhost:4317'}}\n"
    assert loaded(text).config.otlp.grpc.listen is None
    assert rows(loaded(text))["otlp.grpc.listen"] == ("off", "outrider.yaml")
    assert loaded("", {"OUTRIDER_OTLP_HTTP": "off"}).config.otlp.listening() == {
        "otlp.grpc": Address("localhost", 4317)
    }


def test_origins_of_an_environment_variable_are_separated_by_commas() -> None:
    environ = {"OUTRIDER_OTLP_HTTP_CORS_ORIGINS": "https://a.test, https://*.b.test"}
    assert loaded("", environ).config.otlp.http.cors.origins == ("https://a.test", "https://*.b.test")


def test_a_key_that_does_not_match_its_certificate_is_told_at_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    (cert, _), (_, key) = authority.issue(), authority.issue()
    told = f"outrider.yaml: api.tls.key: {key} is not the key of {cert}, expected a readable PEM file"
    assert problems(f"api: {{tls: {{cert: {cert}, key: {key}}}}}\n") == [told]


def test_tls_for_a_plain_url_is_a_warning() -> None:
    text = (
        "collector: {url: 'http://u:hunter2@c:4320', tls: {verify: false}}\n"
        "export: [{otlp_http: {endpoint: 'https://a', logs_endpoint: 'http://b', logs_tls: {verify: false}}}]\n"
    )
    assert loaded(text).warnings == [
        "export.0.otlp_http.logs_tls: http://b is not https, so that this is not used",
        "collector.tls: http://u:***@c:4320 is not https, so that this is not used",
    ]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"ENDPOINT": "http://gw:4317"}, "http://gw:4317"),
        ({"ENDPOINT": "http://gw:4317/"}, "http://gw:4317"),
        ({"ENDPOINT": "https://gw", "INSECURE": "true"}, "https://gw"),
        ({"ENDPOINT": "http://gw:4317", "INSECURE": "false"}, "http://gw:4317"),
        ({"ENDPOINT": "gw:4317"}, "https://gw:4317"),
        ({"ENDPOINT": "gw:4317", "INSECURE": "True"}, "http://gw:4317"),
        ({"ENDPOINT": "gw:4317", "INSECURE": "yes"}, "https://gw:4317"),
        ({"ENDPOINT": "[::1]:4316", "INSECURE": "true"}, "http://[::1]:4316"),
    ],
)
def test_an_endpoint_of_grpc_may_come_without_a_scheme_and_is_secure_then(environ: dict[str, str], url: str) -> None:
    """https://opentelemetry.io/docs/specs/otel/protocol/exporter/: a scheme stands before INSECURE."""
    given = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in environ.items()}
    (export,) = load({}, {"HOSTNAME": "h", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **given}, None).config.export
    assert export.otlp_grpc is not None
    assert export.otlp_grpc.endpoint == url


def test_each_signal_of_grpc_may_have_its_own_endpoint_and_security() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "gw:4317",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "traces:4317",
        "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs:4317",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
    }
    (export,) = loaded("", environ).config.export
    sink = export.otlp_grpc
    assert sink is not None
    assert [sink.url(signal) for signal in Signal] == ["https://traces:4317", "http://gw:4317", "http://logs:4317"]
    assert (sink.compression, sink.timeout) == (Compression.GZIP, 2.5)


def test_the_protocol_may_be_said_for_each_signal_and_must_be_one() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://gw:4317",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc",
    }
    (export,) = loaded("", {**environ, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"}).config.export
    assert export.otlp_grpc is not None
    (told,) = problems("", environ)
    assert told == (
        'environment OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" for logs and "grpc" for others, '
        "expected one protocol for all signals"
    )


def test_an_unknown_variable_warns_and_kubernetes_service_links_are_ignored() -> None:
    environ = {
        "OUTRIDER_TARGT_URL": "http://x:1",
        "OUTRIDER_COLLECTOR_PORT": "tcp://10.0.0.1:4320",
        "OUTRIDER_COLLECTOR_PORT_4320_TCP": "tcp://10.0.0.1:4320",
        "OUTRIDER_COLLECTOR_PORT_4320_TCP_ADDR": "10.0.0.1",
        "OUTRIDER_COLLECTOR_SERVICE_HOST": "10.0.0.1",
        "OUTRIDER_COLLECTOR_SERVICE_PORT": "4320",
        "OUTRIDER_COLLECTOR_SERVICE_PORT_HTTP": "4320",
        "OUTRIDER_DRAIN": "",
        "OUTRIDER_COLLECTOR_DB": "/data/fleet.db",
    }
    found = loaded("", environ)
    assert found.warnings == ['environment OUTRIDER_TARGT_URL: unknown variable, did you mean "OUTRIDER_TARGET_URL"?']
    assert found.config == loaded("").config


def test_a_version_without_quotes_is_refused_because_yaml_has_changed_it() -> None:
    assert problems("service: {version: 1.10}\n") == [
        "outrider.yaml: service.version: 1.1 is not text, expected text, in quotes"
    ]


def test_a_key_with_everything_below_it_commented_out_is_its_default() -> None:
    assert loaded("probes:\n#  a: {}\ntarget:\n").config == loaded("").config


def test_a_missing_value_is_blamed_on_what_asks_for_it() -> None:
    told = problems("", {"OUTRIDER_COLLECTOR_INTERVAL": "5s"})
    assert told == [f"environment OUTRIDER_COLLECTOR_INTERVAL: collector.url: missing, {EXPECTED_URL}"]


def test_credentials_in_urls_are_not_shown() -> None:
    shown = rows(loaded("collector: {url: 'http://u:hunter2@c:4320/?key=hunter3'}\n"))
    assert shown["collector.url"][0] == "http://u:***@c:4320/?key=***"


def test_a_tcp_target_is_no_service_link() -> None:
    assert loaded("", {"OUTRIDER_TARGET_URL": "tcp://127.0.0.1:6379"}).config.target.url == "tcp://127.0.0.1:6379"


def test_secrets_are_masked_and_their_files_are_named() -> None:
    Path("key").write_text("hunter4\n")
    text = (
        "export: [{otlp_http: {endpoint: 'http://gw:4318', headers: {authorization: Bearer hunter2, "
        "x-key: {file: key}}}}]\ncollector: {url: 'http://c:4320', token: hunter3}\n"
    )
    shown = rows(loaded(text))
    assert shown["export.0.otlp_http.headers.authorization"] == ("**********", "outrider.yaml")
    assert shown["export.0.otlp_http.headers.x-key"][0] == "{file: key}"
    assert shown["collector.token"][0] == "**********"
    assert "hunter" not in repr(loaded(text).config)


def test_what_is_shown_can_be_loaded_again() -> None:
    """Values are shown as they are written: the whole default configuration survives the way round."""
    first = loaded("target: {url: 'http://127.0.0.1:8080'}\n")
    flags = {path: value for path, value, place in show(first) if not path.startswith("probes.")}
    assert load(flags, {}, None).config == first.config


@pytest.mark.parametrize("kind", ["otlp_http", "otlp_grpc"])
@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:4317",
        "http://LOCALHOST.:4318",
        "http://127.0.0.1:4318",
        "http://[::1]:4318",
        "http://0.0.0.0:4318",
        "http://[::]:4318",
    ],
)
def test_a_sidecar_is_not_its_own_upstream(kind: str, endpoint: str) -> None:
    with pytest.raises(BadConfig) as bad:
        loaded(f"export: [{{{kind}: {{endpoint: '{endpoint}'}}}}]\n")
    assert [(p.path, p.problem) for p in bad.value.problems] == [
        (f"export.0.{kind}.endpoint", f'"{endpoint}" is this sidecar\'s own listener')
    ]


@pytest.mark.parametrize(
    ("listen", "endpoint", "own"),
    [
        ("0.0.0.0:4318", "http://127.0.0.2:4318", True),
        ("127.0.0.1:4318", "http://0.0.0.0:4318", True),
        ("127.0.0.1:4318", "http://127.0.0.2:4318", False),
        ("10.0.0.5:4318", "http://127.0.0.1:4318", False),
        ("0.0.0.0:4318", "http://10.0.0.6:4318", False),
    ],
)
def test_the_same_port_of_another_address_may_be_another_service(listen: str, endpoint: str, own: bool) -> None:
    text = f"otlp: {{http: '{listen}'}}\nexport: [{{otlp_http: {{endpoint: '{endpoint}'}}}}]\n"
    if own:
        with pytest.raises(BadConfig, match="own listener"):
            loaded(text)
    else:
        loaded(text)


def test_every_scalar_key_has_an_environment_variable() -> None:
    from sidecar.logic.layers import variables

    names = [name for _, name in variables(Config)]
    for name in (
        "OUTRIDER_TARGET_URL",
        "OUTRIDER_TARGET_PROCESS_PORT",
        "OUTRIDER_TARGET_PROCESS_CMDLINE",
        "OUTRIDER_COLLECTOR_URL",
        "OUTRIDER_COLLECTOR_TOKEN",
        "OUTRIDER_API_LISTEN",
        "OUTRIDER_OTLP_GRPC",
        "OUTRIDER_OTLP_GRPC_TLS_CLIENT_CA",
        "OUTRIDER_OTLP_HTTP",
        "OUTRIDER_OTLP_HTTP_TOKEN",
        "OUTRIDER_API_TLS_CERT",
        "OUTRIDER_OTLP_MAX_BODY_BYTES",
        "OUTRIDER_LOG_LEVEL",
        "OUTRIDER_SERVICE_NAME",
        "OUTRIDER_DRAIN",
    ):
        assert name in names
    assert len(names) == len(set(names))


def test_a_file_that_would_not_end_is_refused_and_not_read() -> None:
    os.mkfifo("fifo")
    Path("large.yaml").write_text("# " + "x" * (1 << 20))
    for file, why in (
        ("fifo", "fifo: cannot be read (not a regular file), expected a YAML file"),
        ("/dev/zero", "/dev/zero: cannot be read (not a regular file), expected a YAML file"),
        ("large.yaml", "large.yaml: cannot be read (more than 1024 KiB), expected a YAML file"),
    ):
        with pytest.raises(BadConfig) as bad:
            load({}, ENVIRON, file)
        assert str(bad.value) == why


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested too deeply, expected valid YAML"),
        ("a:\n" + "".join(" " * n + "a:\n" for n in range(1, 1000)), "nested too deeply, expected valid YAML"),
        (
            "probes:\n" + "".join(f" p{n}: 1\n" for n in range(80_000)),
            "more than 20000 values, expected a smaller file",
        ),
        ("a: 2024-13-99", "a value cannot be read: month must be in 1..12, expected valid YAML"),
        ("x: &x [*x]", "an alias holds itself, expected valid YAML"),
    ],
    ids=["brackets", "indents", "entries", "date", "itself"],
)
def test_yaml_that_means_to_hurt_is_refused(text: str, problem: str) -> None:
    assert problems(text) == [f"outrider.yaml: {problem}"]


def test_aliases_that_unfold_without_end_are_refused_also_as_merges() -> None:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)]
    told = "outrider.yaml: its aliases stand for more than 100000 values, expected a smaller file"
    assert problems("\n".join(lines)) == [told]
    assert problems("\n".join(lines).replace("{<<: [", "[").replace("]}", "]")) == [told]


def test_a_key_that_is_no_text_is_told() -> None:
    assert problems("? [a]\n: b\n") == ["outrider.yaml: line 1, column 3: found unhashable key, expected valid YAML"]


def test_more_checks_than_a_collector_takes_are_refused() -> None:
    text = "probes:\n" + "".join(f" p{n}: {{kind: process}}\n" for n in range(201))
    assert problems(text) == ["outrider.yaml: probes: 201 probes, expected at most 200"]


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("missing", "missing: No such file or directory, expected a readable file"),
        ("/dev/zero", "/dev/zero: not a regular file, expected a readable file"),
        (".", ".: not a regular file, expected a readable file"),
        ("empty", "empty is empty, expected a secret in it"),
        ("lines", "lines has more than one line, or a control character, expected one line"),
    ],
)
def test_a_secret_that_cannot_be_read_is_told_at_once(file: str, problem: str) -> None:
    Path("empty").write_text("\n")
    Path("lines").write_text("hunter5\nhunter6\n")
    collector = f"collector: {{url: 'http://c:4320', token: {{file: {file}}}}}\n"
    assert problems(collector) == [f"outrider.yaml: collector.token: {problem}"]
    probe = f"probes: {{a: {{kind: http, url: 'http://h/', headers: {{X-Key: {{file: {file}}}}}}}}}\n"
    assert problems(probe) == [f"outrider.yaml: probes.a.headers.X-Key: {problem}"]


@pytest.mark.parametrize(
    ("api", "otlp", "bad"),
    [
        ("localhost:1", "localhost:1", True),
        ("localhost:1", "127.0.0.1:1", True),
        (":1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "0.0.0.0:1", True),
        ("[::]:1", "localhost:1", True),
        ("[::]:1", "127.0.0.1:1", False),
        ("127.0.0.2:1", "127.0.0.1:1", False),
        ("127.0.0.1:2", "127.0.0.1:1", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_two_listeners_need_two_addresses(api: str, otlp: str, bad: bool) -> None:
    text = f"api: {{listen: '{api}'}}\notlp: {{http: '{otlp}'}}\n"
    told = f"outrider.yaml: api.listen: {api} is otlp.http too ({otlp}), expected another host or port"
    if bad:
        assert problems(text) == [told]
    else:
        assert loaded(text).warnings == []


def test_a_timeout_longer_than_the_period_is_only_a_warning() -> None:
    text = "target: {url: 'http://h:1'}\nprobes: {a: {kind: http, period: 1s, timeout: 3s}, b: {kind: tcp}}\n"
    assert loaded(text).warnings == ["probes.a: the timeout of 3s is longer than the period of 1s"]


def test_a_condition_that_no_answer_can_meet_is_told() -> None:
    """A limit beyond the timeout is no limit: the look fails first. Up to it all is as it was meant."""
    text = """
target: {url: 'http://h:1'}
probes:
  a: {kind: http, expect: {latency: {warn: 1s, fail: 2s}}}
  b: {kind: tcp, timeout: 2s, latency: {warn: 3s}}
  c: {kind: http, expect: {latency: {warn: 200ms, fail: 1s}}}
  d: {kind: http, method: HEAD, expect: {json: [{pointer: /ok, equals: true}]}}
"""
    assert loaded(text).warnings == [
        "probes.a.expect.latency.warn: 1s is never reached, the timeout is 1s",
        "probes.a.expect.latency.fail: 2s is never reached, the timeout is 1s",
        "probes.b.latency.warn: 3s is never reached, the timeout is 2s",
        "probes.d.expect: the answer to HEAD has no body, so that json never holds",
    ]


def test_what_is_told_cannot_steer_a_terminal() -> None:
    assert problems('"\\e[2J\\n": 1\n')[0].startswith("outrider.yaml: \\x1b[2J\\x0a: unknown key, expected ")
