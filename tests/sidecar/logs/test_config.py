"""What an entry of `logs` is called."""

from __future__ import annotations

import pytest

from sidecar.logic.schema import load
from sidecar.logs.config import Entry


@pytest.mark.parametrize(
    ("entry", "label"),
    [
        (Entry(file=("/a.log", "/b.log")), "/a.log,/b.log"),
        (Entry(file=("/a.log",), name="a"), "a"),
        (Entry(stdin=True), "stdin"),
        (Entry(file=tuple(f"/var/log/app/{n}.log" for n in range(50))), "/var/log/app/0.log,"),
    ],
)
def test_a_source_is_called_by_its_name_or_what_it_reads_and_never_by_more_than_128_characters(
    entry: Entry, label: str
) -> None:
    assert entry.label.startswith(label)
    assert len(entry.label) <= 128


def test_a_name_is_at_most_128_characters_long() -> None:
    _, (problem,) = load(Entry, {"stdin": True, "name": "x" * 129}, {}, "file")
    assert (problem.path, problem.expected) == ("name", "at most 128 characters that can be shown")
    assert load(Entry, {"stdin": True, "name": "x" * 128}, {}, "file")[1] == []
