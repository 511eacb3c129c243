"""A line of each JSON logger, and the record that it becomes, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.logs.formats import format_named
from sidecar.model.logs import Keep, LogRecord

AT = 1_704_164_645_000_000_000
"""2024-01-02T03:04:05Z."""
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
SPAN = bytes.fromhex("00f067aa0ba902b7")

DIALECTS: dict[str, tuple[bytes, LogRecord]] = {
    "zap": (
        (
            rb'{"level":"error","ts":1704164645.123456,"logger":"shop.cart","caller":"cart/cart.go:42","msg":"checkout failed",'
            rb'"attempt":3,"backoff":1.5,"error":"card declined","stacktrace":"main.main\n\t/app/main.go:10"}'
        ),
        LogRecord(
            b"checkout failed",
            AT + 123_456_000,
            17,
            "error",
            {
                "logger": "shop.cart",
                "caller": "cart/cart.go:42",
                "attempt": 3,
                "backoff": 1.5,
                "exception.message": "card declined",
                "exception.stacktrace": "main.main\n\t/app/main.go:10",
            },
        ),
    ),
    "zap, production with ISO times": (
        b'{"level":"info","ts":"2024-01-02T04:04:05.123+0100","msg":"up","port":8080}',
        LogRecord(b"up", AT + 123_000_000, 9, "info", {"port": 8080}),
    ),
    "zerolog": (
        b'{"level":"warn","service":"shop","error":"timeout","n":12345678901,"time":"2024-01-02T03:04:05Z","message":"retry"}',
        LogRecord(b"retry", AT, 13, "warn", {"service": "shop", "n": 12345678901, "exception.message": "timeout"}),
    ),
    "zerolog, unix times": (
        b'{"level":"debug","time":1704164645,"message":"hello world"}',
        LogRecord(b"hello world", AT, 5, "debug"),
    ),
    "slog": (
        (
            b'{"time":"2024-01-02T04:04:05.123456789+01:00","level":"INFO+2","source":{"function":"main.main","file":"/app/main.go",'
            b'"line":17},"msg":"request","req":{"method":"GET","ok":true,"size":10},"took":1500000}'
        ),
        LogRecord(
            b"request",
            AT + 123_456_789,
            11,
            "INFO+2",
            {
                "code.function.name": "main.main",
                "code.file.path": "/app/main.go",
                "code.line.number": 17,
                "req": {"method": "GET", "ok": True, "size": 10},
                "took": 1500000,
            },
        ),
    ),
    "logrus": (
        b'{"animal":"walrus","level":"fatal","msg":"A group of walrus","size":10,"time":"2024-01-02T03:04:05Z"}',
        LogRecord(b"A group of walrus", AT, 21, "fatal", {"animal": "walrus", "size": 10}),
    ),
    "structlog": (
        (
            rb'{"order":42,"event":"order placed","level":"critical","timestamp":"2024-01-02T03:04:05.123456Z",'
            rb'"exception":"Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: x"}'
        ),
        LogRecord(
            b"order placed",
            AT + 123_456_000,
            21,
            "critical",
            {
                "order": 42,
                "exception.stacktrace": 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: x',
            },
        ),
    ),
    "structlog, span as its documentation shows it": (
        (
            b'{"event":"x","level":"info","timestamp":1704164645.5,"span":{"span_id":"00f067aa0ba902b7",'
            b'"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","parent_span_id":null}}'
        ),
        LogRecord(
            b"x",
            AT + 500_000_000,
            9,
            "info",
            {
                "span": {
                    "span_id": "00f067aa0ba902b7",
                    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "parent_span_id": None,
                }
            },
            TRACE,
            SPAN,
        ),
    ),
    "pino": (
        (
            rb'{"level":50,"time":1704164645123,"pid":7,"hostname":"w1","err":{"type":"TypeError","message":"x is not a function"'
            rb',"stack":"TypeError: x is not a function\n    at a.js:1:1","code":"E1"},"msg":"unhandled"}'
        ),
        LogRecord(
            b"unhandled",
            AT + 123_000_000,
            17,
            "50",
            {
                "pid": 7,
                "hostname": "w1",
                "err": {"code": "E1"},
                "exception.type": "TypeError",
                "exception.message": "x is not a function",
                "exception.stacktrace": "TypeError: x is not a function\n    at a.js:1:1",
            },
        ),
    ),
    "bunyan": (
        b'{"name":"shop","hostname":"w1","pid":7,"level":30,"msg":"hi","time":"2024-01-02T03:04:05.123Z","v":0}',
        LogRecord(b"hi", AT + 123_000_000, 9, "30", {"name": "shop", "hostname": "w1", "pid": 7, "v": 0}),
    ),
    "winston": (
        rb'{"level":"info","message":"done","stack":"Error: e\n    at b.js:2:2","timestamp":"2024-01-02T03:04:05.123Z"}',
        LogRecord(b"done", AT + 123_000_000, 9, "info", {"exception.stacktrace": "Error: e\n    at b.js:2:2"}),
    ),
    "tracing-subscriber": (
        (
            b'{"timestamp":"2024-01-02T03:04:05.123456Z","level":"INFO","fields":{"message":"handled","status":200,"ms":1.25,'
            b'"target":"db"},"target":"shop::http","filename":"src/http.rs","line_number":17,"span":{"id":9,"name":"request"},'
            b'"spans":[{"id":9,"name":"request"}]}'
        ),
        LogRecord(
            b"handled",
            AT + 123_456_000,
            9,
            "INFO",
            {
                "status": 200,
                "ms": 1.25,
                "target": "shop::http",
                "fields.target": "db",
                "code.file.path": "src/http.rs",
                "code.line.number": 17,
                "span": {"id": 9, "name": "request"},
                "spans": [{"id": 9, "name": "request"}],
            },
        ),
    ),
    "ECS, flat": (
        (
            rb'{"@timestamp":"2024-01-02T03:04:05.123Z","log.level":"ERROR","message":"failed","ecs.version":"1.2.0",'
            rb'"service.name":"shop","log.logger":"com.acme.Shop","trace.id":"4bf92f3577b34da6a3ce929d0e0e4736",'
            rb'"span.id":"00f067aa0ba902b7","error.type":"java.lang.IllegalStateException","error.message":"no",'
            rb'"error.stack_trace":"java.lang.IllegalStateException: no\n\tat com.acme.Shop.a(Shop.java:1)"}'
        ),
        LogRecord(
            b"failed",
            AT + 123_000_000,
            17,
            "ERROR",
            {
                "ecs.version": "1.2.0",
                "service.name": "shop",
                "log.logger": "com.acme.Shop",
                "exception.type": "java.lang.IllegalStateException",
                "exception.message": "no",
                "exception.stacktrace": "java.lang.IllegalStateException: no\n\tat com.acme.Shop.a(Shop.java:1)",
            },
            TRACE,
            SPAN,
        ),
    ),
    "ECS, nested": (
        (
            b'{"@timestamp":"2024-01-02T03:04:05.123Z","log":{"level":"warn","logger":"app"},"message":"slow",'
            b'"trace":{"id":"4bf92f3577b34da6a3ce929d0e0e4736"},"span":{"id":"00f067aa0ba902b7"},'
            b'"error":{"type":"E","message":"m","stack_trace":"s"}}'
        ),
        LogRecord(
            b"slow",
            AT + 123_000_000,
            13,
            "warn",
            {
                "log": {"logger": "app"},
                "trace": {"id": "4bf92f3577b34da6a3ce929d0e0e4736"},
                "span": {"id": "00f067aa0ba902b7"},
                "exception.type": "E",
                "exception.message": "m",
                "exception.stacktrace": "s",
            },
            TRACE,
            SPAN,
        ),
    ),
    "logstash's encoder for logback": (
        (
            rb'{"@timestamp":"2024-01-02T04:04:05.123+01:00","@version":"1","message":"boom","logger_name":"com.acme.Shop",'
            rb'"thread_name":"main","level":"ERROR","level_value":40000,"stack_trace":"java.lang.Error: x\n\tat a.B.c(B.java:1)",'
            rb'"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7"}'
        ),
        LogRecord(
            b"boom",
            AT + 123_000_000,
            17,
            "ERROR",
            {
                "@version": "1",
                "logger_name": "com.acme.Shop",
                "thread_name": "main",
                "level_value": 40000,
                "exception.stacktrace": "java.lang.Error: x\n\tat a.B.c(B.java:1)",
            },
            TRACE,
            SPAN,
        ),
    ),
    "logback's own": (
        (
            b'{"sequenceNumber":0,"timestamp":1704164645123,"nanoseconds":123000000,"level":"DEBUG","threadName":"main",'
            b'"loggerName":"a.B","context":{"name":"default"},"mdc":{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736",'
            b'"spanId":"00f067aa0ba902b7"},"message":"m","throwable":null}'
        ),
        LogRecord(
            b"m",
            AT + 123_000_000,
            5,
            "DEBUG",
            {
                "sequenceNumber": 0,
                "nanoseconds": 123000000,
                "threadName": "main",
                "loggerName": "a.B",
                "context": {"name": "default"},
                "mdc": {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"},
            },
            TRACE,
            SPAN,
        ),
    ),
    "log4j2": (
        (
            b'{"instant":{"epochSecond":1704164645,"nanoOfSecond":123456789},"thread":"main","level":"TRACE","loggerName":"a.B",'
            b'"message":"m","endOfBatch":false}'
        ),
        LogRecord(b"m", AT + 123_456_789, 1, "TRACE", {"thread": "main", "loggerName": "a.B", "endOfBatch": False}),
    ),
    "GELF": (
        b'{"version":"1.1","host":"w1","short_message":"m","timestamp":1704164645.123,"level":3,"_user":9}',
        LogRecord(b"m", AT + 123_000_000, 17, "3", {"version": "1.1", "host": "w1", "_user": 9}),
    ),
    "Google Cloud": (
        (
            b'{"severity":"NOTICE","time":"2024-01-02T03:04:05.000000005Z","message":"m",'
            b'"logging.googleapis.com/trace":"projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736",'
            b'"logging.googleapis.com/spanId":"00f067aa0ba902b7","logging.googleapis.com/trace_sampled":true}'
        ),
        LogRecord(b"m", AT + 5, 10, "NOTICE", {}, TRACE, SPAN, 1),
    ),
    "Serilog, compact": (
        rb'{"@t":"2024-01-02T03:04:05.1234567Z","@m":"Hi Bob","@i":"a1","@l":"Warning","@x":"System.Exception: x","Name":"Bob"}',
        LogRecord(
            b"Hi Bob",
            AT + 123_456_700,
            13,
            "Warning",
            {"@i": "a1", "Name": "Bob", "exception.stacktrace": "System.Exception: x"},
        ),
    ),
    ".NET console": (
        b'{"Timestamp":"2024-01-02T03:04:05.123Z","EventId":14,"LogLevel":"Information","Category":"Host","Message":"m"}',
        LogRecord(b"m", AT + 123_000_000, 9, "Information", {"EventId": 14, "Category": "Host"}),
    ),
    "python-json-logger": (
        (
            rb'{"asctime":"2024-01-02 03:04:05,123","levelname":"WARNING","name":"shop","message":"m","pathname":"/a/b.py",'
            rb'"lineno":7,"funcName":"f","exc_info":"Traceback\nE","otelTraceID":"4bf92f3577b34da6a3ce929d0e0e4736",'
            rb'"otelSpanID":"00f067aa0ba902b7","otelTraceSampled":true}'
        ),
        LogRecord(
            b"m",
            AT + 123_000_000,
            13,
            "WARNING",
            {
                "name": "shop",
                "code.file.path": "/a/b.py",
                "code.line.number": 7,
                "code.function.name": "f",
                "exception.stacktrace": "Traceback\nE",
            },
            TRACE,
            SPAN,
            1,
        ),
    ),
    "Python's numbers": (
        b'{"time":1704164645.0,"level":20,"lineno":7,"msg":"m"}',
        LogRecord(b"m", AT, 9, "20", {"lineno": 7}),
    ),
    "MongoDB": (
        (
            b'{"t":{"$date":"2024-01-02T04:04:05.123+01:00"},"s":"W","c":"NETWORK","id":22943,"ctx":"listener","msg":"m",'
            b'"attr":{"connectionCount":1}}'
        ),
        LogRecord(
            b"m",
            AT + 123_000_000,
            13,
            "W",
            {"c": "NETWORK", "id": 22943, "ctx": "listener", "attr": {"connectionCount": 1}},
        ),
    ),
    "traceparent": (
        b'{"level":"info","time":1704164645,"msg":"m","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}',
        LogRecord(b"m", AT, 9, "info", {}, TRACE, SPAN, 1),
    ),
    "trace flags": (
        (
            b'{"level":"info","time":1704164645,"msg":"m","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",'
            b'"span_id":"00f067aa0ba902b7","trace_flags":"01"}'
        ),
        LogRecord(b"m", AT, 9, "info", {}, TRACE, SPAN, 1),
    ),
    "without a message, as nginx with a JSON log_format": (
        b'{"time":"2024-01-02T03:04:05+00:00","status":404,"request":"GET / HTTP/1.1"}',
        LogRecord(
            b'{"time":"2024-01-02T03:04:05+00:00","status":404,"request":"GET / HTTP/1.1"}',
            AT,
            attributes={"status": 404, "request": "GET / HTTP/1.1"},
        ),
    ),
}


def typed(value: Any) -> Any:
    """With the types spelled out: True is not 1, and 1 is not 1.0."""
    match value:
        case dict():
            return {key: typed(inner) for key, inner in value.items()}
        case list():
            return [typed(inner) for inner in value]
        case _:
            return type(value), value


@pytest.mark.parametrize("name", DIALECTS)
def test_a_line_becomes_the_record(name: str) -> None:
    line, expected = DIALECTS[name]
    found = format_named("json", Keep.ALL).parse(line, 0)
    assert found == expected
    assert typed(found.attributes) == typed(expected.attributes)


@pytest.mark.parametrize("name", DIALECTS)
def test_without_attributes_the_rest_is_the_same(name: str) -> None:
    line, expected = DIALECTS[name]
    found = format_named("json", Keep.NONE).parse(line, 0)
    assert found is not None
    assert found.attributes == {}
    found.attributes = expected.attributes
    assert found == expected


@pytest.mark.parametrize("before", DIALECTS)
def test_lifted_finds_the_same_whatever_the_stream_had_before(before: str) -> None:
    """The format remembers where the last line's time, level and trace were."""
    lifted = format_named("json", Keep.LIFTED)
    for line, expected in DIALECTS.values():
        lifted.parse(DIALECTS[before][0], 0)
        for _ in range(2):
            found = lifted.parse(line, 0)
            assert found == LogRecord(
                line,
                expected.time,
                expected.severity,
                expected.severity_text,
                {},
                expected.trace_id,
                expected.span_id,
                expected.flags,
            )
