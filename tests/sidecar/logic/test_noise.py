"""What a source says too much of is left out, counted and told of."""

from __future__ import annotations

from sidecar.logic.noise import Noise
from sidecar.model.logs import LogRecord

INFO, WARN, ERROR = 9, 13, 17
T = 1_000_000.0


def test_nothing_configured_lets_everything_through() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped)
    assert all(noise.admit(b"x", 1, T) for _ in range(1000))
    assert noise.due(T + 100, closing=True) == []
    assert dropped == {}


def test_lower_severities_are_dropped_and_unknown_ones_stay() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped, drop_below=INFO)
    assert [noise.admit(b"x", severity, T) for severity in (0, 1, 8, 9, 24)] == [True, False, False, True, True]
    assert dropped == {"severity": 2}
    assert noise.due(T, closing=True) == []


def test_a_repetition_is_told_of_before_the_next_line() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped, dedup=True)
    assert [noise.admit(b"refused", WARN, T) for _ in range(1235)] == [True, *[False] * 1234]
    assert noise.due(T) == []
    assert noise.admit(b"other", INFO, T + 1)
    assert noise.due(T + 1) == [
        LogRecord(b'last line repeated 1,234 times: "refused"', time=1_000_001_000_000_000, severity=WARN)
    ]
    assert noise.due(T + 1) == []
    assert dropped == {"duplicate": 1234}


def test_a_repetition_that_goes_on_is_told_of_every_ten_seconds() -> None:
    noise = Noise({}, dedup=True)
    told = []
    for second in range(26):
        assert noise.admit(b"x", 0, T + second) is (second == 0)
        told += [(second, record.body) for record in noise.due(T + second)]
    assert told == [
        (11, b'last line repeated 11 times: "x"'),
        (22, b'last line repeated 11 times: "x"'),
    ]
    assert [record.body for record in noise.due(T + 26, closing=True)] == [b'last line repeated 3 times: "x"']


def test_another_severity_is_another_line_and_dropped_lines_are_none() -> None:
    noise = Noise({}, dedup=True, drop_below=INFO)
    assert noise.admit(b"x", INFO, T)
    assert not noise.admit(b"debug", 5, T)
    assert not noise.admit(b"x", INFO, T)
    assert noise.admit(b"x", ERROR, T)
    assert [record.body for record in noise.due(T)] == [b'last line repeated once: "x"']


def test_a_second_s_worth_passes_at_once_and_the_rest_is_one_summary() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped, rate_limit=100)
    severities = [INFO] * 150
    severities[120] = ERROR
    passed = [noise.admit(b"line %d" % n, severity, T) for n, severity in enumerate(severities)]
    assert passed == [True] * 100 + [False] * 50
    assert noise.due(T + 0.9) == []
    assert noise.due(T + 1) == [
        LogRecord(
            b'50 lines suppressed in 1s: first "line 100" last "line 149"', time=1_000_001_000_000_000, severity=ERROR
        )
    ]
    assert noise.due(T + 2) == []
    assert dropped == {"rate_limit": 50}


def test_the_bucket_fills_evenly_and_never_holds_more_than_a_second() -> None:
    noise = Noise({}, rate_limit=10)

    def burst(now: float) -> int:
        return sum(noise.admit(b"%d" % n, 0, now) for n in range(100))

    assert burst(T) == 10
    assert burst(T + 0.5) == 5
    assert burst(T + 0.5) == 0
    assert burst(T + 100) == 10


def test_a_flood_is_told_of_every_ten_seconds() -> None:
    noise = Noise({}, rate_limit=8)
    told = []
    for tick in range(165):
        now = T + tick / 8
        for n in range(8):
            noise.admit(b"%d.%d" % (tick, n), INFO, now)
        told += [(tick, record.body) for record in noise.due(now)]
    assert told == [
        (81, b'567 lines suppressed in 10s: first "1.1" last "81.7"'),
        (162, b'567 lines suppressed in 10s: first "82.1" last "162.7"'),
    ]
    assert noise.due(T + 20.625) == []
    assert [record.body for record in noise.due(T + 20.625, closing=True)] == [
        b'14 lines suppressed in 1s: first "163.1" last "164.7"'
    ]


def test_repetitions_cost_nothing_of_the_rate() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped, rate_limit=2, dedup=True)
    assert [noise.admit(body, 0, T) for body in (b"a", b"a", b"a", b"b", b"c", b"c")] == [
        True, False, False, True, False, False,
    ]  # fmt: skip
    assert dropped == {"duplicate": 2, "rate_limit": 2}
    assert [record.body for record in noise.due(T, closing=True)] == [
        b'last line repeated 2 times: "a"',
        b'2 lines suppressed in 1s: first "c" last "c"',
    ]


def test_excerpts_are_the_first_line_and_cut_between_characters() -> None:
    noise = Noise({}, rate_limit=1)
    noise.admit(b"x", 0, T)
    noise.admit(b"first\nsecond", 0, T)
    noise.admit(b"a" * 199 + "é".encode() + b"b", 0, T)
    (record,) = noise.due(T, closing=True)
    assert record.body.decode() == '2 lines suppressed in 1s: first "first…" last "' + "a" * 199 + '…"'
    noise.admit(b"only", 0, T)
    assert [record.body for record in noise.due(T, closing=True)] == [b'1 line suppressed in 1s: first "only"']


def test_a_clock_that_is_set_does_no_harm() -> None:
    noise = Noise({}, rate_limit=2)
    assert [noise.admit(b"a", 0, T) for _ in range(3)] == [True, True, False]
    assert not noise.admit(b"a", 0, T - 1000)
    assert len(noise.due(T - 1000)) == 1
    assert noise.admit(b"a", 0, T - 999)
