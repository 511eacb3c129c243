"""Both outputs of a container come out of one stream, however it is cut."""

from __future__ import annotations

import random
from struct import pack

import pytest

from sidecar.logic.docker_frames import Frames
from sidecar.model.counters import LogCounters


def frame(kind: int, message: bytes) -> bytes:
    return pack(">BxxxI", kind, len(message)) + message


def test_messages_are_told_by_output() -> None:
    data = frame(1, b"a\n") + frame(2, b"oops\n") + frame(0, b"b\n") + frame(1, b"")
    assert Frames(100, LogCounters()).feed(data) == ([b"a\n", b"b\n", b""], [b"oops\n"])


def test_the_engine_s_own_words_are_kept_apart() -> None:
    frames = Frames(100, LogCounters())
    assert frames.feed(frame(1, b"a\n") + frame(3, b"Error grabbing logs: EOF\n") + frame(1, b"b\n")) == (
        [b"a\n", b"b\n"],
        [],
    )
    assert frames.foreign == b"Error grabbing logs: EOF"


def test_the_stream_may_be_cut_anywhere() -> None:
    rng = random.Random(1)
    messages = [b"%d" % n + b"x" * rng.randrange(50) + b"\n" for n in range(100)]
    data = b"".join(frame(1 + n % 2, message) for n, message in enumerate(messages))
    for _ in range(20):
        frames, at = Frames(100, LogCounters()), 0
        out: list[bytes] = []
        err: list[bytes] = []
        while at < len(data):
            size = rng.randrange(1, 300)
            for found, more in zip((out, err), frames.feed(data[at : at + size]), strict=True):
                found += more
            at += size
        assert (out, err) == (messages[::2], messages[1::2])


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_message_longer_than_the_cap_is_cut_and_the_next_one_found(step: int) -> None:
    counters = LogCounters()
    frames = Frames(10, counters)
    data = frame(1, b"x" * 1000 + b"\n") + frame(1, b"next\n")
    out = [message for at in range(0, len(data), step) for message in frames.feed(data[at : at + step])[0]]
    assert out == [b"x" * 10 + b"\n", b"next\n"]
    assert counters.cut_bytes == 991


@pytest.mark.parametrize(
    "data", [b"2024-01-02T03:04:05Z text\n", b"\x01\x00\x00\x01\x00\x00\x00\x01a", b"\x04\0\0\0\0\0\0\x01e"]
)
def test_what_are_no_frames_raises(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a stream of frames"):
        Frames(100, LogCounters()).feed(data)
