"""The severity of a line of no known format."""

from __future__ import annotations

import pytest

from sidecar.logic.level_guess import guess, tells


@pytest.mark.parametrize(
    ("line", "severity", "word"),
    [
        (b"ERROR write failed", 17, "ERROR"),
        (b"at 12 ms WARNING: slow", 13, "WARNING"),
        (b"main | INFO | started", 9, "INFO"),
        (b"[Warn] slow", 13, "Warn"),
        (b"worker <debug> slow", 5, "debug"),
        (b"app level=trace x", 1, "trace"),
        (b"app lvl=ERR x", 17, "ERR"),
        (b"error: no such file", 17, "error"),
        (b"Warning: low on space", 13, "Warning"),
        (b"fatal error: all goroutines are asleep - deadlock!", 21, "fatal"),
        (b"panic: runtime error: index out of range", 19, "panic"),
        (b"SEVERE: write failed", 17, "SEVERE"),
        (b"\x1b[31mERROR\x1b[0m write failed", 17, "ERROR"),
        (b"Traceback (most recent call last):", 17, ""),
        (b'Exception in thread "main" java.lang.Error', 17, ""),
        (b"Unhandled exception. System.Exception: x", 17, ""),
        (b"Uncaught TypeError: x is not a function", 17, ""),
        (b"thread 'main' panicked at src/main.rs:42:20:", 17, ""),
        (b"thread 'main' (8709) panicked at src/main.rs:42:20:", 17, ""),
    ],
)
def test_a_word_for_it_is_found(line: bytes, severity: int, word: str) -> None:
    assert guess(line) == (severity, word)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no error was found, and no warning either",
        b"an informational text about debugging",
        b"NOERROR and ERRORS and INFORM and _ERROR",
        b"WE EARN MORE",
        b"[ARN] and [errors] and <information>",
        b"result=error",
        b"the error: of our ways",
        b"panics are rare",
        b"x" * 200 + b" ERROR",
    ],
)
def test_a_word_in_a_sentence_is_none(line: bytes) -> None:
    assert guess(line) == (0, "")


def test_it_begins_where_the_caller_says() -> None:
    line = b"ERROR behind which warning: slow"
    assert guess(line) == (17, "ERROR")
    assert guess(line, 19) == (13, "warning")


def test_what_is_no_level_does_not_hide_one_behind_it() -> None:
    assert guess(b"[ARN] EARN status=error ERROR gone") == (17, "ERROR")


WORDS = [
    "error",
    "err",
    "warning",
    "warn",
    "info",
    "debug",
    "trace",
    "fatal",
    "critical",
    "crit",
    "panic",
    "notice",
    "alert",
    "emerg",
    "severe",
]
SPELLINGS = [
    *(
        spelling.encode()
        for word in WORDS
        for spelling in (word.upper(), f"[{word}]", f"<{word.upper()}>", f"[{word.title()}]")
    ),
    *(f"{key}={word}".encode() for word in WORDS for key in ("level", "lvl", "severity")),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_block_tells_whatever_one_of_its_lines_tells(spelling: bytes) -> None:
    line = b"at first " + spelling + b" x"
    assert guess(line)[0] == 0 or tells(b"quiet\n" + line + b"\nquiet")
    assert tells(b"quiet\0\n" + line + b"\nquiet")
