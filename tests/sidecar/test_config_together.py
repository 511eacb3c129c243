"""Configuration: what is wrong hides nothing else that is wrong, and makes nothing wrong that is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from sidecar.config import BadConfig, Config, load
from sidecar.logic.schema import load as load_tree
from tests.sidecar.test_config import ENVIRON, EXPECTED_DURATION, EXPECTED_TARGET, EXPECTED_URL, GOLDEN, LINE

FULL = """
service: {name: shop, namespace: eu, version: "1", environment: dev, instance: i, attributes: {team: a}}
target: {url: 'http://127.0.0.1:8080', process: {cmdline: nginx}}
probes:
  ready: {kind: http, url: /readyz, role: readiness, severity: fail, initial_delay: 1s, period: 5s, timeout: 1s,
          success_threshold: 1, failure_threshold: 2, method: GET, headers: {X-A: b}, tls: {verify: true, server_name: h},
          expect: {status: 200, status_severity: warn, headers: [{name: X, contains: a}], body: {matches: ok},
                   json: [{pointer: /a, less: 1}], latency: {warn: 1ms, fail: 1s}}}
  cache: {kind: tcp, address: 'cache:6379', send: PING, expect: PONG, latency: {fail: 1s}}
  errors: {kind: log, source: app, window: 1m, fatal: true, pattern: boom, silence: 5m,
           error_rate: {warn: 1%, fail: 5%, records: 5}}
otlp: {grpc: {listen: '127.0.0.1:4317', token: a}, http: {listen: '127.0.0.1:4318', cors: {origins: ['https://a.test']}},
       max_body_bytes: 1MiB, max_in_flight_bytes: 2MiB, max_connections: 9, header_timeout: 1s, body_timeout: 1s,
       idle_timeout: 1s}
export:
  - {otlp_http: {endpoint: 'http://a:4318', traces_endpoint: 'http://t', headers: {X-A: b}, compression: gzip, timeout: 1s,
                 tls: {verify: false}, logs_tls: {server_name: l}}}
  - {otlp_grpc: {endpoint: 'http://b:4317', headers: {x-b: c}, max_message_bytes: 1MiB,
                 keepalive: {interval: 1m, timeout: 5s}}, required: false}
spool: {path: /var/lib/outrider, max_bytes: 64MiB, on_full: refuse, fsync: full}
logs:
  - {name: app, file: [/a.log], exclude: [/b.log], start_at: end, max_line: 1KiB, format: json, multiline: none,
     attributes: lifted, rate_limit: 5, dedup: true, drop_below: info}
  - {docker: {container: web, socket: /s, start_at: end, max_line: 1KiB}}
  - {kubernetes: {container: cart, pod: p, namespace: n, start_at: end, max_line: 1KiB}}
  - {pods: {namespace: n, pod: p, container: c, path: /p, start_at: end, max_line: 1KiB}}
  - {fifo: {path: /f, max_line: 1KiB}}
  - {stdin: true}
redaction: {emails: true, rules: [{name: a, literal: b}, {name: c, glob: d}], disable: [a, card]}
collector: {url: 'http://c:4320', interval: 5s, token: t, tls: {verify: true}}
api: {listen: '127.0.0.1:4319', token: t}
metrics: {interval: 5s}
drain: 5s
log: {level: debug}
"""
"""A good value for every key that can stand beside the others."""


NO_TREE = {"alias-bomb", "key-given-twice", "nested-too-deeply", "no-yaml", "not-a-mapping"}
ASK_ANOTHER_SECTION = {
    "export-to-ourselves",
    "listeners-on-one-port",
    "log-check-of-no-source",
    "nothing-where-something-is-needed",
    "port-twice-beside-others",
    "relative-url-without-target",
    "tcp-without-address",
    "to-ourselves-beside-others",
}
"""Which another of them has, and answers otherwise."""

GOOD = yaml.safe_load(FULL)

Steps = tuple[str | int, ...]
Tree = dict[str, Any]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(text: str, environ: dict[str, str] | None = None, flags: dict[str, str] | None = None) -> list[str]:
    Path("outrider.yaml").write_text(text)
    try:
        load(flags or {}, {**ENVIRON, **(environ or {})}, "outrider.yaml")
    except BadConfig as bad:
        return str(bad).splitlines()
    return []


def values(tree: Any, path: Steps = ()) -> Iterator[tuple[Steps, bool]]:
    """Where each value stands, those of the schema's lists and mappings too, and whether it is one of these."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        holds = isinstance(value, dict | list) and key not in ("file", "exclude", "origins")
        yield (*path, key), holds
        if holds:
            yield from values(value, (*path, key))


def at(tree: Any, path: Steps) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def dotted(path: Steps) -> str:
    return ".".join(map(str, path))


def test_the_good_one_is_good_and_has_every_section() -> None:
    assert told(FULL) == []
    assert tuple(GOOD) == Config.__struct_fields__


def test_a_wrong_value_is_told_and_nothing_else_is() -> None:
    """Neither its neighbours nor what asks for it. 5.5 is no section, and a list in a list is no value."""
    for path, holds in values(GOOD):
        tree = deepcopy(GOOD)
        at(tree, path[:-1])[path[-1]] = 5.5 if holds else [[]]
        problems = [str(problem) for problem in load_tree(Config, tree, {}, "file")[1]]
        assert len(problems) == 1, (path, problems)
        assert problems[0].startswith(f"file: {dotted(path)}"), (path, problems)


def test_a_misspelt_key_is_told_and_not_that_it_is_missing() -> None:
    whatever = {"attributes", "probes", "headers"}  # the name
    for path, _ in values(GOOD):
        if isinstance(path[-1], int) or (path[-2:-1] and path[-2] in whatever and path[0] != "logs"):
            continue
        tree = deepcopy(GOOD)
        around = at(tree, path[:-1])
        around[f"{path[-1]}x"] = around.pop(path[-1])
        problems = [str(problem) for problem in load_tree(Config, tree, {}, "file")[1]]
        assert len(problems) == 1, (path, problems)
        expected = "kind is missing" if path[-1] == "kind" else f"{dotted(path)}x: unknown key"
        assert expected in problems[0]


def test_every_wrong_value_is_told_at_once() -> None:
    tree, wrong = deepcopy(GOOD), []
    for path, holds in values(GOOD):
        if not holds and path[-1] != "kind":
            at(tree, path[:-1])[path[-1]] = [[]]
            wrong.append(dotted(path))
    problems = told(json.dumps(tree))
    assert sorted(problem.split(": ")[1] for problem in problems) == sorted(wrong)
    assert len(wrong) > 100


JUNK: tuple[Any, ...] = ("", -1, 5.5, True, "x", "a\nb", "h:1", "http://localhost:4318/x", None, [[]], {"?": []})


@pytest.mark.parametrize("seed", range(100))
def test_no_heap_of_junk_raises_or_is_told_twice(seed: int) -> None:
    random, tree = Random(seed), deepcopy(GOOD)
    for path, holds in random.sample(list(values(GOOD)), 20):
        if not holds:
            at(tree, path[:-1])[path[-1]] = random.choice(JUNK)
    problems = list(map(str, load_tree(Config, tree, {}, "file")[1]))
    assert problems
    assert len(problems) == len(set(problems))


def behind(beside: Tree, tree: Tree, problems: list[str]) -> tuple[Tree, list[str]] | None:
    """Both trees in one, and the problems of the second as they are told then: a check whose name is taken has another, entries
    of lists have higher numbers. None where both have a section of which there is one."""
    both = {**tree, **beside}
    for key in beside.keys() & tree.keys():
        here, there = tree[key], beside[key]
        if key == "probes" and isinstance(here, dict) and isinstance(there, dict):
            names = {name: f"{name}.{len(there)}" if name in there else name for name in here}
            both[key] = there | {names[name]: check for name, check in here.items()}
            told_of = re.compile(r"(?<=yaml: probes\.)([\w-]+)(?=[.:])")
            problems = [told_of.sub(lambda found: names.get(found[1], found[1]), problem) for problem in problems]  # noqa: B023
        elif isinstance(here, list) and isinstance(there, list):
            both[key] = there + here
            number = re.compile(rf"(?<=yaml: {key}\.)\d+")
            problems = [number.sub(lambda found: str(len(there) + int(found[0])), problem) for problem in problems]  # noqa: B023
        else:
            return None
    return both, problems


def test_bad_configurations_together_are_told_all_that_each_is_told() -> None:
    heaps: list[tuple[Tree, list[str]]] = []
    for golden in GOLDEN:
        if golden.stem in NO_TREE | ASK_ANOTHER_SECTION:
            continue
        text, _, expected = golden.read_text().partition(LINE)
        tree, problems = yaml.safe_load(text), expected.splitlines()
        for number, (heap, of_heap) in enumerate(heaps):
            joined = behind(heap, tree, problems)
            if joined is not None:
                heaps[number] = joined[0], of_heap + joined[1]
                break
        else:
            heaps.append((tree, problems))
    for heap, expected_problems in heaps:
        problems = told(json.dumps(heap))
        assert set(expected_problems) <= set(problems)
        assert len(problems) == len(set(problems))
    assert len(heaps[0][1]) > 60


ELSEWHERE = "expected another host or port"
NO_FILE = "No such file or directory, expected a readable PEM file"


def test_what_an_environment_variable_is_laid_over_is_told_where_it_is_no_section() -> None:
    environ = {"OTEL_SERVICE_NAME": "api", "OUTRIDER_API_LISTEN": "h:1"}
    expected = "expected a mapping with name, namespace, version, environment, instance or attributes"
    assert told("service: api\n", environ) == [f'outrider.yaml: service: "api" is not a mapping, {expected}']


def test_files_variables_and_flags_are_told_together() -> None:
    environ = {
        "OUTRIDER_DRAIN": "5",
        "OUTRIDER_OTLP_MAX_BODY_BYTES": "1GiB",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1s",
    }
    body, upstream = "OUTRIDER_OTLP_MAX_BODY_BYTES: otlp.max", "OTEL_EXPORTER_OTLP_ENDPOINT: export.0.otlp_http"
    text = "probes: {a: {kind: tcp, period: 1ms}}\napi: {listen: 'localhost:4317', tokn: x}\n"
    assert told(text, environ, {"target.url": "htp://h:1"}) == [
        'environment OTEL_EXPORTER_OTLP_TIMEOUT: "1s" is not a number, expected milliseconds',
        f'flag --target: target.url: unknown scheme "htp", {EXPECTED_TARGET}, did you mean "http://h:1"?',
        "outrider.yaml: probes.a.period: 1ms is too short, expected at least 100ms",
        f"environment {body}_in_flight_bytes: smaller than max_body_bytes, expected 1GiB or more",
        'outrider.yaml: api.tokn: unknown key, expected listen, tls or token, did you mean "token"?',
        f'environment OUTRIDER_DRAIN: drain: "5" has no unit, {EXPECTED_DURATION}, did you mean "5s"?',
        f"outrider.yaml: api.listen: localhost:4317 is otlp.grpc too (localhost:4317), {ELSEWHERE}",
        f'environment {upstream}.endpoint: "http://localhost:4318" is this sidecar\'s own listener, {ELSEWHERE}',
    ]


def test_nothing_is_said_of_what_may_stand_in_a_file_that_cannot_be_read() -> None:
    """Where the collector is, and which ports are taken, for instance."""
    environ = {"OUTRIDER_COLLECTOR_INTERVAL": "1ms", "OUTRIDER_API_LISTEN": "127.0.0.1:4318", "OUTRIDER_DRAIN": "5s"}
    assert told("a: 1\na: 2\n", environ) == [
        'outrider.yaml: line 2, column 1: key "a" given twice (first in line 1), expected valid YAML',
        "environment OUTRIDER_COLLECTOR_INTERVAL: collector.interval: 1ms is out of range, expected 500ms to 1h",
    ]


def test_what_is_wrong_with_the_collector_is_not_told_of_the_export_that_follows_from_it() -> None:
    assert told("collector: {url: gateway, tls: {ca: /nowhere, cert: outrider.yaml}}\n") == [
        f'outrider.yaml: collector.url: "gateway" has no scheme, {EXPECTED_URL}, did you mean "http://gateway"?',
        "outrider.yaml: collector.tls.cert: given without key, expected both, or none",
        f"outrider.yaml: collector.tls.ca: /nowhere: {NO_FILE}",
        "outrider.yaml: collector.tls.cert: outrider.yaml holds no PEM of a certificate, expected a readable PEM file",
    ]
    ours, place = "https://localhost:4318", "default for collector.url: export.0.otlp_http.endpoint"
    assert told(f"collector: {{url: '{ours}', tls: {{ca: /nowhere}}}}\n") == [
        f'{place}: "{ours}" is this sidecar\'s own listener, {ELSEWHERE}',
        f"outrider.yaml: collector.tls.ca: /nowhere: {NO_FILE}",
    ]
