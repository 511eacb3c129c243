"""`auto` makes of a block what it makes of its lines one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.logs.formats import format_named
from sidecar.model.logs import Keep, LogRecord

from .times import NOW


def changing() -> Iterator[bytes]:
    """A stream that changes its format, mixes formats, and has long stretches of none."""
    yield from (b'{"level":"info","msg":"m%d"}' % n for n in range(40))
    yield from (b"W0102 03:04:05.678901       1 file.go:10] broke %d" % n for n in range(40))
    yield from (b"nothing known %d" % n for n in range(200))
    for n in range(300):
        yield b"name=%d level=info msg=taken" % n if n > 150 else b"no format %d" % n
    for n in range(100):
        yield (b"plain %d" % n, b"E0102 03:04:05.678901       1 file.go:10] broke %d" % n, b"{%d" % n)[n % 3]


def shown(record: LogRecord | None) -> object:
    return record and (record.body, record.time, record.severity, record.severity_text)


@pytest.mark.parametrize("size", [1, 7, 64, 512])
def test_auto_reads_a_block_as_it_reads_its_lines(size: int) -> None:
    lines = list(changing())
    alone, together = format_named("auto", Keep.NONE), format_named("auto", Keep.NONE)
    expected = [shown(alone.parse(line, NOW)) for line in lines]
    found: list[object] = []
    for at in range(0, len(lines), size):
        found += map(shown, together.parse_many(lines[at : at + size], NOW))
    assert found == expected
    assert together.parse_many([], NOW) == []
