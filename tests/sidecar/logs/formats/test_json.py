"""JSON lines: types and bounds of attributes, hostile lines, and what `lifted` promises."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logs.formats import format_named, json_names
from sidecar.logs.formats.json_values import MAX_ATTRIBUTES, MAX_DEPTH, MAX_KEY, MAX_VALUES
from sidecar.model.logs import Keep, LogRecord

from .test_json_dialects import typed

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def parsed(line: bytes | dict[str, Any], keep: Keep = Keep.ALL) -> LogRecord:
    found = format_named("json", keep).parse(line if isinstance(line, bytes) else json.dumps(line).encode(), 0)
    assert found is not None
    return found


def attributes(**fields: Any) -> dict[str, Any]:
    return parsed(fields).attributes


@pytest.mark.parametrize("keep", Keep)
@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b" ",
            b"{",
            b"}",
            b"[1,2]",
            b'"text"',
            b"5",
            b"null",
            b"plain text",
            b"{not json}",
            b"{}{}",
            b'{"a":1} x',
        ),
        *(b'{"a":"\xff"}', b"\x00", b'{"a":' * 100_000, b'{"a":' + b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"),
    ],
    ids=range(17),
)
def test_what_is_no_object_is_not_of_this_format(line: bytes, keep: Keep) -> None:
    assert format_named("json", keep).parse(line, 0) is None


@pytest.mark.parametrize("keep", Keep)
def test_an_object_without_anything_known_is_its_own_body(keep: Keep) -> None:
    assert parsed(b" {} ", keep) == LogRecord(b" {} ")


def test_types_stay_what_they_are() -> None:
    found = attributes(i=1, big=2**63 - 1, low=-(2**63), f=1.0, t=True, s="1", e="", none=None, n={"a": [1, 1.5, None]})
    assert typed(found) == typed(
        {"i": 1, "big": 2**63 - 1, "low": -(2**63), "f": 1.0, "t": True, "s": "1", "e": "", "n": {"a": [1, 1.5, None]}}
    )


def test_integers_beyond_64_bits_keep_their_digits() -> None:
    assert attributes(a=2**63, b=-(2**63) - 1, c=[10**40]) == {
        "a": "9223372036854775808",
        "b": "-9223372036854775809",
        "c": ["1" + "0" * 40],
    }


def test_of_two_fields_of_one_name_the_last_counts() -> None:
    assert parsed(b'{"a":1,"a":"2","msg":"x","msg":"y"}') == LogRecord(b"y", attributes={"a": "2"})


def test_numbers_that_are_none_and_half_surrogate_pairs_are_read() -> None:
    found = parsed(rb'{"msg":"a\ud800b","x":NaN,"y":-Infinity,"level":"info"}')
    assert found.body == "a\ufffdb".encode()
    assert repr(found.attributes) == "{'x': nan, 'y': -inf}"
    assert found.severity == 9


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_what_is_nested_too_deeply_becomes_its_text() -> None:
    assert attributes(a=nested(MAX_DEPTH), b=nested(MAX_DEPTH + 1), c={"d": "é", "e": nested(MAX_DEPTH)}) == {
        "a": nested(MAX_DEPTH),
        "b": "[" * 9 + "1" + "]" * 9,
        "c": '{"d":"é","e":' + "[" * 8 + "1" + "]" * 8 + "}",
    }


@pytest.mark.parametrize("keep", Keep)
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_no_depth_raises(opened: str, closed: str, keep: Keep) -> None:
    """From where a value can still be decoded and written to where it can only be decoded to where neither works."""
    made = format_named("json", keep)
    limit = sys.getrecursionlimit()
    depths = [*range(limit - 300, limit + 20), 200_000]
    found = [made.parse(f'{{"a":{opened * depth}1{closed * depth}}}'.encode(), 0) for depth in depths]
    assert found[0] is not None
    assert found[-1] is None


def test_what_has_too_many_values_in_it_becomes_its_text() -> None:
    assert attributes(a=[0] * MAX_VALUES)["a"] == [0] * MAX_VALUES
    assert attributes(a=[0] * (MAX_VALUES + 1))["a"] == "[" + ",".join(["0"] * (MAX_VALUES + 1)) + "]"
    assert type(attributes(a=[[0] * 512, [0] * 512])["a"]) is str


def test_attributes_beyond_the_number_are_dropped_and_counted() -> None:
    found = parsed({"msg": "m", **{f"k{n}": n for n in range(MAX_ATTRIBUTES + 5)}})
    assert found.attributes == {f"k{n}": n for n in range(MAX_ATTRIBUTES)}
    assert found.dropped == 5


def test_names_that_are_empty_or_too_long_are_dropped_and_counted() -> None:
    found = parsed({"": 1, "k" * MAX_KEY: 2, "k" * (MAX_KEY + 1): 3, "é" * MAX_KEY: 4, "msg": "m"})
    assert found == LogRecord(b"m", attributes={"k" * MAX_KEY: 2}, dropped=3)


def test_a_known_name_with_another_meaning_stays_an_attribute() -> None:
    fields: dict[str, Any] = {
        "time": "12ms",
        "timestamp": "yesterday",
        "level": "third floor",
        "msg": {"a": 1},
        "trace_id": "none",
        "span_id": SPAN,
        "err": 5,
        "error": False,
        "exc_info": True,
        "source": "disk",
        "filename": "a.txt",
        "fields": [1],
    }
    line = json.dumps(fields).encode()
    assert parsed(line) == LogRecord(line, attributes=fields)


def test_the_next_name_that_fits_is_taken() -> None:
    assert parsed({"time": "12ms", "ts": 1704164645, "level": 7000, "severity": "warn", "message": "m"}) == LogRecord(
        b"m", 1_704_164_645_000_000_000, 13, "warn", {"time": "12ms", "level": 7000}
    )


def test_conventional_names_do_not_overwrite_the_programs_own() -> None:
    assert attributes(error="a", **{"exception.message": "b"}) == {"error": "a", "exception.message": "b"}
    assert attributes(stack="a", **{"exception.stacktrace": "b"}) == {"stack": "a", "exception.stacktrace": "b"}
    assert attributes(stack_trace="a", err={"stack": "b", "name": "E"}) == {
        "exception.stacktrace": "a",
        "err": {"stack": "b"},
        "exception.type": "E",
    }


def test_of_two_fields_with_one_conventional_name_the_more_telling_one_gets_it() -> None:
    assert attributes(stack="a", stack_trace="b") == {"stack": "a", "exception.stacktrace": "b"}


def test_an_object_that_held_only_the_level_is_gone_with_it() -> None:
    assert parsed({"message": "m", "log": {"level": "info"}}) == LogRecord(b"m", severity=9, severity_text="info")


def test_a_64_bit_trace_id_is_filled_up_and_a_decimal_one_left_alone() -> None:
    assert parsed({"traceId": SPAN, "spanId": SPAN}).trace_id == bytes(8) + bytes.fromhex(SPAN)
    assert parsed({"dd.trace_id": "1234567890123456"}).attributes == {"dd.trace_id": "1234567890123456"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def kept(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int() if not -(2**63) <= value < 2**63:
            return str(value)
        case list():
            return [kept(inner) for inner in value]
        case dict():
            return {key: kept(inner) for key, inner in value.items()}
        case _:
            return value


@given(st.dictionaries(st.text(max_size=8).map("own ".__add__), VALUES, max_size=8), st.booleans())
def test_values_survive_typed(fields: dict[str, Any], ascii_only: bool) -> None:
    line = json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = format_named("json", Keep.ALL).parse(line, 0)
    assert found is not None
    assert typed(found.attributes) == typed({key: kept(value) for key, value in fields.items() if value is not None})


CONTEXT = [name for names in json_names.CONTEXT.items() for name in (names[0], *names[1])]
TABLES = [*json_names.TIME, *json_names.SEVERITY, *json_names.MESSAGE, *json_names.HOLDERS, *json_names.ERRORS]
NESTING = ["trace", "fields", "source", "filename", "line_number", "traceparent", "", "x"]
NAMES = st.sampled_from([*CONTEXT, *TABLES, *NESTING, *json_names.RENAMED, *json_names.MONGODB])
TEXTS = ["2024-01-02T03:04:05Z", "info", "30", TRACE, SPAN, f"00-{TRACE}-{SPAN}-01", "\ud800", "a\nb"]
NUMBERS = [30, 1704164645, 1e300, -1, 10**25, float("nan")]
OBJECTS: list[dict[str, Any]] = [
    {},
    {"epochSecond": 1704164645, "nanoOfSecond": -1},
    {"$date": []},
    {"id": TRACE},
    {"trace_id": TRACE},
    {"level": "info"},
    {"level": {}},
    {"file": 1, "line": 2, "function": 3},
    {"message": "m", "level": 1},
]
ODD = st.sampled_from([*TEXTS, *NUMBERS, *OBJECTS])


@given(st.lists(st.dictionaries(NAMES, ODD | VALUES, max_size=8) | st.binary(max_size=30), max_size=4))
def test_no_line_raises_and_every_text_can_be_encoded(lines: list[dict[str, Any] | bytes]) -> None:
    formats = [format_named("json", keep) for keep in Keep]
    for fields in lines:
        line = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        for each in formats:
            found = each.parse(line, 0)
            assert found is not None or isinstance(fields, bytes)
            if found is not None:
                json.dumps(found.attributes, ensure_ascii=False).encode()
                found.severity_text.encode()
                assert len(found.trace_id) in (0, 16)
                assert len(found.span_id) in (0, 8)


ROLES = st.fixed_dictionaries(
    {},
    optional={
        "time": st.tuples(
            st.sampled_from(["time", "ts", "@timestamp", "asctime"]),
            st.sampled_from(["2024-01-02T03:04:05.123Z", 1704164645.5, 1704164645, "soon", None]),
        ),
        "severity": st.tuples(
            st.sampled_from(["level", "severity", "log.level", "levelno", "PRIORITY"]),
            st.sampled_from(["info", "WARN", 20, 3, "30", "x", None]),
        ),
        "trace": st.tuples(
            st.sampled_from(["trace_id", "traceId", "trace.id", "otelTraceID", "traceparent"]),
            st.sampled_from([TRACE, f"00-{TRACE}-{SPAN}-01", "", "0", None]),
        )
        | st.tuples(st.sampled_from(["mdc", "span"]), st.sampled_from([{"trace_id": TRACE}, {"x": 1}])),
        "span": st.tuples(st.sampled_from(["span_id", "spanId", "span.id"]), st.sampled_from([SPAN, "", None])),
        "flags": st.tuples(
            st.sampled_from(["trace_flags", "otelTraceSampled"]), st.sampled_from(["01", 1, True, None])
        ),
    },
)


@given(st.lists(ROLES, min_size=1, max_size=6))
def test_lifted_says_of_each_line_what_a_full_look_says(lines: list[dict[str, tuple[str, Any]]]) -> None:
    lifted = format_named("json", Keep.LIFTED)
    for roles in lines:
        line = json.dumps(dict(roles.values())).encode()
        found, full = lifted.parse(line, 0), parsed(line)
        full.body, full.attributes = line, {}
        assert found == full


def test_an_id_where_a_traceparent_should_be_is_none_in_lifted_lines_too() -> None:
    line = (
        b'{"level":"info","time":"2024-01-02T03:04:05Z",'
        b'"traceparent":"0123456789abcdef0123456789abcdef","span_id":"0123456789abcdef"}'
    )
    lifted = format_named("json", Keep.LIFTED)
    for _ in range(2):
        record = lifted.parse(line, 0)
        assert record is not None
        assert (record.trace_id, record.span_id, record.flags) == (b"", b"", 0)
