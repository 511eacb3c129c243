"""What holds for every text format: it takes its own lines alone, survives any bytes, and costs no more than they are long."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.logs.base import spelled_out
from sidecar.logs.formats import FORMATS
from sidecar.model.logs import Keep, LogRecord

from . import (
    test_access,
    test_apache,
    test_go,
    test_klog,
    test_logback,
    test_logfmt,
    test_nginx,
    test_python,
    test_redis,
    test_ruby,
    test_rust,
    test_syslog,
)
from .times import NOW

CASES: dict[str, dict[str, tuple[bytes, LogRecord]]] = {
    "access": test_access.CASES,
    "apache": test_apache.CASES,
    "go": test_go.CASES,
    "klog": test_klog.CASES,
    "logback": test_logback.CASES,
    "logfmt": test_logfmt.CASES,
    "nginx": test_nginx.CASES,
    "python": test_python.CASES,
    "redis": test_redis.CASES,
    "ruby": test_ruby.CASES,
    "rust": test_rust.CASES,
    "syslog": test_syslog.CASES,
}
JSON = [b'{"time":"2024-01-02T03:04:05Z","level":"info","msg":"a=1 b=2"}', b"{}", b'{"a"']
PROSE = [
    b"",
    b"hello",
    b"2024-01-02 03:04:05 started",
    b"    at charge (/srv/logs.js:12:9)",
    b"\tat Logs.charge(Logs.java:73)",
    b'  File "a.py", line 1, in <module>',
    b"goroutine 1 [running]:",
    b"Nov 21, 2026 2:37:53 PM Logs withJul",
    b"PaymentError: account 7 is empty",
    b"key: value, other: value",
    b"[app] started",
]


def samples() -> Iterator[bytes]:
    for cases in CASES.values():
        for line, _ in cases.values():
            yield line
    yield from JSON


def test_the_table_has_them_all_and_plain_is_the_last() -> None:
    assert set(FORMATS) == {"json", "plain", *CASES}
    assert list(FORMATS)[-1] == "plain"


@pytest.mark.parametrize("name", CASES)
def test_it_refuses_the_lines_of_every_other_format(name: str) -> None:
    made = FORMATS[name](Keep.ALL)
    foreign = [line for other, cases in CASES.items() if other != name for line, _ in cases.values()]
    assert [line for line in [*foreign, *JSON, *PROSE] if made.parse(line, NOW) is not None] == []


def test_plain_takes_every_line() -> None:
    made = FORMATS["plain"](Keep.ALL)
    assert all(made.parse(line, NOW) for line in [*samples(), *PROSE])


@pytest.mark.parametrize("name", FORMATS)
def test_a_block_becomes_what_its_lines_become(name: str) -> None:
    """All samples at once, and each among lines of which nothing is to tell."""
    alone, together = FORMATS[name](Keep.NONE), FORMATS[name](Keep.NONE)
    lines = [*samples(), *PROSE]
    assert spelled_out(together.parse_many(lines, NOW), lines) == [alone.parse(line, NOW) for line in lines]
    for line in lines:
        block = [b"quiet", line, b"quiet"]
        assert spelled_out(together.parse_many(block, NOW), block) == [alone.parse(each, NOW) for each in block]


MUTATIONS = st.lists(
    st.one_of(
        st.sampled_from(
            [b'"', b"\\", b"[", b"]", b"{", b"}", b":", b" ", b"=", b"<", b">", b"-", b"\x1b[", b"\x00", b"\xff"]
        ),
        st.sampled_from([b"9" * 30, b"a" * 300, b" " * 300, b'\\"' * 100, b"[" * 300, b"{}:" * 100, b'="" ' * 100]),
        st.binary(max_size=8),
    ),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_bytes_it_answers_with_a_record_or_none(data: st.DataObject) -> None:
    """A sample of any format with pieces cut out and put in, to every format."""
    line = data.draw(st.sampled_from([*samples()]))
    for piece in data.draw(MUTATIONS):
        begin = data.draw(st.integers(0, len(line)))
        line = line[:begin] + piece + line[begin + data.draw(st.integers(0, 3)) :]
    for name, make in FORMATS.items():
        for keep in Keep:
            record = make(keep).parse(line, NOW)
            if record is not None:
                well_formed(record, line, keep)
            else:
                assert name != "plain"


def well_formed(record: LogRecord, line: bytes, keep: Keep) -> None:
    assert type(record.body) is bytes
    assert 0 <= record.time < 1 << 63
    assert 0 <= record.severity <= 24
    record.severity_text.encode()
    assert (len(record.trace_id), len(record.span_id)) in {(0, 0), (16, 0), (16, 8)}
    assert 0 <= record.flags < 256
    if keep is not Keep.ALL:
        assert record.attributes == {}
    if keep is Keep.LIFTED:
        assert record.body == line
    assert len(record.attributes) <= 160
    for key, value in record.attributes.items():
        key.encode()
        assert type(value) in {str, int, float, bool, list, dict}
        assert type(value) is not int or -(1 << 63) <= value < 1 << 63
        if isinstance(value, str):
            value.encode()


UNITS = [
    b'"',
    b"\\",
    b'\\"',
    b"[",
    b"]",
    b"{",
    b"}: ",
    b"x{a:",
    b": ",
    b"a",
    b" ",
    b"a=",
    b'a="',
    b'a="" ',
    b"=",
    b"9",
    b"9 ",
    b"(",
    b") ",
]


@pytest.mark.parametrize("name", FORMATS)
def test_no_pattern_goes_back_over_a_long_line(name: str) -> None:
    """Every sample, cut wherever one of its fields may begin, and continued up to 64 KiB with one thing again and again. That
    costs about a millisecond; a pattern that tries every end for every beginning would need ten seconds."""
    parse = FORMATS[name](Keep.ALL).parse
    own = [line for line, _ in CASES.get(name, {}).values()] or [*samples()]
    beginnings = {line[: field.end()] for line in own for field in re.finditer(rb"[\W_]+|$", line)}
    slow = []
    for line in (beginning + unit * (65536 // len(unit)) for beginning in sorted(beginnings) for unit in UNITS):
        begun = time.thread_time()
        parse(line, NOW)
        if time.thread_time() - begun > 1:
            slow.append(line[:256])
            break
    assert slow == []
