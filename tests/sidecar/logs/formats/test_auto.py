"""`auto` delivers every line at once, takes what most lines are for its favourite, and changes its mind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logs.base import Format, spelled_out
from sidecar.logs.formats import FORMATS, format_named
from sidecar.logs.formats.auto import PATIENCE, SAMPLE, VOTES, Auto
from sidecar.logs.formats.plain import Plain
from sidecar.model.logs import Keep, LogRecord

from .times import NOW


class Marked:
    """Takes lines that start with its mark, with the mark as the severity text, and counts what it was offered."""

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.offered = 0

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        self.offered += 1
        return LogRecord(line, severity_text=self.mark.decode()) if line.startswith(self.mark) else None

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        return [self.parse(line, now) for line in lines]


class Stream:
    """An `Auto` over formats that take lines starting with a, b and ab, in this order."""

    def __init__(self) -> None:
        self.marked = {mark: Marked(mark.encode()) for mark in ("a", "b", "ab")}
        self.auto = Auto({**{mark: self._make(mark) for mark in self.marked}, "plain": Plain}, Keep.ALL)

    def _make(self, mark: str) -> Callable[[Keep], Format]:
        return lambda keep: self.marked[mark]

    def read(self, *lines: str) -> list[str]:
        """By which format each was read; "" is plain."""
        found = [self.auto.parse(line.encode(), 0) for line in lines]
        assert [record and record.body.decode() for record in found] == list(lines)
        return [record.severity_text for record in found if record]

    def offered(self, *lines: str) -> int:
        """How often formats looked at these lines."""
        before = sum(each.offered for each in self.marked.values())
        self.read(*lines)
        return sum(each.offered for each in self.marked.values()) - before


def test_the_first_line_is_read_by_the_first_format_that_takes_it() -> None:
    assert Stream().read("b1") == ["b"]
    assert Stream().read("ab1") == ["a"]
    assert Stream().read("plain") == [""]


def test_a_format_that_has_taken_enough_lines_is_offered_them_alone() -> None:
    stream = Stream()
    stream.read(*["b"] * (VOTES - 1))
    assert stream.auto.favourite == ""
    stream.read("b")
    assert stream.auto.favourite == "b"
    assert stream.offered(*["b"] * 100) == 100


def test_banner_lines_before_the_first_structured_one_do_not_matter() -> None:
    stream = Stream()
    assert stream.read(*["starting"] * 100, *["b"] * VOTES) == [""] * 100 + ["b"] * VOTES
    assert stream.auto.favourite == "b"


def test_a_stream_of_two_formats_loses_neither() -> None:
    stream = Stream()
    stream.read(*["b"] * 20)
    assert stream.read(*["b", "a", "x", ""] * 50) == ["b", "a", "", ""] * 50
    assert stream.auto.favourite == "b"


def test_a_stream_that_changes_its_format_changes_the_favourite() -> None:
    stream = Stream()
    stream.read(*["b"] * 20)
    assert stream.read(*["a"] * VOTES) == ["a"] * VOTES
    assert stream.auto.favourite == "a"
    assert stream.offered(*["a"] * 100) == 100
    stream.read(*["b"] * VOTES)
    assert stream.auto.favourite == "b"


def test_votes_from_before_the_favourite_do_not_count_against_it() -> None:
    alone, together = Stream(), Stream()
    lines = ["b"] * (VOTES - 1) + ["a"] * VOTES + ["b"] * (VOTES - 1)
    alone.read(*lines)
    together.auto.parse_many([line.encode() for line in lines], 0)
    assert (alone.auto.favourite, together.auto.favourite) == ("a", "a")
    alone.read("b")
    together.auto.parse_many([b"b"], 0)
    assert (alone.auto.favourite, together.auto.favourite) == ("b", "b")


def test_lines_that_no_format_takes_become_cheap() -> None:
    stream = Stream()
    stream.read(*["x"] * PATIENCE)
    assert stream.offered(*["x"] * SAMPLE * 10) == 10 * 3


def test_a_first_byte_that_was_given_up_is_found_again_by_a_sample() -> None:
    stream = Stream()
    stream.marked["a"].mark = stream.marked["ab"].mark = b"a!"
    assert set(stream.read(*["a"] * PATIENCE * 2)) == {""}
    found = stream.read(*["a!"] * (SAMPLE + VOTES))
    assert found[-VOTES:] == ["a!"] * VOTES


def test_a_byte_with_which_a_taken_line_began_is_not_given_up_soon() -> None:
    stream = Stream()
    stream.marked["b"].mark = b"bb"
    stream.read("bb")
    assert stream.read(*["b"] * PATIENCE * 20, "bb")[-1] == "bb"


@given(st.lists(st.sampled_from(["a", "b", "ab", "x", "y", "", "\0"]) | st.text(max_size=5), max_size=200))
def test_every_line_is_delivered(lines: list[str]) -> None:
    Stream().read(*(line.encode("utf-8", "replace").decode() for line in lines))


def test_every_stream_has_a_format_of_its_own() -> None:
    """They remember what they have seen."""
    for name in [*FORMATS, "auto"]:
        assert format_named(name, Keep.ALL) is not format_named(name, Keep.ALL)


@given(st.lists(st.binary(max_size=60), max_size=30), st.sampled_from([*FORMATS, "auto"]), st.sampled_from(Keep))
def test_no_format_raises(lines: list[bytes], name: str, keep: Keep) -> None:
    made = format_named(name, keep)
    for line in lines:
        made.parse(line, 1_704_164_645_000_000_000)


def test_auto_reads_json_among_plain_lines() -> None:
    auto = format_named("auto", Keep.ALL)
    lines = [b"listening on :8080", b'{"level":"warn","msg":"m"}', b"{broken", b"\tat a.B.c(B.java:1)"]
    assert [auto.parse(line, 0) for line in lines] == [
        LogRecord(lines[0]),
        LogRecord(b"m", severity=13, severity_text="warn"),
        LogRecord(lines[2]),
        LogRecord(lines[3]),
    ]


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "x", "y", ""]), max_size=6),
    st.lists(st.tuples(st.sampled_from(["a", "b", "ab", "x", "y", ""]), st.integers(1, 2 * PATIENCE)), max_size=12),
    st.integers(1, 300),
)
def test_the_next_block_is_read_as_its_lines_are(first: list[str], runs: list[tuple[str, int]], size: int) -> None:
    """Whatever the favourite, the votes and the given up bytes are by then."""
    lines = [line.encode() for line in [*first, *(line for line, count in runs for _ in range(count))]]
    alone, together = Stream().auto, Stream().auto
    for at in range(0, len(lines), size):
        block = lines[at : at + size]
        assert spelled_out(together.parse_many(block, 0), block) == [alone.parse(line, 0) for line in block]
        assert together.favourite == alone.favourite


def test_samples_of_a_block_are_the_lines_that_they_are_one_by_one() -> None:
    streams = Stream(), Stream()
    for stream in streams:
        for mark, given_up in (("a", b"a!"), ("b", b"b!"), ("ab", b"none")):
            stream.marked[mark].mark = given_up
        stream.read(*["a"] * PATIENCE, *["b"] * PATIENCE)
    block = [b"a!"] * (SAMPLE + 1) + [b"b!"] * SAMPLE * 2
    found = spelled_out(streams[0].auto.parse_many(block, 0), block)
    assert found == [streams[1].auto.parse(line, 0) for line in block]
    assert [record.severity_text for record in found if record].index("b!") == SAMPLE * 2


def changing() -> Iterator[bytes]:
    """A stream that changes its format, mixes formats, and has long stretches of none."""
    yield from (b'{"level":"info","msg":"m%d"}' % n for n in range(40))
    yield from (b"W0102 03:04:05.678901       1 file.go:10] broke %d" % n for n in range(40))
    yield from (b"nothing known %d" % n for n in range(200))
    for n in range(300):
        yield b"name=%d level=info msg=taken" % n if n > 150 else b"no format %d" % n
    for n in range(100):
        yield (b"plain %d" % n, b"E0102 03:04:05.678901       1 file.go:10] broke %d" % n, b"{%d" % n)[n % 3]


def shown(record: LogRecord | None) -> object:
    return record and (record.body, record.time, record.severity, record.severity_text)


@pytest.mark.parametrize("size", [1, 7, 64, 512])
def test_auto_reads_a_block_as_it_reads_its_lines(size: int) -> None:
    lines = list(changing())
    alone, together = format_named("auto", Keep.NONE), format_named("auto", Keep.NONE)
    expected = [shown(alone.parse(line, NOW)) for line in lines]
    found: list[object] = []
    for at in range(0, len(lines), size):
        block = lines[at : at + size]
        found += map(shown, spelled_out(together.parse_many(block, NOW), block))
    assert found == expected
    assert together.parse_many([], NOW) == []
