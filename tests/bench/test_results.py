"""The tables in a document are replaced; what is written by hand around them stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.results import BEGIN, END, Measured, Results, publish


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    cell = Measured("2026-01-02 03:04", "abc1234", 1.9, 3.0, {}, ["nginx: is not there\nits log"])
    publish(Results("a machine", {"http-5-4": cell}), ["", "| a table |"], file)
    assert file.read_text() == (
        f"before\n\n{BEGIN}\n\na machine.\n"
        "Preliminary: `http-5-4` at abc1234, 2026-01-02 03:04 to 2026-01-02 03:04 UTC: 0 runs of 3 s of each subject, "
        "interleaved; the machine's load average was at most 1.9.\n"
        f"\nNot measured, http-5-4: nginx: is not there\n\n| a table |\n\n{END}\n\nafter\n"
    )


def test_a_document_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text("by hand\n")
    with pytest.raises(ValueError, match="lacks the marks"):
        publish(Results("a machine"), [], file)
    assert file.read_text() == "by hand\n"
