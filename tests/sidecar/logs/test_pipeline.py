"""From a source's lines to OTLP: joined, redacted, parsed, packed; and the mark that is safe."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from sidecar.logic.multiline import Mode
from sidecar.logic.noise import Noise
from sidecar.logic.otlp_http import OK, Reply
from sidecar.logic.otlp_logs import Frame
from sidecar.logic.redaction import Rules
from sidecar.logic.redaction_config import Config as Redaction
from sidecar.logs.delivery import FULL, MOST, Delivery
from sidecar.logs.formats import format_named
from sidecar.logs.log_stream import SLICE, LogStream
from sidecar.logs.pipeline import REST, Pipeline
from sidecar.model.counters import LogCounters
from sidecar.model.logs import Keep, LogRecord
from sidecar.model.signals import Batch
from tests.fakes import FakeClock, settle, until


class Bench:
    """A pipeline whose upstream accepts as long as `accepts`."""

    def __init__(
        self,
        format: str = "auto",  # noqa: A002 - the option's name
        keep: Keep = Keep.ALL,
        multiline: Mode = Mode.AUTO,
        max_line: int | None = None,
    ) -> None:
        self.clock = FakeClock(start=1_700_000_000.0)
        self.counters = LogCounters()
        self.batches: list[Batch] = []
        self.held: list[asyncio.Future[Reply]] = []
        self.accepts = True
        self.watched: list[tuple[Sequence[bytes], Mapping[int, int], Sequence[LogRecord]]] = []
        self.delivery = Delivery(self._take, Frame({"service.name": "x"}, "o", "1"), self.clock, random.Random(1))
        self.pipeline = Pipeline(
            self.delivery,
            self.clock,
            self.counters,
            Rules(Redaction()),
            lambda: format_named(format, keep),
            multiline,
            max_line,
            [lambda now, lines, seen, records: self.watched.append((lines, dict(seen), records))],
        )

    def _take(self, batch: Batch) -> asyncio.Future[Reply]:
        self.batches.append(batch)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self.accepts:
            answer.set_result(OK)
        else:
            self.held.append(answer)
        return answer

    def stream(self, start: int = 0, name: str = "app.log", uid: bytes = b"0123456789abcdef") -> LogStream:
        return self.pipeline.stream(uid, {"log.file.name": name}, start)

    async def records(self) -> list[Any]:
        await self.pipeline.flush()
        await self.delivery.flush()
        found: list[Any] = []
        for batch in self.batches:
            for logs in ExportLogsServiceRequest.FromString(batch.body).resource_logs:
                found += [record for scope in logs.scope_logs for record in scope.log_records]
        return found


def marks_of(lines: Sequence[bytes], start: int = 0) -> list[int]:
    return [start + 10 * (n + 1) for n in range(len(lines))]


async def feed(stream: LogStream, *lines: bytes, start: int = 0, **more: Any) -> None:
    await stream.feed(lines, marks_of(lines, start), **more)


def strings(record: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in record.attributes}


async def test_a_line_of_json_becomes_a_record_with_everything_that_it_says() -> None:
    bench = Bench()
    await feed(
        bench.stream(),
        b'{"ts":"2023-11-14T22:13:19.5Z","level":"error","msg":"it broke","status":503,'
        b'"trace_id":"0123456789abcdef0123456789abcdef","span_id":"0123456789abcdef"}',
    )
    (record,) = await bench.records()
    assert record.body.string_value == "it broke"
    assert record.time_unix_nano == 1_699_999_999_500_000_000
    assert record.observed_time_unix_nano == 1_700_000_000_000_000_000
    assert (record.severity_number, record.severity_text) == (17, "error")
    assert record.trace_id.hex() == "0123456789abcdef0123456789abcdef"
    assert record.span_id.hex() == "0123456789abcdef"
    assert {p.key: p.value.int_value for p in record.attributes if p.key == "status"} == {"status": 503}
    assert strings(record)["log.file.name"] == "app.log"
    assert strings(record)["log.record.uid"] == "0123456789abcdef00000000000000000000000a"
    assert (bench.counters.lines, bench.counters.records) == (1, {17: 1})


async def test_a_stack_trace_is_one_record_with_the_line_that_it_explains() -> None:
    bench = Bench()
    await feed(
        bench.stream(),
        b"2023-11-14 22:13:19,500 - shop - ERROR - it broke",
        b"Traceback (most recent call last):",
        b'  File "a.py", line 1, in <module>',
        b"ValueError: no",
        b"2023-11-14 22:13:20,500 - shop - INFO - on it goes",
    )
    first, second = await bench.records()
    assert first.body.string_value.startswith("it broke\nTraceback")
    assert first.body.string_value.endswith("\nValueError: no")
    assert (first.severity_number, first.severity_text) == (17, "ERROR")
    assert second.body.string_value == "on it goes"
    assert bench.counters.lines == 5


async def test_a_stack_trace_is_an_error_unless_its_first_line_says_something_else() -> None:
    bench = Bench()
    await feed(
        bench.stream(),
        b"java.lang.Error: a",
        b"\tat Orders.place(Orders.java:12)",
        b"DEBUG java.lang.Error: b",
        b"\tat Orders.place(Orders.java:12)",
        b"items:",
        b"  a, b",
    )
    records = await bench.records()
    assert [(record.severity_number, record.severity_text) for record in records] == [(17, ""), (5, "DEBUG"), (0, "")]
    assert bench.counters.records == {17: 1, 5: 1, 0: 1}


async def test_what_is_unfinished_holds_the_safe_mark_back_until_it_has_rested() -> None:
    bench = Bench()
    stream = bench.stream()
    await feed(stream, b"first", b"second")
    await bench.delivery.flush()
    assert stream.safe(20) == 10
    await bench.clock.advance(REST)
    await bench.pipeline.sweep()
    await bench.delivery.flush()
    assert stream.safe(20) == 20
    assert [r.body.string_value for r in await bench.records()] == ["first", "second"]


async def test_the_safe_mark_is_not_passed_before_the_upstream_has_accepted() -> None:
    bench = Bench(multiline=Mode.NONE)
    bench.accepts = False
    stream = bench.stream(start=5)
    await feed(stream, b"first", b"second")
    flushed = asyncio.create_task(bench.delivery.flush())
    await settle()
    assert stream.safe(20) == 5
    bench.held[0].set_result(OK)
    await flushed
    assert stream.safe(20) == 20


class Narrow(Delivery):
    """Has room once; then others have taken it."""

    used = False

    async def room(self) -> None:
        if self.used:
            await asyncio.Event().wait()
        self.used = True


async def test_what_is_settled_is_safe_while_feeding_waits_in_the_midst_of_a_block() -> None:
    """The source knows only of blocks that were fed whole."""
    bench = Bench(multiline=Mode.NONE)
    bench.delivery = bench.pipeline.delivery = Narrow(None, Frame({}, "o", "1"), bench.clock, random.Random(1))
    stream = bench.stream()
    lines = [b"%d" % number for number in range(2 * SLICE)]
    feeding = asyncio.create_task(stream.feed(lines, marks_of(lines)))
    await settle()
    await bench.delivery.flush()
    assert stream.safe(0) == 10 * SLICE
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)


async def test_stdout_and_stderr_are_apart_and_the_safe_mark_is_before_what_either_has_not_finished() -> None:
    bench = Bench()
    stream = bench.stream()
    await stream.feed([b"Traceback (most recent call last):"], [10], None, "stderr")
    await stream.feed([b'{"level":"info","msg":"a"}', b'{"level":"info","msg":"b"}'], [20, 30], None, "stdout")
    await stream.feed([b'  File "x.py", line 1', b"ValueError: no"], [40, 50], None, "stderr")
    await bench.delivery.flush()
    assert stream.safe(50) == 0
    records = await bench.records()
    assert [(strings(r)["log.iostream"], r.body.string_value.count("\n")) for r in records] == [
        ("stdout", 0),
        ("stdout", 0),
        ("stderr", 2),
    ]
    assert stream.safe(50) == 50


async def test_lines_that_a_container_runtime_has_wrapped_are_unwrapped() -> None:
    bench = Bench(max_line=1 << 10)
    await feed(
        bench.stream(),
        b"2023-11-14T22:13:19.000000001Z stdout F one",
        b"2023-11-14T22:13:19.000000002Z stderr P tw",
        b"2023-11-14T22:13:19.000000003Z stdout F three",
        b"2023-11-14T22:13:19.000000004Z stderr F o",
    )
    found = {(r.body.string_value, strings(r)["log.iostream"], r.time_unix_nano % 1000) for r in await bench.records()}
    assert found == {("one", "stdout", 1), ("three", "stdout", 3), ("two", "stderr", 2)}


async def test_a_part_of_a_wrapped_line_alone_holds_the_mark_back_and_leaves_when_it_has_rested() -> None:
    bench = Bench(max_line=1 << 10)
    stream = bench.stream()
    await feed(stream, b"2023-11-14T22:13:19.000000001Z stdout P half")
    assert stream.safe(10) == 0
    await bench.clock.advance(REST)
    await bench.pipeline.sweep()
    await bench.delivery.flush()
    assert stream.safe(10) == 10
    assert [r.body.string_value for r in await bench.records()] == ["half"]


async def test_secrets_leave_no_line() -> None:
    bench = Bench()
    await feed(bench.stream(), b"GET https://bob:hunter2@db/x", b'{"msg":"login","password":"hunter2","n":1}')
    bodies = [str(record) for record in await bench.records()]
    assert len(bodies) == 2
    assert "hunter2" not in "".join(bodies)
    assert sum(bench.counters.redacted.values()) == 2


async def test_bytes_that_are_not_utf8_are_repaired_and_nul_stays() -> None:
    bench = Bench(multiline=Mode.NONE)
    await feed(bench.stream(), b"caf\xe9", b"caf\xc3\xa9", b"a\x00b")
    assert [r.body.string_value for r in await bench.records()] == ["caf\ufffd", "café", "a\x00b"]


async def test_blank_lines_make_no_records_and_are_settled() -> None:
    bench = Bench(multiline=Mode.NONE)
    stream = bench.stream()
    await feed(stream, b"", b"  ", b"x", b"")
    assert [r.body.string_value for r in await bench.records()] == ["x"]
    assert stream.safe(40) == 40


async def test_a_line_that_is_not_of_the_format_it_should_be_of_is_kept_as_it_is() -> None:
    bench = Bench(format="json")
    await feed(bench.stream(), b"not json", b'{"msg":"json"}')
    assert [r.body.string_value for r in await bench.records()] == ["not json", "json"]


async def test_who_watches_sees_redacted_lines_severities_and_records() -> None:
    bench = Bench()
    await feed(bench.stream(), b'{"level":"fatal","msg":"password=hunter2"}', b"", b'{"level":"info","msg":"x"}')
    ((lines, seen, records),) = bench.watched
    assert b"hunter2" not in b"".join(lines)
    assert seen == {21: 1, 9: 1}
    assert (len(lines), [record.body for record in records]) == (2, [b"password=[REDACTED]", b"x"])


async def test_who_watches_sees_no_records_of_bare_lines() -> None:
    bench = Bench("plain", multiline=Mode.NONE)
    await feed(bench.stream(), b"bare")
    assert bench.watched == [([b"bare"], {0: 1}, ())]


async def test_who_watches_sees_records_of_lines_that_are_dropped_too() -> None:
    bench = Bench(multiline=Mode.NONE)
    bench.pipeline.noise = Noise(bench.counters.dropped, drop_below=17)
    await feed(bench.stream(), b'{"level":"info","msg":"x"}')
    ((_, seen, records),) = bench.watched
    assert (seen, [record.body for record in records]) == ({9: 1}, [b"x"])


async def test_lines_are_in_hand_while_there_is_no_room_or_their_record_may_go_on() -> None:
    bench = Bench()
    bench.accepts = False
    stream, pipeline = bench.stream(), bench.pipeline
    await feed(stream, b"plain")
    told = [pipeline.in_hand]
    await pipeline.flush()
    told.append(pipeline.in_hand)
    for n in range(MOST):
        await feed(stream, b'{"msg":"%s"}' % (b"x" * FULL), start=100 * (n + 1))
    more = asyncio.create_task(feed(stream, b'{"msg":"more"}', start=1000))
    await settle()
    told.append(pipeline.in_hand)
    bench.held[0].set_result(OK)
    await more
    told.append(pipeline.in_hand)
    assert told == [True, False, True, False]


async def test_a_large_block_is_taken_in_slices_and_in_order() -> None:
    bench = Bench(multiline=Mode.NONE)
    stream = bench.stream()
    lines = [b"line %d" % n for n in range(5000)]
    await feed(stream, *lines)
    assert [r.body.string_value.encode() for r in await bench.records()] == lines
    assert stream.safe(50_000) == 50_000


async def test_noise_is_thinned_out_and_what_was_left_out_is_told_in_the_stream() -> None:
    bench = Bench(multiline=Mode.NONE)
    bench.pipeline.noise = Noise(bench.counters.dropped, dedup=True, drop_below=9)
    stream = bench.stream()
    await feed(stream, b'{"level":"debug","msg":"x"}', b"again", b"again", b"again", b"other", b"other")
    records = await bench.records()
    assert [r.body.string_value for r in records] == [
        "again",
        'last line repeated 2 times: "again"',
        "other",
        'last line repeated once: "other"',
    ]
    assert bench.counters.dropped == {"severity": 1, "duplicate": 3}
    assert len({strings(r)["log.record.uid"] for r in records}) == 4
    assert stream.safe(60) == 60


async def test_lines_that_differ_in_a_field_are_no_repetitions() -> None:
    bench = Bench(multiline=Mode.NONE)
    bench.pipeline.noise = Noise(bench.counters.dropped, dedup=True)
    trace = b'"trace_id":"0af7651916cd43dd8448eb211c80319c"'
    lines = [b'{"ts":"2023-11-14T22:13:%02dZ","msg":"paid","order":%d}' % (n, n // 2) for n in range(24)]
    lines += [b'{"msg":"paid","order":11,%s}' % trace]
    stream = bench.stream()
    await feed(stream, *lines[:3])
    await feed(stream, *lines[3:], start=100)
    records = [r for r in await bench.records() if r.body.string_value == "paid"]
    orders = [
        value.int_value for r in records for key, value in ((a.key, a.value) for a in r.attributes) if key == "order"
    ]
    assert orders == [*range(12), 11]
    assert bench.counters.dropped == {"duplicate": 12}


async def test_what_repeats_is_known_for_each_stream_and_told_there() -> None:
    """Also of a file that is gone by then, and each with a uid of its own."""
    bench = Bench(multiline=Mode.NONE)
    bench.pipeline.noise = Noise(bench.counters.dropped, dedup=True)
    one, other = bench.stream(name="a.log"), bench.stream(name="b.log", uid=b"fedcba9876543210")
    await feed(one, b"started")
    await feed(other, b"started")
    await feed(one, b"started", start=10)
    await feed(other, b"started", b"started", start=10)
    del one, other
    waited = bench.pipeline.waits
    await bench.clock.advance(10)
    await bench.pipeline.sweep()
    assert (waited, bench.pipeline.waits) == (True, False)
    records = await bench.records()
    assert [(strings(r)["log.file.name"], r.body.string_value) for r in records] == [
        ("a.log", "started"),
        ("b.log", "started"),
        ("a.log", 'last line repeated once: "started"'),
        ("b.log", 'last line repeated 2 times: "started"'),
    ]
    assert len({strings(r)["log.record.uid"] for r in records}) == 4


async def test_stdout_and_stderr_of_one_file_repeat_apart() -> None:
    bench = Bench(multiline=Mode.NONE, max_line=1 << 20)
    bench.pipeline.noise = Noise(bench.counters.dropped, dedup=True)
    stream = bench.stream()
    await feed(stream, *(wrapped(iostream, b"ready") for iostream in ("stdout", "stderr", "stdout", "stderr")))
    records = await bench.records()
    assert [(strings(r)["log.iostream"], r.body.string_value) for r in records] == [
        ("stdout", "ready"),
        ("stderr", "ready"),
        ("stdout", 'last line repeated once: "ready"'),
        ("stderr", 'last line repeated once: "ready"'),
    ]
    assert len({strings(r)["log.record.uid"] for r in records}) == 4


def wrapped(iostream: str, text: bytes) -> bytes:
    return b"2023-11-14T22:13:19.000000001Z %s F %s" % (iostream.encode(), text)


async def test_a_parcel_cut_between_stdout_and_stderr_does_not_settle_what_follows_in_the_same_block() -> None:
    bench = Bench(multiline=Mode.NONE, max_line=1 << 20)
    bench.accepts = False
    stream = bench.stream()
    await feed(stream, wrapped("stdout", b"x" * FULL), wrapped("stderr", b"last words"))
    flushed = asyncio.create_task(bench.delivery.flush())
    await until(lambda: len(bench.held) == 2)
    bench.held[0].set_result(OK)
    await settle()
    assert stream.safe(20) == 0
    bench.held[1].set_result(OK)
    await flushed
    assert stream.safe(20) == 20


async def test_parts_of_stdout_and_stderr_that_rest_are_settled_only_when_both_are() -> None:
    bench = Bench(multiline=Mode.NONE, max_line=1 << 20)
    bench.accepts = False
    stream = bench.stream()
    stamp = b"2023-11-14T22:13:19.000000001Z"
    await feed(stream, stamp + b" stdout P " + b"x" * FULL, stamp + b" stderr P y")
    await stream.flush()
    flushed = asyncio.create_task(bench.delivery.flush())
    await until(lambda: len(bench.held) == 2)
    bench.held[0].set_result(OK)
    await settle()
    assert stream.safe(20) == 0
    bench.held[1].set_result(OK)
    await flushed
    assert stream.safe(20) == 20


async def test_reading_that_ends_in_the_midst_of_a_block_goes_on_behind_what_is_settled_of_it() -> None:
    bench = Bench(multiline=Mode.NONE)
    stream = bench.stream()
    fed = asyncio.create_task(feed(stream, *[b"x"] * 5 * SLICE))
    await until(lambda: bench.counters.lines)
    fed.cancel()
    await bench.delivery.flush()
    assert stream.safe(0) == 10 * bench.counters.lines


async def test_a_record_is_not_torn_because_the_upstream_has_taken_nothing_for_long() -> None:
    bench = Bench()
    bench.accepts = False
    stream = bench.stream()
    for n in range(MOST):
        await feed(stream, b"x" * FULL, start=n * 10)
    await feed(stream, b"Traceback (most recent call last):", start=MOST * 10)
    await bench.clock.advance(REST)
    swept = asyncio.create_task(bench.pipeline.sweep())
    await settle()
    rest = asyncio.create_task(feed(stream, b'  File "x.py", line 1', b"ValueError: no", start=MOST * 10 + 10))
    await bench.clock.advance(REST)
    bench.accepts = True
    for answer in bench.held:
        answer.set_result(OK)
    await swept
    await rest
    assert (await bench.records())[-1].body.string_value.count("\n") == 2


class Brittle:
    """A format that breaks on one kind of line."""

    def parse(self, line: bytes, now: int) -> LogRecord | None:
        if line == b"poison":
            raise ZeroDivisionError
        return LogRecord(b"parsed " + line)

    def parse_many(self, lines: Sequence[bytes], now: int) -> list[LogRecord | None]:
        return [self.parse(line, now) for line in lines]


async def test_a_format_that_breaks_loses_no_line_and_stops_no_other() -> None:
    bench = Bench(multiline=Mode.NONE)
    told: list[str] = []
    bench.pipeline.formats = Brittle
    bench.pipeline.broke = lambda error, event: told.append(f"{type(error).__name__}: {event}")
    stream = bench.stream()
    await feed(stream, b"one", b"poison")
    await feed(stream, b"two", start=20)
    assert [r.body.string_value for r in await bench.records()] == ["one", "poison", "parsed two"]
    assert told == ["ZeroDivisionError: a format of logs broke on a bug: lines are taken as they are"]
    assert stream.safe(30) == 30


async def test_what_is_unfinished_is_bounded_over_all_streams_and_the_longest_leaves_first() -> None:
    bench = Bench(max_line=1 << 20)
    part = b"2024-01-02T03:04:05Z stdout P " + b"x" * 800_000
    streams = [bench.stream() for _ in range(30)]
    await feed(streams[0], part + b"y" * 99)
    for stream in streams[1:]:
        await feed(stream, part)
        assert bench.pipeline.held <= 16 << 20
    assert bench.counters.errors == {"too_much_unfinished": 10}
    assert streams[0].held == 0
    assert streams[-1].safe(10) == 0
    assert [stream.held for stream in streams].count(800_000) == 20
    records = await bench.records()
    assert sorted(len(record.body.string_value) for record in records) == [800_000] * 29 + [800_099]
    assert bench.pipeline.held == 0
    assert streams[0].safe(10) == 10


async def test_records_that_wait_for_their_next_line_count_as_unfinished() -> None:
    bench = Bench()
    streams = [bench.stream() for _ in range(90)]
    for stream in streams:
        await feed(stream, b"x" * 200_000)
        assert bench.pipeline.held <= 16 << 20
    assert len(await bench.records()) == 90
    assert bench.pipeline.held == 0
