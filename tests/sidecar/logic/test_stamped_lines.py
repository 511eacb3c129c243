"""Lines behind timestamps have the same marks in every reading, so that none comes twice and none is left out."""

from __future__ import annotations

import random

from sidecar.logic.otlp_logs import MARK_BYTES
from sidecar.logic.stamped_lines import StampedLines, since
from sidecar.logs.log_stream import SUMMARY_BITS
from sidecar.model.counters import LogCounters
from sidecar.model.logs import ORDINAL_BITS

T = 1704164645_000000000
SECOND = 1_000_000_000


def message(time: int, text: str, end: str = "\n") -> bytes:
    return f"2024-01-02T03:04:{5 + (time - T) // SECOND:02d}.{time % SECOND:09d}Z {text}{end}".encode()


def made(max_line: int = 100, read_to: int = 0) -> StampedLines:
    return StampedLines(max_line, LogCounters(), read_to)


def test_a_mark_is_the_time_and_an_ordinal() -> None:
    lines = made().feed([message(T, "a"), message(T, "b"), message(T + 1, "c")])
    assert lines == ([b"a", b"b", b"c"], [T << 16, (T << 16) + 1, T + 1 << 16], [T, T, T + 1])
    assert ORDINAL_BITS == 16


def test_every_mark_fits_into_a_records_uid_beside_the_numbers_of_summaries() -> None:
    assert ((1 << 64 + ORDINAL_BITS) - 1).bit_length() == SUMMARY_BITS == 8 * MARK_BYTES - 16


def test_more_lines_of_one_time_than_there_are_ordinals_go_on_after_them() -> None:
    """Some engines tell whole seconds only."""
    marks = made().feed([message(T, "x")] * 70_000 + [message(T + SECOND, "y")]).marks
    assert list(marks) == [*range(T << 16, (T << 16) + 70_000), T + SECOND << 16]


def test_a_time_that_falls_counts_as_the_one_before_it() -> None:
    lines = made().feed([message(T + 5, "a"), message(T, "b"), message(T + 5, "c"), message(T + 6, "d")])
    assert lines.marks == [T + 5 << 16, (T + 5 << 16) + 1, (T + 5 << 16) + 2, T + 6 << 16]
    assert lines.times == [T + 5, T, T + 5, T + 6]


def test_a_reading_that_begins_earlier_tells_only_what_is_new() -> None:
    """Whatever the times, and wherever a reading broke off: each begins a second before the last line."""
    rng = random.Random(3)
    for _ in range(25):
        newest, written = T, []
        for number in range(60):
            newest += rng.choice([0, 0, 0, 1, SECOND // 3])
            fallen = rng.choice([0, 0, 1, SECOND // 2, SECOND])
            written.append((max(T, newest - fallen), f"{number}"))
        lines, seen = made(), list[bytes]()
        for _ in range(100):
            lines.begin()
            begin = since(lines.read_to >> ORDINAL_BITS)
            answer = [message(time, text) for time, text in written if time >= begin * SECOND]
            answer = answer[: rng.randrange(1, 80)]
            step = rng.randrange(1, 10)
            for at in range(0, len(answer), step):
                seen += lines.feed(answer[at : at + step]).lines
        assert seen == [text.encode() for _, text in written]


def test_pieces_are_joined_and_ordered_by_the_last_of_them() -> None:
    lines = made()
    assert lines.feed([message(T, "a", ""), message(T + 1, "b", "")]).lines == ()
    assert lines.feed([message(T + 2, "c"), message(T + 3, "d")]) == (
        [b"abc", b"d"],
        [T + 2 << 16, T + 3 << 16],
        [T, T + 3],
    )


def test_a_piece_whose_reading_broke_off_is_forgotten() -> None:
    lines = made()
    lines.feed([message(T, "a", "")])
    lines.begin()
    assert lines.feed([message(T, "a", ""), message(T, "b")]).lines == [b"ab"]


def test_lines_longer_than_the_cap_are_cut_and_counted() -> None:
    counters = LogCounters()
    lines = StampedLines(4, counters)
    assert lines.feed([message(T, "12345"), message(T, "1234")]).lines == [b"1234", b"1234"]
    pieces = [message(T, "123", ""), message(T, "456", ""), message(T, "789", ""), message(T, "0")]
    assert lines.feed(pieces).lines == [b"1234"]
    assert (counters.cut_lines, counters.cut_bytes) == (2, 1 + 2 + len("789") + len("0\n"))


def test_words_without_a_time_are_the_runtime_s_own() -> None:
    lines = made()
    assert lines.feed([b"rpc error: no such container\n", message(T, "a")]).lines == [b"a"]
    assert lines.foreign == b"rpc error: no such container"


def test_a_line_that_holds_a_carriage_return_keeps_it_but_for_the_last() -> None:
    assert made().feed([message(T, "a\rb\r"), message(T, "c")]).lines == [b"a\rb", b"c"]


def test_a_reading_begins_a_second_early() -> None:
    assert since(T + 5) == T // SECOND - 1
    assert since(0) == 0
