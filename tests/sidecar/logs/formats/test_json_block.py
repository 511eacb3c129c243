"""Many JSON lines at once become what each of them becomes alone, to the byte."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic.otlp_logs import Packer, observed_at
from sidecar.logs.base import Format, spelled_out
from sidecar.logs.formats import format_named
from sidecar.model.logs import Keep, LogRecord

from . import test_json
from .test_json_dialects import DIALECTS
from .times import NOW

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def packed(records: Sequence[LogRecord | None]) -> list[bytes | None]:
    packer = Packer(b"0" * 16, {})
    made: list[bytes | None] = []
    for record in records:
        parts: list[bytes] = []
        if record is not None:
            packer.pack([record], [1], observed_at(1), parts)
        made.append(b"".join(parts) if parts else None)
    return made


def many(made: Format, lines: Sequence[bytes]) -> list[LogRecord | None]:
    return spelled_out(made.parse_many(lines, NOW), lines)


def read(lines: Sequence[bytes], keep: Keep, size: int) -> list[bytes | None]:
    """By blocks of so many lines."""
    made = format_named("json", keep)
    return packed([record for at in range(0, len(lines), size) for record in many(made, lines[at : at + size])])


def both_ways(lines: Sequence[bytes], keep: Keep) -> tuple[list[bytes | None], list[bytes | None]]:
    alone, together = format_named("json", keep), format_named("json", keep)
    return packed([alone.parse(line, NOW) for line in lines]), packed(many(together, lines))


NAMES = [
    *(
        "time",
        "level",
        "msg",
        "trace_id",
        "span_id",
        "trace_flags",
        "traceparent",
        "error",
        "stack_trace",
        "source",
        "fields",
    ),
    *("span", "mdc", "path", "filename", "k" * 300, ""),
]
VALUES: list[object] = [
    *("info", "30", "x", "", TRACE, SPAN, "00", "2026-02-03T04:05:06.789Z", "\u00e9", "line\nline"),
    *(0, 30, 200, -1, 1 << 70, 1_770_000_000_123, True, False, None, 0.0, -0.0, 1.5),
    *([1, "a"], {"a": {"b": None}}, {"id": TRACE}, {"trace_id": TRACE}, [], msgspec.json.decode(b"[" * 12 + b"]" * 12)),
]
USUAL: dict[str, object] = {
    "time": "2026-02-03T04:05:06.789Z",
    "level": "info",
    "msg": "m",
    "path": "/a",
    "line_number": 5,
}
TRACED = USUAL | {"trace_id": TRACE, "span_id": SPAN, "trace_flags": "01"}


@pytest.mark.parametrize("keep", list(Keep))
@pytest.mark.parametrize("name", NAMES)
def test_whatever_one_line_has_in_place_of_what_the_others_have(name: str, keep: Keep) -> None:
    """Any value for any name, in one line of many and in all of them."""
    for value in VALUES:
        for odd in (range(1), range(10)):
            for usual in (USUAL, TRACED):
                lines = [
                    usual | {"status": 200 + n, name: value if n in odd else usual.get(name, "/a")} for n in range(10)
                ]
                alone, together = both_ways([msgspec.json.encode(line) for line in lines], keep)
                assert together == alone, (usual, value, odd)


@pytest.mark.parametrize("keep", list(Keep))
@pytest.mark.parametrize(
    "odd",
    [
        *(
            b'{"a":NaN}',
            b"",
            b"{",
            b'{"a":[',
            b'{"a":{}',
            b"{}{}",
            b"{} {}",
            b" {}",
            b"{} ",
            b"text",
            b'{"a":"\xff"}',
            b'{"a":"}',
        ),
        *(
            b'{"}',
            b"{}",
            b"[]",
            b'{"a":1,"a":2}',
            b'{"time":"2026-02-03T04:05:06Z","a":1}',
            b'{"msg":"no time","a":null}',
        ),
    ],
)
def test_whatever_one_line_is_among_others(odd: bytes, keep: Keep) -> None:
    lines = [msgspec.json.encode(TRACED | {"n": n}) for n in range(40)]
    lines[5] = lines[20] = odd
    alone, together = both_ways(lines, keep)
    assert together == alone


@pytest.mark.parametrize("keep", list(Keep))
def test_what_spans_lines_is_no_object_of_a_line(keep: Keep) -> None:
    """`{"a":` and `{}} {}` are two lines and two objects, though not one of each."""
    for lines in ([b'{"a":', b"{}} {}"] * 10, [b'{"a":{}', b"} {}"] * 10):
        assert format_named("json", keep).parse_many(lines, NOW) == [None] * 20


def test_one_line_that_is_no_json_among_many_leaves_the_others_as_they_are() -> None:
    lines = [b'{"level":"info","msg":"m%d"}' % n for n in range(500)]
    lines[100] = b"panic: it broke"
    records = many(format_named("json", Keep.ALL), lines)
    assert [record.body if record else None for record in records] == [
        None if n == 100 else b"m%d" % n for n in range(500)
    ]


LOGGERS = [line for line, _ in DIALECTS.values()]


def changed(line: bytes, fields: dict[str, object], dropped: int) -> bytes:
    """A logger's line without one of its fields, and with others that are there or not."""
    known: dict[str, object] = msgspec.json.decode(line)
    known.pop([*known, ""][dropped % (len(known) + 1)], None)
    return json.dumps(known | fields).encode()


ODD = test_json.ODD | test_json.VALUES
LINES = st.one_of(
    st.sampled_from(LOGGERS),
    st.builds(changed, st.sampled_from(LOGGERS), st.dictionaries(test_json.NAMES, ODD, max_size=2), st.integers(0, 20)),
    test_json.ROLES.map(lambda roles: json.dumps(dict(roles.values())).encode()),
    st.sampled_from([b"", b"{", b"{}", b"text", b'{"a":NaN}', b'{"x":1,"a":"traceback"}', b'{"level":30,"lineno":1}']),
)
"""A stream's lines: of few shapes, in any order."""


@given(st.lists(LINES, min_size=1, max_size=5), st.data(), st.sampled_from([1, 7, 10, 40, 100]))
def test_a_stream_of_any_loggers_is_read_by_the_block_as_it_is_by_the_line(
    shapes: list[bytes], data: st.DataObject, size: int
) -> None:
    order = data.draw(st.lists(st.sampled_from(shapes), max_size=30).map(lambda some: [*some, *shapes * 12, *some]))
    for keep in Keep:
        made = format_named("json", keep)
        assert read(order, keep, size) == packed([made.parse(line, NOW) for line in order])


@pytest.mark.parametrize("keep", list(Keep))
def test_a_number_in_quotes_where_the_level_was_is_looked_at_by_the_block_as_by_the_line(keep: Keep) -> None:
    """There may be another level."""
    usual = {"time": "2026-02-03T04:05:06Z", "severity": "warn"}
    lines = [json.dumps(usual).encode()] * 10 + [json.dumps(usual | {"severity": "30", "level": "info"}).encode()] * 10
    made = format_named("json", keep)
    assert read(lines, keep, 10) == packed([made.parse(line, NOW) for line in lines])


@pytest.mark.parametrize("keep", list(Keep))
@pytest.mark.parametrize("name", DIALECTS)
def test_many_lines_of_a_logger_become_what_one_becomes(name: str, keep: Keep) -> None:
    """By columns, where there are any: behind its first line."""
    line, _ = DIALECTS[name]
    alone = packed([format_named("json", keep).parse(line, NOW)])
    assert read([line] * 21, keep, 20) == alone * 21


@pytest.mark.parametrize("keep", list(Keep))
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_no_depth_raises_for_all(opened: str, closed: str, keep: Keep) -> None:
    made = format_named("json", keep)
    limit = sys.getrecursionlimit()
    for depth in [*range(limit - 300, limit + 20, 20), 200_000]:
        line = f'{{"a":{opened * depth}1{closed * depth}}}'.encode()
        assert len(many(made, [line] * 10)) == 10
