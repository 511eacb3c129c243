"""Lines come out whole, however the stream was cut."""

from __future__ import annotations

import random

from sidecar.logic.carry import Carry
from sidecar.model.counters import LogCounters


def test_only_whole_lines_come_out() -> None:
    carry = Carry(100, LogCounters())
    assert carry.feed(b"on") == b""
    assert carry.feed(b"e\ntwo\nth") == b"one\ntwo\n"
    assert carry.lines(b"ree\n\nfour") == [b"three\n", b"\n"]
    assert carry.rest() == b"four"
    assert carry.rest() == b""


def test_the_stream_may_be_cut_anywhere() -> None:
    rng = random.Random(1)
    data = b"".join(b"%d" % n * rng.randrange(20) + b"\n" for n in range(200))
    for _ in range(20):
        carry, at, found = Carry(1000, LogCounters()), 0, b""
        while at < len(data):
            size = rng.randrange(1, 300)
            found += carry.feed(data[at : at + size])
            at += size
        assert found == data


def test_of_a_line_without_end_no_more_than_the_cap_is_kept() -> None:
    counters = LogCounters()
    carry = Carry(10, counters)
    for _ in range(100):
        carry.feed(b"1234567")
    assert carry.feed(b"89\nnext\n") == b"1234567123\nnext\n"
    assert counters.cut_bytes == 702 - 10
