"""What a source says too much of is left out, counted and told of."""

from __future__ import annotations

import tracemalloc

import pytest

from sidecar.logic.noise import Noise, Repeats
from sidecar.logic.otlp_logs import attributes_of
from sidecar.model.logs import LogRecord

INFO, WARN, ERROR = 9, 13, 17
T = 1_000_000.0


def admit(noise: Noise, body: bytes, severity: int, now: float, repeats: Repeats | None = None) -> bool:
    return noise.admit(LogRecord(body, severity=severity), now, repeats)


def deduplicating(dropped: dict[str, int] | None = None, **gates: int) -> tuple[Noise, Repeats]:
    """With what one stream repeats."""
    noise = Noise({} if dropped is None else dropped, dedup=True, **gates)
    repeats = noise.repeats()
    assert repeats is not None
    return noise, repeats


def test_nothing_configured_lets_everything_through() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped)
    assert all(admit(noise, b"x", 1, T) for _ in range(1000))
    assert noise.due(T + 100, closing=True) == []
    assert dropped == {}


def test_lower_severities_are_dropped_and_unknown_ones_stay() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped, drop_below=INFO)
    assert [admit(noise, b"x", severity, T) for severity in (0, 1, 8, 9, 24)] == [True, False, False, True, True]
    assert dropped == {"severity": 2}
    assert noise.due(T, closing=True) == []


def test_a_repetition_is_told_of_before_the_next_line() -> None:
    dropped: dict[str, int] = {}
    noise, repeats = deduplicating(dropped)
    assert [admit(noise, b"refused", WARN, T, repeats) for _ in range(1235)] == [True, *[False] * 1234]
    assert repeats.due(T) == []
    assert admit(noise, b"other", INFO, T + 1, repeats)
    assert repeats.due(T + 1) == [
        LogRecord(b'last line repeated 1,234 times: "refused"', time=1_000_001_000_000_000, severity=WARN)
    ]
    assert repeats.due(T + 1) == []
    assert not repeats.waits
    assert dropped == {"duplicate": 1234}


def test_a_repetition_that_goes_on_is_told_of_every_ten_seconds() -> None:
    noise, repeats = deduplicating()
    told = []
    for second in range(26):
        assert admit(noise, b"x", 0, T + second, repeats) is (second == 0)
        told += [(second, record.body) for record in repeats.due(T + second)]
    assert told == [
        (11, b'last line repeated 11 times: "x"'),
        (22, b'last line repeated 11 times: "x"'),
    ]
    assert [record.body for record in repeats.due(T + 26, closing=True)] == [b'last line repeated 3 times: "x"']


def test_another_severity_is_another_line_and_dropped_lines_are_none() -> None:
    noise, repeats = deduplicating(drop_below=INFO)
    assert admit(noise, b"x", INFO, T, repeats)
    assert not admit(noise, b"debug", 5, T, repeats)
    assert not admit(noise, b"x", INFO, T, repeats)
    assert admit(noise, b"x", ERROR, T, repeats)
    assert [record.body for record in repeats.due(T)] == [b'last line repeated once: "x"']


@pytest.mark.parametrize(
    "other",
    [
        LogRecord(b"y", severity=INFO),
        LogRecord(b"x", severity=WARN),
        LogRecord(b"x", severity=INFO, severity_text="notice"),
        LogRecord(b"x", severity=INFO, attributes={"order": 2}),
        LogRecord(b"x", severity=INFO, attributes={"order": True}),
        LogRecord(b"x", severity=INFO, attributes={"order": 1.0}),
        LogRecord(b"x", severity=INFO, attributes={"order": [1]}),
        LogRecord(b"x", severity=INFO, attributes={"order": 1, "more": None}),
        LogRecord(b"x", severity=INFO, encoded=attributes_of({"order": 2})),
        LogRecord(b"x", severity=INFO, attributes={"order": 1}, trace_id=bytes(16)),
        LogRecord(b"x", severity=INFO, attributes={"order": 1}, span_id=bytes(8)),
        LogRecord(b"x", severity=INFO, attributes={"order": 1}, flags=1),
        LogRecord(b"x", severity=INFO, attributes={"order": 1}, dropped=1),
    ],
)
def test_a_line_that_differs_in_anything_but_its_time_is_no_repetition(other: LogRecord) -> None:
    noise, repeats = deduplicating()
    assert noise.admit(LogRecord(b"x", severity=INFO, attributes={"order": 1}), T, repeats)
    assert noise.admit(other, T, repeats)
    assert repeats.due(T, closing=True) == []


def test_the_time_makes_no_difference_nor_who_has_encoded_the_attributes() -> None:
    noise, repeats = deduplicating()
    assert noise.admit(LogRecord(b"x", time=1, attributes={"order": 1}), T, repeats)
    assert not noise.admit(LogRecord(b"x", time=2, encoded=attributes_of({"order": 1})), T, repeats)
    assert not noise.admit(LogRecord(b"x", time=3, attributes={"order": 1}), T, repeats)


def test_each_stream_has_repetitions_of_its_own_and_the_rate_is_one() -> None:
    dropped: dict[str, int] = {}
    noise, one = deduplicating(dropped, rate_limit=3)
    other = noise.repeats()
    assert other is not None
    assert [admit(noise, b"x", 0, T, repeats) for repeats in (one, other, one, other)] == [True, True, False, False]
    assert [admit(noise, b"y", 0, T, repeats) for repeats in (one, other)] == [True, False]
    assert dropped == {"duplicate": 2, "rate_limit": 1}
    assert [record.body for record in one.due(T, closing=True)] == [b'last line repeated once: "x"']
    assert [record.body for record in other.due(T, closing=True)] == [b'last line repeated once: "x"']


def test_of_a_long_line_little_is_kept() -> None:
    noise, repeats = deduplicating()
    lines = [LogRecord(bytes([65 + n // 2]) * 1_000_000, attributes={"long": "y" * 1_000_000}) for n in range(4)]
    tracemalloc.start()
    for line in lines:
        noise.admit(line, T, repeats)
        line.body, line.attributes, line.encoded = b"", {}, b""
    del line
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 10_000
    assert [len(record.body) for record in repeats.due(T, closing=True)] == [230, 230]


def test_a_second_s_worth_passes_at_once_and_the_rest_is_one_summary() -> None:
    dropped: dict[str, int] = {}
    noise = Noise(dropped, rate_limit=100)
    severities = [INFO] * 150
    severities[120] = ERROR
    passed = [admit(noise, b"line %d" % n, severity, T) for n, severity in enumerate(severities)]
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
        return sum(admit(noise, b"%d" % n, 0, now) for n in range(100))

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
            admit(noise, b"%d.%d" % (tick, n), INFO, now)
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
    noise, repeats = deduplicating(dropped, rate_limit=2)
    assert [admit(noise, body, 0, T, repeats) for body in (b"a", b"a", b"a", b"b", b"c", b"c")] == [
        True, False, False, True, False, False,
    ]  # fmt: skip
    assert dropped == {"duplicate": 2, "rate_limit": 2}
    assert [record.body for record in repeats.due(T)] == [b'last line repeated 2 times: "a"']
    assert [record.body for record in noise.due(T, closing=True)] == [b'2 lines suppressed in 1s: first "c" last "c"']


def test_excerpts_are_the_first_line_and_cut_between_characters() -> None:
    noise = Noise({}, rate_limit=1)
    admit(noise, b"x", 0, T)
    admit(noise, b"first\nsecond", 0, T)
    admit(noise, b"a" * 199 + "é".encode() + b"b", 0, T)
    (record,) = noise.due(T, closing=True)
    assert record.body.decode() == '2 lines suppressed in 1s: first "first…" last "' + "a" * 199 + '…"'
    admit(noise, b"only", 0, T)
    assert [record.body for record in noise.due(T, closing=True)] == [b'1 line suppressed in 1s: first "only"']


def test_a_clock_that_is_set_does_no_harm() -> None:
    noise = Noise({}, rate_limit=2)
    assert [admit(noise, b"a", 0, T) for _ in range(3)] == [True, True, False]
    assert not admit(noise, b"a", 0, T - 1000)
    assert len(noise.due(T - 1000)) == 1
    assert admit(noise, b"a", 0, T - 999)
