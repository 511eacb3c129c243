"""JSON that strict decoders refuse and programs write."""

from __future__ import annotations

from math import inf

import pytest

from sidecar.logic.loose_json import loose_object


def test_python_writes_not_a_number_and_infinity() -> None:
    found = loose_object(b'{"a":NaN,"b":[Infinity,-Infinity],"c":1e999}')
    assert found is not None
    assert repr(found["a"]) == "nan"
    assert found["b"] == [inf, -inf]
    assert found["c"] == inf


def test_half_a_surrogate_pair_is_replaced_wherever_it_stands() -> None:
    assert loose_object(rb'{"\ud800":["\udc00x",{"b":"\ud83d\ude00"}]}') == {"\ufffd": ["\ufffdx", {"b": "😀"}]}


def test_control_characters_stay_in_strings() -> None:
    assert loose_object(b'{"a":"x\x00\ty"}') == {"a": "x\0\ty"}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[1]",
        b'"x"',
        b"{}x",
        b'{"a":\xff}',
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_what_cannot_be_read_is_none(line: bytes) -> None:
    assert loose_object(line) is None
