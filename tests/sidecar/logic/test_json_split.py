"""An array's text is cut between its elements, wherever brackets, quotes and backslashes stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic.json_split import NESTED, runs

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},é', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k"\\]}', max_size=3), inner, max_size=3),
    max_leaves=20,
)


def deep(levels: int) -> object:
    inner: object = "]"
    for _ in range(levels):
        inner = [inner, {"}": '"\\'}]
    return inner


def parsed(run: memoryview) -> list[object]:
    elements: list[object] = json.loads(b"".join((b"[", run, b"]")))
    return elements


@given(st.lists(values, max_size=8), st.sampled_from([0, 10, 1000]), st.sampled_from([None, 2]), st.booleans())
def test_runs_are_all_of_the_array_in_order(
    array: list[object], size: int, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(array, indent=indent, ensure_ascii=ascii_only).encode()
    found = []
    for run in runs(memoryview(text), size):
        elements = parsed(run)
        assert len(elements) == 1 or len(run) <= size
        found += elements
    assert found == array


@pytest.mark.parametrize("levels", [NESTED, NESTED + 1, NESTED + 2, 100])
def test_depth_does_not_matter(levels: int) -> None:
    array = [{}, deep(levels), deep(levels), {}]
    text = json.dumps(array).encode()
    assert [parsed(run) for run in runs(memoryview(text), 0)] == [[one] for one in array]


@pytest.mark.parametrize("element", [b"{}", b"7", b'"a,]"', b" -1.5e3 "])
def test_small_elements_come_together_and_none_is_cut(element: bytes) -> None:
    text = b"[" + b",".join([element] * 1000) + b"]"
    found = [parsed(run) for run in runs(memoryview(text), 100)]
    assert [one for run in found for one in run] == [json.loads(element)] * 1000
    assert 1000 * len(element) // 100 <= len(found) < 1000 * (len(element) + 2) // 80


def test_an_array_of_one_is_not_searched() -> None:
    assert [bytes(run) for run in runs(memoryview(b'[ {"a": [1, 2]} ]'), 0)] == [b'{"a": [1, 2]}']
    assert list(runs(memoryview(b"[ ]"), 0)) == []
