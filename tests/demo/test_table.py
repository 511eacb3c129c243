"""The demo's screen: golden lines, and what a terminal shows of them."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator

import pytest

from demo import table
from demo.fleet import parse
from demo.screen import Screen
from demo.table import Row
from demo.traffic import Rates
from sidecar.model.health import State

NOW = 1_700_000_100.0


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC here."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def row(instance: str, status: State, since: float, why: str = "") -> Row:
    return Row(service=instance.rpartition("-")[0], instance=instance, status=status, since=since, why=why)


ROWS = [
    row("fastjson-api-2", State.WARN, NOW - 5, "cache: connection refused"),
    row("fastjson-api-1", State.PASS, NOW - 3725),
    row("cache-server-1", State.FAIL, NOW - 65, "live: connection refused"),
]


def test_the_table_names_each_service_once_with_its_instances_in_order() -> None:
    assert table.table(ROWS, NOW) == [
        "SERVICE       INSTANCE        STATUS     SINCE               WHY",
        "cache-server  cache-server-1  ✖ fail     22:13:55 (1m 5s)    live: connection refused",
        "fastjson-api  fastjson-api-1  ● pass     21:12:55 (1h 2m)",
        "              fastjson-api-2  ▲ warn     22:14:55 (5s)       cache: connection refused",
    ]


def test_a_line_is_cut_to_the_width_of_the_terminal() -> None:
    lines = table.table(ROWS, NOW, width=60)
    assert lines[1] == "cache-server  cache-server-1  ✖ fail     22:13:55  live: co…"
    assert max(map(len, lines)) == 60


def test_a_narrow_terminal_shows_the_reason_rather_than_the_age() -> None:
    assert table.table(ROWS, NOW, width=80)[1:3] == [
        "cache-server  cache-server-1  ✖ fail     22:13:55  live: connection refused",
        "fastjson-api  fastjson-api-1  ● pass     21:12:55",
    ]


def test_colour_adds_nothing_but_escapes() -> None:
    painted = table.table(ROWS, NOW, colour=True)
    assert "\x1b[31;1m✖ fail\x1b[0m" in painted[1]
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in painted] == table.table(ROWS, NOW)


def test_a_change_is_one_line_with_before_and_after() -> None:
    assert table.change(ROWS[2], State.PASS, NOW) == (
        "22:13:55  cache-server-1  ✖ pass → fail  live: connection refused"
    )
    assert table.change(ROWS[1], None, NOW) == "21:12:55  fastjson-api-1  ● pass"


def test_the_traffic_line_tells_rate_errors_latency_and_hits() -> None:
    rates = Rates(requests_per_second=14.8, errors=0, not_found=3, dropped=0, p95_ms=6.4, cache_hit_ratio=0.812)
    assert table.traffic(rates) == "traffic: 14.8 req/s, 0 errors, p95 6 ms, cache hits 81 % (last 5 s)"
    assert table.traffic(None) == "traffic: starting"


def test_the_collectors_answer_becomes_rows() -> None:
    body = (
        b'{"as_of": "2023-11-14T22:15:00Z", "revision": 4, "next": null, "instances": [{"instance": "cache-server-1",'
        b'"service": "cache-server", "status": "fail", "since": "2023-11-14T22:13:55Z", "gates": {},'
        b'"reasons": ["live: connection refused", "ready: connection refused"]}]}'
    )
    assert parse(body) == {
        "cache-server-1": row(
            "cache-server-1", State.FAIL, NOW - 65, "live: connection refused; ready: connection refused"
        )
    }


class Terminal(io.StringIO):
    """A TTY that shows what is left after the escapes that the screen uses."""

    def isatty(self) -> bool:
        return True

    def shown(self) -> list[str]:
        lines, at = [""], 0
        for token in re.findall(r"\r\x1b\[\d+A|\x1b\[J|\n|[^\x1b\r\n]+", self.getvalue()):
            if token.startswith("\r"):
                at -= int(token[3:-1])
            elif token == "\x1b[J":
                del lines[at + 1 :]
                lines[at] = ""
            elif token == "\n":
                at += 1
                lines.append("")
            else:
                lines[at] += token
        return lines


def test_on_a_tty_the_block_is_redrawn_in_place_below_a_log_that_scrolls() -> None:
    out = Terminal()
    screen = Screen(out, {})
    screen.say("first")
    screen.draw(["one", "two", "three"])
    screen.say("second")
    screen.draw(["four"])
    assert out.shown() == ["first", "second", "four", ""]


def test_on_a_tty_a_long_line_goes_on_from_the_next_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    Screen(out, {}).say("18:10:23  cache-server-1  ✖ fail  live: connection refused")
    assert out.shown() == ["18:10:23  cache-server-1  ✖ fail  live:", "          connection refused", ""]


def test_at_the_end_the_last_table_stays_above_the_farewell() -> None:
    out = Terminal()
    screen = Screen(out, {})
    screen.draw(["one"])
    out.write("^C")
    screen.leave()
    screen.say("stopped")
    assert out.shown() == ["one", "stopped", ""]


def test_without_a_tty_there_is_a_log_and_no_escape() -> None:
    out = io.StringIO()
    screen = Screen(out, {})
    screen.say("first")
    screen.draw(["one"])
    screen.say("second")
    assert out.getvalue() == "first\nsecond\n"


def test_colour_is_for_terminals_that_want_it() -> None:
    assert Screen(Terminal(), {}).colour
    assert not Screen(Terminal(), {"NO_COLOR": "1"}).colour
    assert not Screen(Terminal(), {"TERM": "dumb"}).live
    assert not Screen(io.StringIO(), {}).colour
