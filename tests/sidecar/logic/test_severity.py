"""Levels of every scale as OpenTelemetry's numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic import severity


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("trace TRACE Trace TRC finest silly", 1),
        ("debug DEBUG Debug dbg D verbose finer DEBUG2", 5),
        ("fine", 6),
        ("config", 7),
        ("info INFO Info INF I information Informational LOG http", 9),
        ("notice NOTICE success", 10),
        ("warn WARN Warning WARNING wrn W wArNiNg", 13),
        ("error ERROR err ERR E Severe", 17),
        ("crit CRIT dpanic", 18),
        ("alert panic PANIC", 19),
        ("fatal FATAL FTL F critical CRITICAL emerg Emergency", 21),
    ],
)
def test_words_in_any_case(words: str, number: int) -> None:
    for word in words.split():
        assert severity.of_word(word) == number, word
        assert severity.of_word(f" {word} ") == number, word


@pytest.mark.parametrize(
    ("word", "number"),
    [("INFO+2", 11), ("DEBUG-4", 1), ("DEBUG-9", 1), ("WARN+1", 14), ("ERROR+4", 21), ("ERROR+99", 24), ("INFO-4", 5)],
)
def test_go_slog_writes_levels_between_its_own_as_steps(word: str, number: int) -> None:
    assert severity.of_word(word) == number


@pytest.mark.parametrize("word", ["", " ", "x", "informed", "INFO+", "INFO+22222", "30", "e" * 100, "ı"])
def test_other_words_are_unknown(word: str) -> None:
    assert severity.of_word(word) == 0


def test_syslog_numbers_follow_the_appendix() -> None:
    assert [severity.of_syslog(number) for number in range(-1, 9)] == [0, 21, 19, 18, 17, 13, 10, 9, 5, 0]


def test_pino_and_bunyan_count_from_10_to_60() -> None:
    assert {n: severity.of_pino(n) for n in (9, 10, 20, 30, 35, 40, 50, 59, 60, 69, 70)} == {
        9: 0,
        10: 1,
        20: 5,
        30: 9,
        35: 11,
        40: 13,
        50: 17,
        59: 20,
        60: 21,
        69: 24,
        70: 0,
    }


def test_python_counts_from_10_to_50() -> None:
    assert {n: severity.of_python(n) for n in (0, 5, 10, 20, 25, 30, 40, 50, 60)} == {
        0: 0,
        5: 1,
        10: 5,
        20: 9,
        25: 11,
        30: 13,
        40: 17,
        50: 21,
        60: 0,
    }


def test_logback_counts_in_ten_thousands() -> None:
    assert [severity.of_logback(n) for n in (5000, 10000, 20000, 30000, 40000, 100, 60000)] == [1, 5, 9, 13, 17, 0, 0]


def test_a_number_of_opentelemetry_is_kept() -> None:
    assert [severity.of_otel(number) for number in (0, 1, 17, 24, 25, -3)] == [0, 1, 17, 24, 0, 0]


@given(st.one_of(st.text(max_size=40), st.from_regex(r"\A(DEBUG|INFO|WARN|ERROR)[+-]\d{1,6}\Z")))
def test_no_word_raises(word: str) -> None:
    assert 0 <= severity.of_word(word) <= 24


@given(st.integers())
def test_no_number_raises(number: int) -> None:
    for scale in (severity.of_syslog, severity.of_pino, severity.of_python, severity.of_logback, severity.of_otel):
        assert 0 <= scale(number) <= 24
