"""The severity of a line of no known format."""

from __future__ import annotations

import pytest

from sidecar.logic.level_guess import guess, is_trace, tells


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
        (b"info: Microsoft.Hosting.Lifetime[14]", 9, "info"),
        (b"fail: Shop.Orders[0]", 17, "fail"),
        (b"crit: Shop.Orders[0]", 21, "crit"),
        (b"trce: Shop.Orders[0]", 1, "trce"),
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
        b"fail: x",
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


@pytest.mark.parametrize(
    ("rest", "trace"),
    [
        (b"\tat Orders.place(Orders.java:12)", True),
        (b"  throw x;\n  ^\n\nPaymentError: x\n    at charge (a.js:12:9)", True),
        (b"\tfrom a.rb:5:in `main'", True),
        (b"", False),
        (b"at noon\nfrom here", False),
        (b"  attached: 1\n  what is at hand", False),
    ],
)
def test_calls_of_a_stack_trace_are_an_error(rest: bytes, trace: bool) -> None:
    assert is_trace(rest) == trace


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
