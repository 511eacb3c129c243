"""Trace context in lines: what is lifted and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic.trace_ids import span_id, trace_flags, trace_id, traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), TRACE),
        (f"projects/shop-1/traces/{TRACE}", TRACE),
        (SPAN, "0" * 16 + SPAN),
    ],
)
def test_a_trace_id_is_sixteen_bytes(value: str, expected: str) -> None:
    assert trace_id(value).hex() == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "0", "0" * 32, "0" * 16, "g" * 32, "é" * 32, TRACE[:-1], " " * 32, "projects/x/traces/"),
        *("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", 1234567890123456789, None, True, [TRACE]),
    ],
)
def test_what_is_no_trace_id(value: object) -> None:
    assert trace_id(value) == b""


def test_a_span_id_is_eight_bytes() -> None:
    assert span_id(SPAN) == bytes.fromhex(SPAN)
    assert [span_id(value) for value in ("0" * 16, "x" * 16, "é" * 16, TRACE, "", None, 5)] == [b""] * 7


def test_flags_are_a_byte() -> None:
    assert [trace_flags(value) for value in (1, "01", "ff", True, False, "zz", "1", 256, -1, None, 1.0)] == [
        *(1, 1, 255, 1, 0, 0, 0, 0, 0, 0, 0)
    ]


def test_a_traceparent_holds_all_three() -> None:
    assert traceparent(f"00-{TRACE}-{SPAN}-01") == (bytes.fromhex(TRACE), bytes.fromhex(SPAN), 1)


@pytest.mark.parametrize(
    "value",
    ["", "00-x-y-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}{SPAN}-01".ljust(60), 7],
)
def test_half_a_traceparent_is_none(value: object) -> None:
    assert traceparent(value) == (b"", b"", 0)


@given(st.one_of(st.text(max_size=60), st.text("0123456789abcdef-", min_size=16, max_size=60), st.integers()))
def test_nothing_raises(value: object) -> None:
    assert len(trace_id(value)) in (0, 16)
    assert len(span_id(value)) in (0, 8)
    assert 0 <= trace_flags(value) <= 255
    traceparent(value)
