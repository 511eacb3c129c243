"""Which lines go on with the line before: stack traces of Java, Python, Go, Node, Ruby, .NET and Rust, and indented lines.

Most continuations are known by themselves (`SIGN`): they are indented, or begin as only a trace's lines do. A few are known only
by what came before, the `State`: the exception's line under a Python traceback, a goroutine's frames, a Rust panic's message.

A trace's first line (`Traceback`, `java.lang.X: ...`) belongs to the line before if that is a single one that tells of an error.
"""

from __future__ import annotations

import re
from enum import Enum

TRACEBACK = b"Traceback (most recent call last):"


class State(Enum):
    """What a record is, as far as its lines tell."""

    JSON = "JSON: nothing goes on with it"
    ALONE = "one line"
    TRACE = "several lines"
    FRAMES = "Python's frames: the exception's line comes after them"
    CHAINED = "between two of Python's tracebacks"
    GO = "a Go panic"
    FILE = "Node's file and line: the code comes next"
    CODE = "Node's code: its carets come next"
    CARETS = "Node's carets: the error comes next"
    PANIC = "a Rust panic's place: its message comes next"
    PANICKED = "a Rust panic's message"


_EXCEPTION = rb"[A-Za-z_$][\w$.]{0,256}+(?:(?<=Exception)|(?<=Error)|(?<=Throwable))(?::|\n|$)"
_GO_START = rb"panic: |fatal error: |SIG[A-Z]{2,8}: "
_FILE = rb"(?:/|file:///|node:)[^\s:]{1,512}+:\d{1,9}(?:\n|$)"
_RUST_START = rb"thread '[^'\n]{0,256}+' (?:\(\d{1,20}\) )?panicked at "
_GOROUTINE = rb"goroutine \d{1,20} \["
_CHAIN = rb"During handling of the above exception|The above exception was the direct cause"
_MORE = (
    rb"Caused by: |Suppressed: |Wrapped by: |\.\.\. \d{1,9} (?:more|common)|at [\w$.<>/]{1,512}+\(|--- End of "
    rb"|Node\.js v\d|[A-Za-z/._@][\w./@-]{0,512}+:\d{1,9}:in [`'][^'\n]{0,256}+'(?:\n|$)|" + _GOROUTINE + b"|" + _CHAIN
)
INDENTED_SIGN = re.compile(rb"\n(?:\s|\Z)")
SIGN = re.compile(
    rb"\n(?:[\s}\])]|\Z|%s)" % b"|".join((rb"Traceback \(", _MORE, _GO_START, _FILE, _RUST_START, _EXCEPTION))
)
"""Before a line that may go on with the one before it, or be the first of a trace. No other line does, behind a line that is
ALONE or JSON."""

NO_SIGN = frozenset(bytes([byte]) for byte in b'0123456789{["<#|')
"""What no such line begins with: most lines do that begin with a time, and JSON."""

BESIDE_LETTERS = frozenset(bytes([byte]) for byte in b" \t\r\v\f}])/._@") | {b""}
"""What a line that may go on begins with, if not with a letter."""
WORDS = (
    b"Traceback (",
    b"Caused by: ",
    b"Suppressed: ",
    b"Wrapped by: ",
    b"\nat ",
    b"--- End of ",
    b"Node.js v",
    b":in ",
    b"goroutine ",
    b"During handling of the above",
    b"The above exception",
    b"panic: ",
    b"fatal error: ",
    b"SIG",
    b"file:///",
    b"node:",
    b"thread '",
    b"Exception",
    b"Error",
    b"Throwable",
)
"""One of these is in a line feed and every line that SIGN stands before and that begins with a letter."""

_is_more = re.compile(_MORE).match
_is_goroutine = re.compile(_GOROUTINE).match
_is_chain = re.compile(_CHAIN).match
_is_exception = re.compile(_EXCEPTION).match
_is_file = re.compile(_FILE).match
_is_go = re.compile(_GO_START).match
_is_rust = re.compile(_RUST_START).match
_is_closing = re.compile(rb"[}\])]{1,8}+[,;]?$").match
_is_carets = re.compile(rb"\s++\^++\s*+$").match
_is_raised = re.compile(rb"[A-Za-z_][\w.]{0,256}+(?::|$)").match
_tells_of_error = re.compile(
    rb"\b(?:ERROR|Error|error|CRITICAL|critical|FATAL|Fatal|fatal|SEVERE|WARN(?:ING)?|Exception|exception)\b"
).search
_is_frame_of_go = re.compile(
    rb"created by |\[signal |exit status \d|runtime stack:|\.\.\.additional frames|PC=|[a-z][a-z0-9]{1,6} +0x[0-9a-f]+$"
    rb"|[^\s(]{1,512}+(?:\(\*[^)\s]{1,256}+\)[^\s(]{0,256}+)?\(.*\)$"
).match
LOOK = 1024
"""Bytes of a record's first line that are searched for a word of error."""


def first(line: bytes) -> State:
    """What the line is if it goes on with nothing."""
    if line[:1] == b"{" and len(line) > 1:
        return State.JSON
    if line.endswith(TRACEBACK):
        return State.FRAMES
    if _is_go(line) or _is_goroutine(line):
        return State.GO
    if _is_rust(line):
        return State.PANIC if line.endswith(b":") else State.PANICKED
    if _is_file(line):
        return State.FILE
    return State.TRACE if line[:1].isspace() else State.ALONE


def goes_on(state: State, start: bytes, line: bytes) -> State | None:
    """What a record is with this line, or None if the line does not belong to it. `start` is the record's first line; the line
    is not blank."""
    if state is State.JSON or (line[:1] == b"{" and len(line) > 1):
        return None
    if line[:1].isspace():
        return _indented(state, line)
    if _is_more(line):
        if _is_goroutine(line):
            return State.GO
        return State.CHAINED if _is_chain(line) else State.TRACE
    match state:
        case State.FILE:
            return State.CODE
        case State.CARETS:
            return State.TRACE
        case State.PANIC:
            return State.PANICKED
        case State.PANICKED if line.startswith((b"note: ", b"stack backtrace:")):
            return State.PANICKED
        case State.GO if _is_frame_of_go(line):
            return State.GO
        case State.FRAMES if _is_raised(line):
            return State.TRACE
        case State.CHAINED if line == TRACEBACK:
            return State.FRAMES
        case State.ALONE if not _is_exception(start) and _tells_of_error(start, 0, LOOK):
            if line == TRACEBACK:
                return State.FRAMES
            return State.TRACE if _is_exception(line) else None
        case State.TRACE if _is_closing(line):
            return State.TRACE
        case _:
            return None


def _indented(state: State, line: bytes) -> State:
    match state:
        case State.CODE | State.FILE:
            return State.CARETS if _is_carets(line) else State.CODE
        case State.FRAMES | State.GO | State.PANIC | State.PANICKED:
            return state
        case _ if line.lstrip() == TRACEBACK:
            return State.FRAMES
        case _:
            return State.TRACE
