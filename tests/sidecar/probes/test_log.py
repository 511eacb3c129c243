"""kind: log. Errors, a pattern, a panic, or silence, over the last while."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sidecar.logic.log_watch import LogWatch, Sight
from sidecar.logic.schema import load
from sidecar.model.health import Result, State
from sidecar.model.logs import LogRecord
from sidecar.probes.log import Config, ErrorRate, LogProbe
from tests.fakes import FakeClock
from tests.sidecar.probes.support import context

INFO, ERROR, FATAL = 9, 17, 21


class Logs:
    """A check on a source whose lines the test writes."""

    def __init__(self, config: Config, *sights: Sight) -> None:
        self.clock = FakeClock()
        watches: list[LogWatch] = []
        self.probe = LogProbe(config, context(now=self.clock.now, watches=watches))
        (self.watch,) = watches
        self.sights = list(sights) or [Sight()]
        self.watch.sources = [lambda n=n: self.sights[n] for n in range(len(self.sights))]  # type: ignore[misc]

    def write(self, line: str, severity: int = INFO, times: int = 1) -> None:
        body = line.encode()
        self.watch.note(self.clock.now(), [body] * times, {severity: times}, [LogRecord(body, 0, severity)] * times)

    async def check(self) -> Result:
        return await self.probe.check()


async def test_records_without_trouble_pass() -> None:
    logs = Logs(Config())
    logs.write("ready", times=20)
    logs.write("it broke", ERROR)
    result = await logs.check()
    assert (result.raw, result.output) == (State.PASS, "21 records, 1 error within 1m")
    assert [(o.name, o.value) for o in result.observed] == [("records", 21), ("errors", 1), ("silence", 0)]


async def test_a_fatal_record_fails_until_the_window_is_over() -> None:
    logs = Logs(Config())
    logs.write("panic: runtime error: index out of range", FATAL)
    result = await logs.check()
    assert result.raw is State.FAIL
    assert result.output == "1 fatal within 1m, the last: panic: runtime error: index out of range"
    await logs.clock.advance(58)
    assert (await logs.check()).raw is State.FAIL
    await logs.clock.advance(3)
    assert (await logs.check()).raw is State.PASS


async def test_the_share_of_errors_warns_and_fails_at_its_limits() -> None:
    logs = Logs(Config(error_rate=ErrorRate(warn=0.1, fail=0.5)))
    logs.write("fine", times=9)
    assert (await logs.check()).raw is State.PASS
    logs.write("broke", ERROR)
    result = await logs.check()
    assert (result.raw, result.output) == (
        State.WARN,
        "1 of 10 records are errors within 1m, expected less than 10%",
    )
    logs.write("broke", ERROR, times=8)
    result = await logs.check()
    assert (result.raw, result.output) == (State.FAIL, "9 of 18 records are errors within 1m, expected less than 50%")


async def test_a_few_records_are_no_rate() -> None:
    logs = Logs(Config(error_rate=ErrorRate(fail=0.5)))
    logs.write("broke", ERROR, times=9)
    assert (await logs.check()).raw is State.PASS
    logs.write("broke", ERROR)
    assert (await logs.check()).raw is State.FAIL


async def test_a_pattern_fails_with_the_line_that_holds_it() -> None:
    logs = Logs(Config(pattern=re.compile("OutOf[A-Z]\\w+"), window=300.0))
    logs.write("nothing")
    assert (await logs.check()).raw is State.PASS
    logs.write("java.lang.OutOfMemoryError: heap", times=3)
    result = await logs.check()
    assert result.raw is State.FAIL
    assert result.output == '3 times "OutOf[A-Z]\\w+" within 5m, the last: java.lang.OutOfMemoryError: heap'


@pytest.mark.parametrize("pattern", ["^boom", "boom$", r"\Aboom\Z", r"boom(?!\s+after)", r"(?<!before\s)boom", "boom"])
async def test_a_pattern_sees_each_line_for_itself(pattern: str) -> None:
    logs = Logs(Config(pattern=re.compile(pattern)))
    logs.watch.note(logs.clock.now(), [b"before", b"boom", b"after"], {0: 3}, [])
    result = await logs.check()
    assert (result.raw, result.output) == (State.FAIL, f'1 time "{pattern}" within 1m, the last: boom')


async def test_what_was_fatal_and_what_holds_the_pattern_are_told_apart() -> None:
    logs = Logs(Config(pattern=re.compile("timeout"), fatal=True))
    logs.write("upstream timeout")
    logs.write("panic: x", FATAL)
    result = await logs.check()
    fatal, match = result.output.split("; ")
    assert fatal == "1 fatal within 1m, the last: panic: x"
    assert match == '1 time "timeout" within 1m, the last: upstream timeout'


async def test_a_pattern_may_ignore_case_and_hold_letters_beyond_ascii() -> None:
    logs = Logs(Config(pattern=re.compile("(?i)größe")))
    logs.write("Größe")
    assert (await logs.check()).raw is State.FAIL


async def test_a_check_for_something_else_does_not_look_for_fatal_records() -> None:
    logs = Logs(Config(silence=30.0))
    logs.write("panic: x", FATAL)
    assert (await logs.check()).raw is State.PASS


async def test_silence_fails_and_a_line_ends_it() -> None:
    logs = Logs(Config(silence=30.0))
    await logs.clock.advance(29)
    assert (await logs.check()).raw is State.PASS
    await logs.clock.advance(1)
    result = await logs.check()
    assert (result.raw, result.output) == (State.FAIL, "silent for 30s, expected a line within 30s")
    logs.write("here")
    assert (await logs.check()).raw is State.PASS


async def test_without_a_stream_nothing_is_known() -> None:
    logs = Logs(Config(), Sight(reads=False))
    result = await logs.check()
    assert (result.raw, result.output) == (State.UNKNOWN, "no logs are read: nothing that is configured is there")


async def test_a_single_look_and_a_sidecar_without_logs_know_nothing_each_for_its_own_reason() -> None:
    logs = Logs(Config(silence=30.0))
    await logs.clock.advance(60)
    logs.watch.sources = None
    result = await logs.check()
    assert result.raw is State.UNKNOWN
    assert result.output == "logs are read by a sidecar that runs, not by a single look"
    logs.watch.sources = []
    result = await logs.check()
    assert result.raw is State.UNKNOWN
    assert result.output == ("no logs are read: give --logs FILES, or start the service as: outrider run -- COMMAND")


REFUSED = "/app.log: Permission denied"


async def test_what_hides_all_new_lines_makes_a_pass_unknown_and_leaves_a_proven_failure() -> None:
    logs = Logs(Config(), Sight(), Sight(REFUSED, blind=True))
    logs.write("all is well")
    result = await logs.check()
    assert (result.raw, result.output) == (State.UNKNOWN, REFUSED)
    logs.write("panic: x", FATAL)
    assert (await logs.check()).output == "1 fatal within 1m, the last: panic: x"
    await logs.clock.advance(62)
    assert (await logs.check()).raw is State.UNKNOWN


async def test_what_lines_come_in_spite_of_is_told_beside_the_verdict() -> None:
    logs = Logs(Config(), Sight(REFUSED))
    logs.write("all is well")
    result = await logs.check()
    assert result.raw is State.PASS
    assert result.output == f"1 record, 0 errors within 1m; not all is read: {REFUSED}"


async def test_silence_is_the_services_only_where_all_that_it_writes_is_read() -> None:
    logs = Logs(Config(silence=30.0), Sight(REFUSED))
    assert (await logs.check()).raw is State.PASS
    await logs.clock.advance(30)
    result = await logs.check()
    assert (result.raw, result.output) == (State.UNKNOWN, REFUSED)
    logs.sights = [Sight()]
    assert (await logs.check()).raw is State.FAIL


async def test_a_line_that_waits_to_be_looked_at_is_no_silence() -> None:
    logs = Logs(Config(silence=30.0), Sight(in_hand=True))
    await logs.clock.advance(30)
    assert (await logs.check()).raw is State.PASS
    logs.sights = [Sight("reading pauses: down", blind=True, in_hand=True)]
    result = await logs.check()
    assert (result.raw, result.output) == (State.UNKNOWN, "reading pauses: down")


async def test_older_records_that_are_left_out_are_told() -> None:
    logs = Logs(Config())
    old = LogRecord(b"gone", int((logs.clock.now() - 3600) * 1e9), FATAL)
    logs.watch.note(logs.clock.now(), [b"gone", b"well"], {FATAL: 1, 0: 1}, [old, LogRecord(b"well")])
    result = await logs.check()
    assert (result.raw, result.output) == (State.PASS, "1 record, 0 errors within 1m; 1 older record left out")


async def test_a_clock_that_is_set_back_does_not_keep_old_trouble_for_ever() -> None:
    logs = Logs(Config())
    logs.write("panic: x", FATAL)
    logs.clock.time -= 3600
    assert (await logs.check()).raw is State.PASS


async def test_a_long_window_keeps_one_count_a_second() -> None:
    logs = Logs(Config(window=3600.0))
    for _ in range(100):
        logs.write("a")
        logs.write("b")
        await logs.clock.advance(0.5)
    assert "200 records" in (await logs.check()).output


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"window": "500ms"}, "window: 500ms is out of range, expected 1s to 1h"),
        ({"silence": "500ms"}, "silence: 500ms is too short, expected at least 1s"),
        ({"fatal": False}, "nothing to look for, expected fatal, error_rate, pattern or silence"),
        ({"error_rate": {"warn": "5%", "records": 0}}, "error_rate.records: 0 is out of range, expected 1 or more"),
    ],
)
def test_what_makes_no_sense_is_told(config: dict[str, Any], problem: str) -> None:
    assert [str(told) for told in load(Config, config, {}, "file")[1]] == [f"file: {problem}"]


def test_an_error_rate_needs_a_limit_and_an_order() -> None:
    _, (problem,) = load(ErrorRate, {}, {}, "file")
    assert str(problem) == "file: nothing to compare with, expected warn or fail"
    _, (problem,) = load(ErrorRate, {"warn": "50%", "fail": "10%"}, {}, "file")
    assert str(problem) == "file: warn: 50% is not below fail (10%), expected a smaller share"
