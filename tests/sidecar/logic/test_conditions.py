from __future__ import annotations

import re
from typing import Any

import pytest

from sidecar.logic.conditions import Answer, Body, Expect, Header, JsonValue, Latency, judge, span
from sidecar.logic.scalars import parse_status
from sidecar.logic.schema import load
from sidecar.model.health import Severity, State


def said(expect: Expect, status: int = 200, body: bytes = b"", whole: bool = True, seconds: float = 0.003) -> str:
    state, text = judge(expect, Answer(status, body, whole, seconds))
    return f"{state}: {text}"


def test_a_pattern_holds_nobody_up_whatever_the_body() -> None:
    """`.*x` over one line of 1 MiB would take minutes."""
    expect = Expect(body=Body(matches=re.compile(".*ok.*")))
    assert said(expect, body=b"x" * (32 << 10)) == 'fail: 200; the body does not match ".*ok.*"'
    assert said(expect, body=b"x" * (1 << 20)) == (
        'fail: 200; the first 32768 characters of the body do not match ".*ok.*"'
    )
    assert said(expect, body=b"x" * 32_000 + b"ok" + b"x" * (1 << 20)) == "pass: 200 in 3ms"
    header = Expect(headers=(Header(name="x", matches=re.compile(".*ok.*")),))
    assert judge(header, Answer(200, b"", True, 0.0, {"x": "y" * (1 << 20)}))[0] is State.FAIL


def test_by_default_200_to_399_pass_as_in_kubernetes() -> None:
    assert said(Expect(), 200) == "pass: 200 in 3ms"
    assert said(Expect(), 399) == "pass: 399 in 3ms"
    assert said(Expect(), 400) == "fail: 400, expected 200-399"
    assert said(Expect(), 199) == "fail: 199, expected 200-399"


def test_a_status_can_be_only_a_warning() -> None:
    expect = Expect(status=parse_status("2xx,404"), status_severity=Severity.WARN)
    assert said(expect, 404) == "pass: 404 in 3ms"
    assert said(expect, 503) == "warn: 503, expected 200-299, 404"


def test_the_body_is_searched_for_text_and_by_regular_expression() -> None:
    expect = Expect(body=Body(contains="ok", matches=re.compile(r"^v\d", re.MULTILINE)))
    assert said(expect, body=b"ok\nv1") == "pass: 200 in 3ms"
    assert said(expect, body=b"\xff") == 'fail: 200; the body does not contain "ok"; the body does not match "^v\\d"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (Header(name="Content-Type"), "pass: 200 in 3ms"),
        (Header(name="Content-Type", contains="json", matches=re.compile("^app")), "pass: 200 in 3ms"),
        (Header(name="X-Version"), "fail: 200; the header X-Version is missing"),
        (
            Header(name="Content-Type", contains="html", severity=Severity.WARN),
            'warn: 200; Content-Type is "application/json", expected "html" in it',
        ),
        (
            Header(name="content-type", matches=re.compile("^text/")),
            'fail: 200; content-type is "application/json", expected a match of "^text/"',
        ),
    ],
)
def test_headers_are_found_by_their_name_in_any_case(header: Header, expected: str) -> None:
    state, text = judge(Expect(headers=(header,)), Answer(200, b"", True, 0.003, {"content-type": "application/json"}))
    assert f"{state}: {text}" == expected


@pytest.mark.parametrize(
    ("condition", "document", "expected"),
    [
        ({"equals": "ok"}, b'{"v": "ok"}', "pass: 200 in 3ms"),
        ({"equals": "ok"}, b'{"v": "down"}', 'fail: 200; /v is "down", expected "ok"'),
        ({"equals": 5}, b'{"v": "5"}', 'fail: 200; /v is "5", expected 5'),
        ({"equals": 5}, b'{"v": 5.0}', "pass: 200 in 3ms"),
        ({"equals": 1}, b'{"v": true}', "fail: 200; /v is true, expected 1"),
        ({"equals": False}, b'{"v": false}', "pass: 200 in 3ms"),
        ({"not_equals": "down"}, b'{"v": "down"}', 'fail: 200; /v is "down", expected anything but "down"'),
        ({"not_equals": "down"}, b'{"v": 1}', "pass: 200 in 3ms"),
        ({"less": 10}, b'{"v": 10}', "fail: 200; /v is 10, expected less than 10"),
        ({"at_most": 10}, b'{"v": 10}', "pass: 200 in 3ms"),
        ({"at_most": 10}, b'{"v": 10.5}', "fail: 200; /v is 10.5, expected at most 10"),
        ({"greater": 0}, b'{"v": 0}', "fail: 200; /v is 0, expected more than 0"),
        ({"at_least": 0, "less": 2}, b'{"v": 1}', "pass: 200 in 3ms"),
        ({"at_least": 0, "less": 2}, b'{"v": -1}', "fail: 200; /v is -1, expected at least 0"),
        ({"less": 10}, b'{"v": "3"}', 'fail: 200; /v is "3", expected less than 10'),
        ({"less": 10}, b'{"v": null}', "fail: 200; /v is null, expected less than 10"),
        ({"less": 10}, b'{"v": 1' + b"0" * 400 + b"}", f"fail: 200; /v is 1{'0' * 76}..., expected less than 10"),
        ({"less": 10}, b'{"w": 1}', "fail: 200; /v is missing"),
        ({"less": 10}, b"<html>", "fail: 200; the body is not JSON"),
        ({"less": 10}, b"[" * 100_000, "fail: 200; the body is not JSON"),
        ({"less": 10, "severity": "warn"}, b'{"v": 11}', "warn: 200; /v is 11, expected less than 10"),
        ({"less": 10, "severity": "warn"}, b"", "warn: 200; the body is not JSON"),
    ],
)
def test_values_in_json(condition: dict[str, Any], document: bytes, expected: str) -> None:
    expect, problems = load(Expect, {"json": [{"pointer": "/v", **condition}]}, {}, "test")
    assert expect is not None, problems
    assert said(expect, body=document) == expected


def test_a_body_that_was_cut_is_not_taken_for_json() -> None:
    expect = Expect(json=(JsonValue(pointer="", equals=1),))
    assert said(expect, body=b"1", whole=False) == "fail: 200; the body is longer than 1 bytes"


def test_latency_is_a_condition_of_its_own() -> None:
    expect = Expect(latency=Latency(warn=0.2, fail=1.0))
    assert said(expect, seconds=0.2) == "pass: 200 in 200ms"
    assert said(expect, seconds=0.35) == "warn: 200; answered in 350ms, expected at most 200ms"
    assert said(expect, seconds=1.5) == "fail: 200; answered in 1.5s, expected at most 1s"


def test_the_worst_condition_decides_and_all_are_said() -> None:
    expect = Expect(latency=Latency(warn=0.2), body=Body(contains="ok"))
    assert said(expect, 500, b"no", seconds=0.3) == (
        'fail: 500, expected 200-399; the body does not contain "ok"; answered in 300ms, expected at most 200ms'
    )


def test_a_shown_value_is_short() -> None:
    state, text = judge(Expect(json=(JsonValue(pointer="", equals=1),)), Answer(200, b'"' + b"x" * 999 + b'"', True, 0))
    assert state is State.FAIL
    assert len(text) < 120


def test_conditions_without_a_comparison_are_config_errors() -> None:
    tree = {"body": {}, "json": [{"pointer": "/v"}], "latency": {"warn": "1s", "fail": "1s"}}
    _, problems = load(Expect, tree, {}, "f")
    assert list(map(str, problems)) == [
        "f: body: nothing to compare with, expected contains or matches",
        "f: json.0: nothing to compare with, expected equals, not_equals, less, at_most, greater or at_least",
        "f: latency.warn: 1s is not below fail: 1s, expected less",
    ]


def test_times_are_no_finer_than_needed() -> None:
    assert [span(s) for s in (0.000423, 0.00321, 0.0567, 0.35, 1.2345, 0.9999)] == [
        "420us",
        "3.2ms",
        "57ms",
        "350ms",
        "1.23s",
        "1s",
    ]
