"""Lines come out of a runtime's wrapping as the program wrote them; a long line in pieces comes out as one."""

from __future__ import annotations

import json
import random

import pytest

from sidecar.logic.unwrap import Kind, Unwrapper, detect
from sidecar.model.counters import LogCounters

SECOND = 1704164645_000000000


def cri(text: str, nanosecond: int = 0, iostream: str = "stdout", tag: str = "F") -> bytes:
    return f"2024-01-02T03:04:05.{nanosecond:09d}Z {iostream} {tag} {text}".encode()


def docker(text: str, nanosecond: int = 0, iostream: str = "stdout") -> bytes:
    stamp = f"2024-01-02T03:04:05.{nanosecond:09d}Z"
    return json.dumps({"log": text, "stream": iostream, "time": stamp}, separators=(",", ":")).encode()


def unwrapper(kind: Kind, max_line: int = 1000, start: int = 0) -> Unwrapper:
    return Unwrapper(kind, max_line, LogCounters(), start)


def test_lines_of_cri_lose_their_heads_and_keep_their_times() -> None:
    assert unwrapper("cri").feed([cri("one", 1), cri("two words", 2), cri("", 3)], [10, 20, 30]) == [
        ((b"one", b"two words", b""), [10, 20, 30], [SECOND + 1, SECOND + 2, SECOND + 3], "stdout")
    ]


def test_lines_of_docker_lose_their_braces() -> None:
    lines = [docker("one\n", 1), docker('"tab\\\t\n', 2), docker("\n", 3)]
    assert unwrapper("docker").feed(lines, [10, 20, 30]) == [
        ([b"one", b'"tab\\\t', b""], [10, 20, 30], [SECOND + 1, SECOND + 2, SECOND + 3], "stdout")
    ]


def test_docker_says_more_of_a_container_with_labels_and_less_of_trailing_zeros() -> None:
    line = b'{"log":"x\\n","stream":"stderr","attrs":{"env":"a"},"time":"2024-01-02T03:04:05.5Z"}'
    assert detect([line]) == "docker"
    assert unwrapper("docker").feed([line], [1]) == [([b"x"], [1], [SECOND + 500_000_000], "stderr")]


def test_a_terminal_s_line_ends_go_with_the_others() -> None:
    assert [run.lines for run in unwrapper("docker").feed([docker("one\r\n"), docker("two\r\n")], [1, 2])] == [
        [b"one", b"two"]
    ]


def test_stdout_and_stderr_come_in_runs_so_that_marks_rise() -> None:
    lines = [cri("a"), cri("b"), cri("c", iostream="stderr"), cri("d")]
    found = [(list(run.lines), list(run.marks), run.iostream) for run in unwrapper("cri").feed(lines, [1, 2, 3, 4])]
    assert found == [([b"a", b"b"], [1, 2], "stdout"), ([b"c"], [3], "stderr"), ([b"d"], [4], "stdout")]


@pytest.mark.parametrize("kind", ["cri", "docker"])
def test_pieces_of_a_long_line_are_joined_per_iostream_also_over_two_reads(kind: Kind) -> None:
    def piece(text: str, nanosecond: int, iostream: str, more: bool) -> bytes:
        if kind == "cri":
            return cri(text, nanosecond, iostream, "P" if more else "F")
        return docker(text if more else text + "\n", nanosecond, iostream)

    made = unwrapper(kind, start=5)
    pending = [made.pending]
    assert made.feed([piece("whole", 1, "stdout", False), piece("long-", 2, "stdout", True)], [10, 20]) == [
        ([b"whole"], [10], [SECOND + 1], "stdout")
    ]
    pending.append(made.pending)
    assert made.feed([piece("oops", 3, "stderr", False), piece("er-", 4, "stdout", True)], [30, 40]) == [
        ([b"oops"], [30], [SECOND + 3], "stderr")
    ]
    pending.append(made.pending)
    assert made.feed([piece("still", 5, "stdout", False)], [50]) == [([b"long-er-still"], [50], [SECOND + 2], "stdout")]
    assert [*pending, made.pending] == [None, 10, 10, None]


def test_a_line_that_begins_the_stream_in_pieces_is_pending_from_the_start() -> None:
    made = unwrapper("cri", start=7)
    assert made.feed([cri("a", tag="P")], [20]) == []
    assert made.pending == 7


def test_a_joined_line_is_cut_at_the_cap_and_counted_once() -> None:
    counters = LogCounters()
    made = Unwrapper("cri", 5, counters)
    lines = [cri("abc", tag="P"), cri("def", tag="P"), cri("ghi", tag="P"), cri("j")]
    assert [run.lines for run in made.feed(lines, [1, 2, 3, 4])] == [[b"abcde"]]
    assert (counters.cut_lines, counters.cut_bytes) == (1, 5)


def test_pieces_without_an_end_are_given_up_by_flush() -> None:
    made = unwrapper("cri")
    made.feed([cri("a", 1, "stderr", "P"), cri("b", 2, "stdout", "P"), cri("c", 3, "stdout", "P")], [1, 2, 3])
    assert made.flush() == [
        ([b"a"], [1], [SECOND + 1], "stderr"),
        ([b"bc"], [3], [SECOND + 2], "stdout"),
    ]
    assert made.pending is None
    assert made.flush() == []


@pytest.mark.parametrize("kind", ["cri", "docker"])
@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"plain",
        b"2024-01-02T03:04:05Z stdout",
        b"2024-99-02T03:04:05Z stdout F x",
        b'{"log":1}',
        b'{"log":"x\\n"}',
        b"\xff\0",
    ],
)
def test_a_line_that_is_not_wrapped_passes_as_it_is(kind: Kind, line: bytes) -> None:
    wrapped = {"cri": cri("x", 1), "docker": docker("x\n", 1)}[kind]
    assert unwrapper(kind).feed([wrapped, line, wrapped], [1, 2, 3]) == [
        ([b"x"], [1], [SECOND + 1], "stdout"),
        ([line], [2], [0], ""),
        ([b"x"], [3], [SECOND + 1], "stdout"),
    ]


def test_two_lines_that_make_json_only_together_are_not_taken_for_one() -> None:
    halves = docker("a,b\n", 1).split(b",", 1)
    assert [run.lines for run in unwrapper("docker").feed(halves, [1, 2])] == [halves]


def test_a_tag_of_tomorrow_is_kept_apart_by_its_colon() -> None:
    lines = [cri("a", tag="P:new"), cri("b", tag="F:new")]
    assert [run.lines for run in unwrapper("cri").feed(lines, [1, 2])] == [[b"ab"]]


def test_the_wrapping_is_recognised_by_the_first_lines() -> None:
    assert detect([cri("x"), cri("", tag="P"), b"2024-01-02T03:04:05+02:00 stderr F "]) == "cri"
    assert detect([docker("x\n"), docker("part")]) == "docker"
    assert detect([cri("x"), b"plain"]) is None
    assert detect([b'{"level":"info","time":"2024-01-02T03:04:05Z"}']) is None
    assert detect([b"2024-01-02T03:04:05Z INFO F x"]) is None
    assert detect([]) is None


def test_however_the_lines_are_cut_into_reads_the_result_is_the_same() -> None:
    rng = random.Random(1)
    lines = [
        cri(f"{n}", n, rng.choice(["stdout", "stderr"]), rng.choice("FFP")) if rng.random() < 0.9 else b"odd %d" % n
        for n in range(300)
    ]

    def unwrap(step: int) -> list[tuple[bytes, int, int, str]]:
        made, found = unwrapper("cri"), []
        for at in range(0, len(lines), step):
            part = lines[at : at + step]
            for run in made.feed(part, range(at, at + len(part))):
                found += [(*one, run.iostream) for one in zip(run.lines, run.marks, run.times, strict=True)]
        return found

    whole = unwrap(300)
    assert whole == unwrap(1) == unwrap(7)
    marks = [mark for _, mark, _, _ in whole]
    assert marks == sorted(set(marks))
