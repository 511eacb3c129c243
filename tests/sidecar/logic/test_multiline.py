"""Lines that belong together become one record, however they were cut into feeds.

The traces are what CPython 3.11, Node 20, OpenJDK 17, Go and rustc wrote, shortened; those of Ruby and .NET are as documented.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic.multiline import Mode, Multiline
from sidecar.logic.trace_lines import BESIDE_LETTERS, NO_SIGN, SIGN, WORDS

PYTHON = [
    b"2026-11-21 14:53:28,100 INFO start",
    b"""2026-11-21 14:53:29,905 ERROR failed
Traceback (most recent call last):
  File "/srv/a.py", line 5, in a
    load("x")
  File "/srv/a.py", line 2, in load
    return {}[k]
           ~~^^^
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/a.py", line 10, in b
    a()
ValueError: no such

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/a.py", line 12, in b
    raise RuntimeError("outer") from e
RuntimeError: outer""",
    b"2026-11-21 14:53:29,907 ERROR next",
    b"""2026-11-21 14:53:29,907 ERROR group
  + Exception Group Traceback (most recent call last):
  |   File "/srv/a.py", line 19, in <module>
  |     raise ExceptionGroup("many",[ValueError("a"),TypeError("b")])
  | ExceptionGroup: many (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: a
    +---------------- 2 ----------------
    | TypeError: b
    +------------------------------------""",
    b"info: nothing to do with it",
    b"""Traceback (most recent call last):
  File "/srv/a.py", line 21, in <module>
    compile("x = = 1","f.py","exec")
  File "f.py", line 1
    x = = 1
        ^
SyntaxError: invalid syntax""",
    b"""Traceback (most recent call last):
  File "/srv/a.py", line 30, in <module>
KeyboardInterrupt""",
    b"stopped",
]
JAVA = [
    b"2026-11-21 10:00:00 INFO start",
    b"""2026-11-21 10:00:01 ERROR failed
java.lang.RuntimeException: outer
\tat M.main(M.java:6)
\tat java.base/jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)
Caused by: java.lang.IllegalStateException: deep
\tat M.deep(M.java:2)
\t... 8 more
\tSuppressed: java.lang.RuntimeException: in close
\t\tat M$R.close(M.java:3)
\t\t... 8 more""",
    b"2026-11-21 10:00:02 INFO next",
    b"""Exception in thread "main" java.lang.NullPointerException: Cannot invoke "Object.toString()"
\tat M.main(M.java:8)""",
    b"""java.lang.IllegalStateException
\tat M.main(M.java:9)""",
    b"""java.lang.IllegalStateException: stripped of its tabs
at M.main(M.java:9)
... 8 more
Caused by: java.io.IOException""",
]
NODE = [
    b"start",
    b"""TypeError: Cannot read properties of null (reading 'x')
    at f (/srv/n.js:2:20)
    at node:internal/main/run_main_module:28:49""",
    b"""wrapped Error: outer
    at Object.<anonymous> (/srv/n.js:3:64)
    ... 4 lines matching cause stack trace ...
    at node:internal/main/run_main_module:28:49 {
  [cause]: TypeError: Cannot read properties of null (reading 'x')
      at f (/srv/n.js:2:20)
}""",
    b"next",
    b"""/srv/n.js:7
Promise.reject(new Error("unhandled"))
               ^

Error: unhandled
    at Object.<anonymous> (/srv/n.js:7:16)

Node.js v20.20.2""",
    b"""node:internal/process/promises:288
            triggerUncaughtException(err, true /* fromPromise */);
            ^

[UnhandledPromiseRejection: This error originated either by throwing inside of an async function] {
  code: 'ERR_UNHANDLED_REJECTION'
}""",
    b"done",
]
GO = [
    b"start",
    b"""panic: assignment to entry in nil map [recovered, repanicked]

goroutine 19 [running]:
main.main.func1.1()
\t/srv/g.go:4 +0x6e
panic({0x4ae580?, 0x57e2b0?})
\t/usr/local/go/src/runtime/panic.go:860 +0x13a
main.f(...)
\t/srv/g.go:3
net/http.(*conn).serve(0xc00013e000, {0x6d6a40, 0xc000112d50})
\t/usr/local/go/src/net/http/server.go:2092 +0x5d0
created by main.main in goroutine 1
\t/srv/g.go:4 +0x8a

goroutine 1 [select (no cases)]:
main.main()
\t/srv/g.go:4 +0xa5
exit status 2""",
    b"""2026/11/21 10:00:00 http: panic serving 127.0.0.1:52000: boom
goroutine 20 [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1947 +0xbe""",
    b"""panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47b0c4]

goroutine 1 [running]:
main.main()
\t/srv/g.go:9 +0x14""",
    b"2026/11/21 10:00:01 next (one)",
]
RUST = [
    b"start",
    b"""thread 'main' (9011) panicked at r.rs:1:29:
index out of bounds: the len is 1 but the index is 3
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616/library/std/src/panicking.rs:689:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.""",
    b"next true",
    b"""thread 'main' panicked at r.rs:2:159:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace""",
    b"""thread 'worker' panicked at 'boom', src/main.rs:2:5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace""",
]
RUBY = [
    b"I, [2026-11-21T10:00:00.1 #1]  INFO -- : start",
    b"""a.rb:3:in 'Integer#/': divided by 0 (ZeroDivisionError)
\tfrom a.rb:3:in 'Object#f'
\tfrom a.rb:6:in '<main>'""",
    b"""F, [2026-11-21T10:00:01.1 #1] FATAL -- : NoMethodError (undefined method `x' for nil:NilClass):

app/controllers/shop_controller.rb:5:in `index'
lib/rack/logger.rb:38:in `call_app'""",
]
DOTNET = [
    b"""fail: Shop.Orders[0]
      Order failed
      System.InvalidOperationException: outer""",
    b"""Unhandled exception. System.InvalidOperationException: outer
 ---> System.IO.IOException: inner
   at Program.F() in /src/Program.cs:line 3
   --- End of inner exception stack trace ---
   at Program.Main(String[] args) in /src/Program.cs:line 9
--- End of stack trace from previous location ---
   at Program.G()""",
    b"info: Shop[0]",
]
OTHER = [
    b'{"level":"error","msg":"x"}',
    b"  indented under nothing\n  and more",
    b'{"level":"info"}',
    b'{\n  "pretty": [\n    1\n  ]\n}',
    b"ERROR failed",
    b"/healthz 200",
    b"TypeError: one",
    b"TypeError: two",
    b"Error: three",
    b"Error: four",
    b"} closes nothing",
]
ALL = {
    "python": PYTHON, "java": JAVA, "node": NODE, "go": GO, "rust": RUST, "ruby": RUBY, "dotnet": DOTNET, "other": OTHER,
}  # fmt: skip


def join(
    lines: Sequence[bytes],
    cuts: Sequence[int] = (),
    mode: Mode = Mode.AUTO,
    max_lines: int = 500,
    max_bytes: int = 1 << 18,
) -> list[tuple[bytes, int]]:
    """Records and marks; the mark of a line is its number, from 1. The lines are cut behind each of `cuts`."""
    multiline = Multiline(mode, max_lines, max_bytes)
    records = []
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(lines)}), len(lines)]
    for start, end in pairwise(edges):
        part = lines[start:end]
        out, ends = multiline.feed(part, range(start + 1, end + 1), b"\n".join(part))
        records += list(zip(out, ends, strict=True))
    pending = multiline.pending
    last = multiline.flush()
    assert pending is (last is not None)
    assert multiline.flush() is None
    assert not multiline.pending
    return [*records, *([last] if last else [])]


@pytest.mark.parametrize("records", ALL.values(), ids=ALL.keys())
def test_a_trace_is_one_record_however_it_was_cut(records: list[bytes]) -> None:
    lines = b"\n".join(records).split(b"\n")
    end = 0
    expected = [(record, end := end + record.count(b"\n") + 1) for record in records]
    assert join(lines) == expected
    for cut in range(1, len(lines)):
        assert join(lines, [cut]) == expected
    assert join(lines, range(len(lines))) == expected


@given(
    st.lists(
        st.sampled_from(
            [line for records in ALL.values() for line in b"\n".join(records).split(b"\n")]
            + [b"", b" ", b"\0", b"\xff", b"x"]
        ),
        max_size=40,
    ),
    st.lists(st.integers(1, 40), max_size=6),
    st.sampled_from([Mode.AUTO, Mode.INDENT]),
    st.integers(1, 6),
)
def test_what_comes_out_does_not_depend_on_the_cuts(lines: list[bytes], cuts: list[int], mode: Mode, most: int) -> None:
    """And nothing is lost but blank lines between records, nothing is out of order, and JSON is never joined."""
    whole = join(lines, mode=mode, max_lines=most, max_bytes=200)
    assert join(lines, cuts, mode, most, 200) == whole
    ends = [end for _, end in whole]
    assert ends == sorted(set(ends))
    assert [line for record, _ in whole for line in record.split(b"\n") if line.strip()] == [
        line for line in lines if line.strip()
    ]
    for record, end in whole:
        assert record.endswith(lines[end - 1])
        assert record.count(b"\n") < most
        assert b'\n{"' not in record
        assert not (record.startswith(b'{"') and b"\n" in record)


def test_a_block_of_json_is_handed_on_as_it_is() -> None:
    lines, marks = [b'{"a":1}', b'{"b":2}'], [1, 2]
    multiline = Multiline(Mode.AUTO)
    assert multiline.feed(lines, marks, b"\n".join(lines)) == (lines, marks)
    assert not multiline.pending


def test_json_behind_other_lines_does_not_wait() -> None:
    multiline = Multiline(Mode.AUTO)
    multiline.feed([b"a"], [1], b"a")
    assert multiline.feed([b'{"b":2}'], [2], b'{"b":2}') == ([b"a", b'{"b":2}'], [1, 2])
    assert not multiline.pending


def test_only_the_last_line_of_ordinary_ones_waits() -> None:
    multiline = Multiline(Mode.AUTO)
    assert multiline.feed([b"a", b"b"], [1, 2], b"a\nb") == ([b"a"], [1])
    assert multiline.pending
    assert multiline.feed([b"c"], [3], b"c") == ([b"b"], [2])
    assert multiline.flush() == (b"c", 3)


def test_nothing_goes_on_with_what_was_flushed() -> None:
    multiline = Multiline(Mode.AUTO)
    multiline.feed([b"a"], [1], b"a")
    multiline.flush()
    assert multiline.feed([b"\tat b", b"c"], [2, 3], b"\tat b\nc") == ([b"\tat b"], [2])


def test_indent_joins_indented_lines_only() -> None:
    lines = [b"a", b"  b", b"\tc", b"Caused by: d", b"", b'{"e":1}', b" f"]
    assert join(lines, mode=Mode.INDENT) == [(b"a\n  b\n\tc", 3), (b"Caused by: d", 4), (b'{"e":1}', 6), (b" f", 7)]


def test_none_joins_nothing_and_holds_nothing_back() -> None:
    lines = [b"a", b"", b" b"]
    multiline = Multiline(Mode.NONE)
    assert multiline.feed(lines, [1, 2, 3], b"a\n\n b") == (lines, [1, 2, 3])
    assert not multiline.pending


def test_a_record_ends_at_its_bounds_and_its_rest_is_joined_too() -> None:
    lines = [b"panic: x", b"", b"goroutine 1 [running]:", b"main.f()", b"\tg.go:1", b"main.g()", b"next"]
    assert join(lines, max_lines=4) == [
        (b"panic: x\n\ngoroutine 1 [running]:\nmain.f()", 4),
        (b"\tg.go:1\nmain.g()", 6),
        (b"next", 7),
    ]
    assert join([b"a", b" 34", b" 78", b" 2"], max_bytes=9) == [(b"a\n 34\n 78", 3), (b" 2", 4)]


def test_hostile_blocks_are_no_problem() -> None:
    for unit in (
        b"\n",
        b" \n",
        b"\t^^^^",
        b"panic: (\n",
        b"a.b:1:",
        b"at a.",
        b"}\n",
        b"Caused by: \n",
        b"/a:1\n",
        b"(((",
    ):
        block = unit * ((1 << 18) // len(unit))
        join(block.split(b"\n"))


SIGNS = [
    *(
        b"Traceback (most recent call last):",
        b"Caused by: x",
        b"... 5 more",
        b"at a.b(c)",
        b"--- End of it",
        b"Node.js v20",
    ),
    *(
        b"/a/b.rb:5:in `c'",
        b"goroutine 1 [running]:",
        b"During handling of the above exception",
        b"panic: x",
        b"SIGSEGV: x",
    ),
    *(
        b"/a/b.js:5",
        b"thread 'main' panicked at x",
        b"a.b.CException: x",
        b"_Error",
        b"$Error",
        b"@a/b:1:in `c'",
        b" x",
        b"}",
    ),
]


@pytest.mark.parametrize("line", SIGNS)
def test_no_line_that_goes_on_begins_with_what_is_passed_over(line: bytes) -> None:
    assert SIGN.match(b"\n" + line)
    assert not any(SIGN.match(b"\n" + byte + line[skip:]) for byte in NO_SIGN for skip in (0, 1))


@pytest.mark.parametrize("trace", ALL.values(), ids=ALL)
def test_a_line_of_a_trace_has_one_of_the_words_or_begins_as_no_word_does(trace: Sequence[bytes]) -> None:
    """What is asked of a whole block, to spare the search, is true of every line that the search would find."""
    for line in b"\n".join(trace).split(b"\n"):
        if SIGN.match(b"\n" + line):
            assert line[:1] in BESIDE_LETTERS or any(word in b"\n" + line for word in WORDS)


@given(st.from_regex(SIGN, fullmatch=True))
def test_nothing_that_the_search_finds_is_without_such_a_word(found: bytes) -> None:
    line = found.removeprefix(b"\n").split(b"\n")[0]
    assert line[:1] in BESIDE_LETTERS or any(word in b"\n" + line for word in WORDS)
