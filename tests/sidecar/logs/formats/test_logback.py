"""Logback, Log4j, Spring Boot, Kafka, Elasticsearch."""

from __future__ import annotations

import pytest

from sidecar.logs.formats.logback import Logback
from sidecar.model.logs import Keep, LogRecord

from .times import AT, MS, NOW

LATER = AT + 678 * MS
ORDERS = {"logger": "com.example.Orders", "thread.name": "main"}

CASES = {
    "logback": (
        b"03:04:05.678 [main] INFO com.example.Orders -- order placed",
        LogRecord(b"order placed", LATER, 9, "INFO", {**ORDERS}),
    ),
    "logback with pairs": (
        b'03:04:05.678 [main] WARN com.example.Orders -attempt="3" of="a b"- retrying',
        LogRecord(b"retrying", LATER, 13, "WARN", {**ORDERS, "attempt": "3", "of": "a b"}),
    ),
    "logback before 1.3, with a date": (
        b"2024-01-02 03:04:05,678 [http-nio-8080-exec-1] ERROR com.example.Orders - failed",
        LogRecord(
            b"failed",
            LATER,
            17,
            "ERROR",
            {"logger": "com.example.Orders", "thread.name": "http-nio-8080-exec-1"},
        ),
    ),
    "log4j": (
        b"2024-01-02 03:04:05,678 FATAL [main] Orders: gone",
        LogRecord(b"gone", LATER, 21, "FATAL", {"logger": "Orders", "thread.name": "main"}),
    ),
    "Hadoop": (
        b"2024-01-02 03:04:05,678 INFO org.apache.hadoop.Namenode: started",
        LogRecord(b"started", LATER, 9, "INFO", {"logger": "org.apache.hadoop.Namenode"}),
    ),
    "Spring Boot 2": (
        b"2024-01-02 03:04:05.678  INFO 12 --- [           main] com.example.Orders                       : order placed",
        LogRecord(b"order placed", LATER, 9, "INFO", {**ORDERS}),
    ),
    "Spring Boot 3, in a trace": (
        (
            b"2024-01-02T04:04:05.678+01:00 DEBUG 12 --- [shop] [  main] [4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7] "
            b"com.example.Orders : order placed"
        ),
        LogRecord(
            b"order placed",
            LATER,
            5,
            "DEBUG",
            {**ORDERS},
            bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736"),
            bytes.fromhex("00f067aa0ba902b7"),
        ),
    ),
    "Spring Boot 3, in none": (
        b"2024-01-02T03:04:05.678Z  INFO 12 --- [shop] [  main] [" + b" " * 49 + b"] com.example.Orders : order placed",
        LogRecord(b"order placed", LATER, 9, "INFO", {**ORDERS}),
    ),
    "Tomcat": (
        b"02-Jan-2024 03:04:05.678 SEVERE [main] org.apache.catalina.core.StandardService.init failed: x",
        LogRecord(
            b"failed: x",
            LATER,
            17,
            "SEVERE",
            {"logger": "org.apache.catalina.core.StandardService.init", "thread.name": "main"},
        ),
    ),
    "Kafka": (
        b"[2024-01-02 03:04:05,678] INFO started (for now) (kafka.server.KafkaServer)",
        LogRecord(b"started (for now)", LATER, 9, "INFO", {"logger": "kafka.server.KafkaServer"}),
    ),
    "Elasticsearch": (
        b"[2024-01-02T03:04:05,678][WARN ][o.e.n.Node               ] [node-1] starting",
        LogRecord(b"[node-1] starting", LATER, 13, "WARN", {"logger": "o.e.n.Node"}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_read_as(name: str) -> None:
    line, record = CASES[name]
    assert Logback().parse(line, NOW) == record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"03:04:05.678 [main] LOUD com.example.Orders -- order placed",
        b"03:04:05.678 order placed",
        b"2024-01-02 03:04:05,678 INFO the rest: of a sentence",
        b"2024-01-02 03:04:05,678 INFO note: a sentence",
        b"[2024-01-02 03:04:05,678] INFO a sentence",
        b"[2024-01-02 03:04:05,678] INFO a sentence (in parts)",
        b"\tat com.example.Orders.place(Orders.java:12)",
    ],
)
def test_what_is_laid_out_otherwise_is_refused(line: bytes) -> None:
    assert Logback().parse(line, NOW) is None


@pytest.mark.parametrize(
    ("clock", "now", "time"),
    [
        (b"23:59:59.999", AT - 3 * 3600 * 10**9, 1_704_153_599_999_000_000),  # read after midnight
        (
            b"00:00:00.001",
            1_704_153_599_000_000_000,
            1_704_153_600_001_000_000,
        ),  # stamped after midnight by a clock ahead
        (b"24:00:00.000", AT, 0),
    ],
)
def test_a_time_without_a_date_is_of_the_nearest_day(clock: bytes, now: int, time: int) -> None:
    record = Logback().parse(clock + b" [main] INFO a.B - x", now)
    assert record is not None
    assert record.time == time


def test_lifted_keeps_the_line_and_none_the_message() -> None:
    line, record = CASES["Spring Boot 3, in a trace"]
    context = (record.trace_id, record.span_id)
    assert Logback(Keep.LIFTED).parse(line, NOW) == LogRecord(line, LATER, 5, "DEBUG", {}, *context)
    assert Logback(Keep.NONE).parse(line, NOW) == LogRecord(b"order placed", LATER, 5, "DEBUG", {}, *context)
