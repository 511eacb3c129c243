"""The HTTP/2 client's rules, by RFC 9113: against a server by hand, a hostile one too, and against our own."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.logic.http2_frames import Code
from sidecar.logic.http2_stream import Answer
from tests.sidecar.logic.http2_client import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Server,
    frame,
    frames,
    goaway,
    resets,
    setting,
)
from tests.sidecar.logic.http2_peers import HEAD, PREFACE, Caller, Heard

WHOLE = END_HEADERS | END_STREAM
OK = b"\x88"
TRAILERS = b"\x00\x01a\x01b"


def head(stream: int, flags: int = END_HEADERS, block: bytes = OK) -> bytes:
    return frame(HEADERS, flags, stream, block)


def said_goaway(last: int, code: int = 0, why: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, pack(">II", last, code) + why)


def widened(stream: int, by: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, pack(">I", by))


def test_the_first_bytes_are_the_preface_and_settings_without_push() -> None:
    client = Caller(None)
    assert client.opening.startswith(PREFACE)
    assert frames(client.opening[len(PREFACE) :]) == [
        (SETTINGS, 0, 0, setting(2, 0) + setting(4, 1 << 20) + setting(5, 65536) + setting(6, 16384)),
        (WINDOW_UPDATE, 0, 0, pack(">I", (1 << 20) - 65535)),
    ]
    assert not client.free()
    assert client.hear(frame(SETTINGS)) == [(SETTINGS, ACK, 0, b"")]
    assert client.free()


def test_a_request_is_a_head_and_its_body_on_the_next_odd_stream() -> None:
    client = Caller()
    client.ask(b"pre", b"body")
    client.ask()
    assert client.said() == [
        (HEADERS, END_HEADERS, 1, HEAD),
        (DATA, END_STREAM, 1, b"prebody"),
        (HEADERS, WHOLE, 3, HEAD),
    ]


def test_a_response_is_a_head_a_body_and_trailers_or_a_head_alone() -> None:
    client = Caller()
    full, bare = client.ask(b"x"), client.ask(b"x")
    client.hear(head(3, WHOLE), head(1), frame(DATA, PADDED, 1, b"\x02hel\0\0"), frame(DATA, 0, 1, b"lo"))
    assert (bare.fields, bare.end) == ([{b":status": b"200"}], "whole")
    assert (full.body, full.end) == (b"hello", "")
    client.hear(head(1, WHOLE, TRAILERS))
    assert (full.fields, full.end) == ([{b":status": b"200"}, {b"a": b"b"}], "whole")
    assert client.connection.streams == {}


def test_an_interim_response_is_not_the_response() -> None:
    client = Caller()
    heard = client.ask(b"x")
    client.hear(head(1, END_HEADERS, b"\x08\x03103"), head(1, WHOLE))
    assert heard.fields == [{b":status": b"200"}]


def test_a_large_body_leaves_in_frames_that_the_server_takes() -> None:
    client = Caller(setting(4, 1 << 20) + setting(5, 20_000))
    client.hear(widened(0, 1 << 20))
    client.ask(b"pre", bytes(50_000))
    assert [(kind, flags, len(payload)) for kind, flags, _, payload in client.said()] == [
        (HEADERS, END_HEADERS, 3),
        (DATA, 0, 3),
        (DATA, 0, 20_000),
        (DATA, 0, 20_000),
        (DATA, END_STREAM, 10_000),
    ]


def test_a_body_waits_for_the_windows_and_stalls_nobody_else() -> None:
    client = Caller(setting(4, 10))
    client.ask(b"0123456789abc")
    client.ask(b"small")
    assert [payload for kind, _, _, payload in client.said() if kind == DATA] == [b"0123456789", b"small"]
    assert client.hear(widened(1, 1)) == [(DATA, 0, 1, b"a")]
    assert client.hear(frame(SETTINGS, 0, 0, setting(4, 20)))[1:] == [(DATA, END_STREAM, 1, b"bc")]


def test_a_smaller_initial_window_takes_back_what_was_granted() -> None:
    client = Caller(setting(4, 10))
    client.ask(b"0123456789" + b"abcdef")
    client.said()
    client.hear(frame(SETTINGS, 0, 0, setting(4, 4)))
    assert client.hear(widened(1, 6)) == []
    assert client.hear(widened(1, 2)) == [(DATA, 0, 1, b"ab")]


def test_the_window_of_the_connection_is_for_all_requests() -> None:
    client = Caller(setting(4, 1 << 20))
    client.ask(bytes(65_000))
    client.ask(b"x" * 1000)
    assert sum(len(payload) for kind, _, _, payload in client.said() if kind == DATA) == 65_535
    said = client.hear(widened(0, 1000))
    assert [(kind, flags, stream, len(payload)) for kind, flags, stream, payload in said] == [(DATA, 1, 3, 465)]


def test_an_early_response_ends_the_request() -> None:
    client = Caller(setting(4, 2))
    heard = client.ask(b"body")
    client.said()
    assert client.hear(head(1, WHOLE)) == [(RST_STREAM, 0, 1, pack(">I", Code.NO_ERROR))]
    assert heard.end == "whole"
    assert client.connection.sending.waiting == {}
    assert client.hear(frame(RST_STREAM, 0, 1, pack(">I", 0)), widened(1, 5)) == []


def test_no_more_requests_at_once_than_the_server_takes() -> None:
    client = Caller(setting(3, 1))
    client.ask(b"x")
    assert not client.free()
    assert client.open()
    client.hear(head(1, WHOLE))
    assert client.free()
    client.hear(frame(SETTINGS, 0, 0, setting(3, 0)))
    assert not client.free()


def test_a_server_that_wants_a_smaller_table_hears_that_none_is_used_once() -> None:
    client = Caller(setting(1, 0))
    client.ask()
    client.ask()
    assert [payload for _, _, _, payload in client.said()] == [b"\x20" + HEAD, HEAD]


def test_a_response_in_indexed_fields_is_read_by_the_table() -> None:
    client = Caller()
    first, second = client.ask(), client.ask()
    client.hear(head(1, WHOLE, OK + b"\x40\x01a\x01b"), head(3, WHOLE, OK + b"\xbe"))
    assert first.fields == second.fields == [{b":status": b"200", b"a": b"b"}]


def test_pings_are_answered_however_many_come_with_the_work() -> None:
    client = Caller()
    said = client.hear(frame(PING, 0, 0, b"12345678") * 900)
    assert said == [(PING, ACK, 0, b"12345678")] * 900
    client.now = 0.1
    assert len(client.hear(frame(PING, 0, 0, b"12345678") * 900)) == 900


def test_windows_that_grow_with_what_was_sent_are_fine_however_many() -> None:
    """A body of 1 MiB leaves in 64 frames; a server may read each by 512 bytes, and say so each time."""
    client = Caller(setting(4, 1 << 21))
    client.hear(widened(0, 1 << 21))
    for n in range(10):
        number = 2 * n + 1
        client.ask(bytes(1 << 20))
        assert sum(kind == DATA for kind, *_ in client.said()) == 64
        client.hear((widened(0, 1024) + widened(number, 1024)) * 1024)
        client.hear(head(number, WHOLE))
    assert not client.ended()


@pytest.mark.parametrize("stream", [0, 1])
def test_windows_that_grow_without_end_are_a_flood(stream: int) -> None:
    client = Caller()
    heard = client.ask(b"x")
    client.said()
    assert client.hear(widened(stream, 1) * 990) == []
    assert goaway(client.hear(widened(stream, 1) * 20)) == Code.ENHANCE_YOUR_CALM
    assert heard.end == "lost"
    assert heard.why == "the server breaks HTTP/2's rules: too many frames that bring nothing"


@pytest.mark.parametrize("late", [head(1), head(1, WHOLE), frame(DATA, 0, 1, b"x"), frame(DATA, END_STREAM, 1)])
def test_what_comes_for_ever_on_a_cancelled_stream_is_a_flood(late: bytes) -> None:
    client = Caller()
    gone, heard = client.ask(b"x"), client.ask(b"y")
    client.connection.cancel(gone)
    client.said()
    assert client.hear(late * 990) == []
    assert goaway(client.hear(late * 20)) == Code.ENHANCE_YOUR_CALM
    assert heard.end == "lost"
    assert heard.why == "the server breaks HTTP/2's rules: too many frames that bring nothing"


def test_responses_to_cancelled_requests_are_fine_a_thousand_at_a_time() -> None:
    client = Caller()
    for second in range(5):
        client.now = float(second)
        gone = [client.ask(b"x") for _ in range(250)]
        for request in gone:
            client.connection.cancel(request)
        client.said()
        late = ((head(n.id), frame(DATA, 0, n.id, b"hello"), head(n.id, WHOLE, TRAILERS)) for n in gone)
        assert client.hear(*(piece for response in late for piece in response)) == []
    assert not client.ended()


# Streams that end otherwise


@pytest.mark.parametrize(("code", "end"), [(Code.REFUSED_STREAM, "unprocessed"), (Code.INTERNAL_ERROR, "lost")])
def test_a_reset_says_whether_anything_was_done(code: Code, end: str) -> None:
    client = Caller()
    heard, other = client.ask(b"x"), client.ask(b"y")
    client.hear(frame(RST_STREAM, 0, 1, pack(">I", code)))
    assert (heard.end, heard.why) == (end, f"the server has reset the stream ({code.name})")
    client.hear(head(3, WHOLE))
    assert other.end == "whole"


def test_a_cancelled_request_is_reset_and_what_still_comes_is_ignored() -> None:
    client = Caller(setting(4, 1))
    heard = client.ask(b"xy")
    client.said()
    client.connection.cancel(heard)
    assert client.said() == [(RST_STREAM, 0, 1, pack(">I", Code.CANCEL))]
    assert client.hear(head(1), frame(DATA, END_STREAM, 1, b"late"), widened(1, 9)) == []
    client.connection.cancel(heard)
    assert client.said() == []


def test_goaway_gives_back_what_lies_above_its_last_stream_and_waits_for_the_rest() -> None:
    client = Caller(setting(4, 1))
    one, two = client.ask(b"xy"), client.ask(b"xy")
    client.said()
    client.hear(said_goaway(1, 0, b"max_age"))
    assert (two.end, two.why) == (
        "unprocessed",
        "the server takes no more requests on this connection (code 0): max_age",
    )
    assert not client.open()
    assert not client.ended()
    client.hear(head(1, WHOLE))
    assert one.end == "whole"
    assert client.ended()
    assert not client.failed()


def test_goaway_in_two_steps_takes_back_what_came_between() -> None:
    """As servers drain: first no number, a round trip later the last one."""
    client = Caller()
    one, two = client.ask(b"x"), client.ask(b"x")
    client.hear(said_goaway((1 << 31) - 1))
    assert (one.end, two.end) == ("", "")
    client.hear(said_goaway(1))
    assert (one.end, two.end) == ("", "unprocessed")


def test_goaway_on_an_unused_connection_ends_it() -> None:
    client = Caller()
    client.hear(said_goaway(0, 11, b"too_many_pings"))
    assert client.ended()
    assert client.connection.calmed


def test_a_retired_connection_ends_with_its_last_response() -> None:
    client = Caller()
    heard = client.ask(b"x")
    client.connection.retire()
    assert not client.open()
    assert not client.ended()
    client.hear(head(1, WHOLE))
    assert heard.end == "whole"
    assert client.ended()


def test_of_a_lost_connection_nobody_knows_what_was_done() -> None:
    client = Caller()
    heard = client.ask(b"x")
    client.connection.lose()
    assert (heard.end, heard.why) == ("lost", "the connection was lost")


# Mistakes


@pytest.mark.parametrize(
    ("heard", "code"),
    [
        (frame(PUSH_PROMISE, END_HEADERS, 1, pack(">I", 2) + HEAD), Code.PROTOCOL_ERROR),
        (head(2), Code.PROTOCOL_ERROR),
        (head(5), Code.PROTOCOL_ERROR),
        (frame(DATA, 0, 5, b"x"), Code.PROTOCOL_ERROR),
        (frame(DATA, 0, 2, b"x"), Code.PROTOCOL_ERROR),
        (frame(RST_STREAM, 0, 5, bytes(4)), Code.PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 5, pack(">I", 1)), Code.PROTOCOL_ERROR),
        (widened(0, (1 << 31) - 1), Code.FLOW_CONTROL_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1, OK), Code.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, END_HEADERS, 3, b""), Code.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, OK) + frame(DATA, 0, 1, b"x"), Code.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 0, 1, b"") * 17, Code.ENHANCE_YOUR_CALM),
        (frame(HEADERS, 0, 1, bytes(16_000)) + frame(CONTINUATION, 0, 1, bytes(1000)), Code.ENHANCE_YOUR_CALM),
        (frame(HEADERS, WHOLE, 1, bytes(16_385)), Code.FRAME_SIZE_ERROR),
        (frame(HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Code.COMPRESSION_ERROR),
        (b"\x01\x00\x01\x00\x00\x00\x00\x00\x01", Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, setting(2, 1)), Code.PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, setting(4, 1 << 31)), Code.FLOW_CONTROL_ERROR),
        (frame(SETTINGS, 0, 0, setting(5, 100)), Code.PROTOCOL_ERROR),
        (frame(GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
        (frame(GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
        (head(1, WHOLE) + head(1, WHOLE), Code.STREAM_CLOSED),
        (frame(0x77) * 1001, Code.ENHANCE_YOUR_CALM),
    ],
)
def test_a_mistake_about_the_connection_ends_it_and_loses_its_requests(heard: bytes, code: Code) -> None:
    client = Caller()
    one, two = client.ask(b"x"), client.ask(b"y")
    client.said()
    said = client.hear(heard)
    assert goaway(said) == code
    assert said[-1][3][:4] == bytes(4), "servers open no streams, so none of theirs was taken"
    assert client.ended()
    assert client.failed()
    assert two.end == "lost"
    assert one.end in ("lost", "whole")
    assert two.why.startswith("the server breaks HTTP/2's rules: ")
    assert client.hear(head(3, WHOLE)) == []


@pytest.mark.parametrize(
    "heard",
    [
        frame(DATA, 0, 1, b"x"),
        frame(DATA, END_STREAM, 1),
        head(1, WHOLE, TRAILERS),
        head(1, WHOLE, b"\x08\x03103"),
        head(1, WHOLE, OK + OK),
        head(1, WHOLE, OK + HEAD),
        head(1, WHOLE, OK + b"\x00\x01A\x01b"),
        head(1) + head(1, WHOLE),
        head(1) + head(1, END_HEADERS, TRAILERS),
        head(1, END_HEADERS, OK + b"\x0f\x0d\x013") + frame(DATA, END_STREAM, 1, b"ab"),
        head(1, END_HEADERS, OK + b"\x0f\x0d\x013") + frame(DATA, END_STREAM, 1, b"abcd"),
        widened(1, (1 << 31) - 1),
        widened(1, 0),
    ],
)
def test_a_mistake_about_a_stream_ends_that_one_only(heard: bytes) -> None:
    client = Caller()
    one, two = client.ask(b"x"), client.ask(b"y")
    client.said()
    assert list(resets(client.hear(heard))) == [1]
    assert one.end == "lost"
    assert one.why.startswith("the response breaks HTTP/2's rules (")
    client.hear(head(3, WHOLE))
    assert two.end == "whole"


def test_data_after_the_end_resets_that_stream_and_changes_nothing() -> None:
    client = Caller()
    heard = client.ask(b"x")
    client.said()
    said = client.hear(head(1), frame(DATA, END_STREAM, 1, b"all"), frame(DATA, 0, 1, b"more"))
    assert resets(said) == {1: Code.STREAM_CLOSED}
    assert (heard.body, heard.end) == (b"all", "whole")


def test_the_first_frame_of_a_server_must_be_settings() -> None:
    assert goaway(Caller(None).hear(frame(PING, 0, 0, bytes(8)))) == Code.PROTOCOL_ERROR


def test_a_server_of_http_1_is_told_by_its_answer() -> None:
    client = Caller(None)
    client.hear(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert client.connection.why == "the server speaks HTTP/1, expected HTTP/2: is this the port for gRPC?"
    assert client.ended()


# Against our own server


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(st.integers(0, 200_000), max_size=6),
    sizes=st.lists(st.one_of(st.integers(1, 70_000), st.integers(1, 30)), max_size=20).map(lambda n: [*n, 9000]),
    answers=st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=3),
)
def test_our_client_and_our_server_understand_each_other_in_any_pieces(
    bodies: list[int], sizes: list[int], answers: list[bytes]
) -> None:
    client, server = Caller(None), Server(greeted=False, window=1 << 20)
    to_server, to_client = bytearray(client.opening), bytearray()
    asked: list[Heard] = []
    turn = 0

    def size() -> int:
        nonlocal turn
        turn += 1
        return sizes[turn % len(sizes)]

    while True:
        if client.free() and len(asked) < len(bodies):
            body = bodies[len(asked)]
            asked.append(client.ask(b"12345", bytes([len(asked)]) * body))
        to_server += b"".join(client.connection.output)
        client.connection.output.clear()
        if not to_server and not to_client and len(asked) == len(bodies):
            break
        n = size()
        server.connection.receive(bytes(to_server[:n]), 0.0)
        del to_server[:n]
        for stream in [s for s in server.connection.streams.values() if s.ended]:
            answer = Answer(OK, answers[stream.id % len(answers)], TRAILERS)
            server.connection.answer(stream, answer)
        to_client += b"".join(server.connection.output)
        server.connection.output.clear()
        n = size()
        client.connection.receive(bytes(to_client[:n]), 0.0)
        del to_client[:n]
    assert [heard.end for heard in asked] == ["whole"] * len(bodies)
    assert [heard.body for heard in asked] == [answers[(2 * n + 1) % len(answers)] for n in range(len(bodies))]
    assert sorted(server.events) == sorted(
        ("end", 2 * n + 1, b"12345" + bytes([n]) * size) for n, size in enumerate(bodies)
    )
    assert not client.failed()
    assert not server.connection.failed


HOSTILE = st.one_of(
    st.builds(
        frame,
        st.integers(0, 11),
        st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 4, 5, 8])),
        st.one_of(st.integers(0, 9), st.integers(0, (1 << 32) - 1)),
        st.one_of(
            st.sampled_from([OK, TRAILERS, OK + b"\xbe", b"", bytes(8), pack(">I", 7), setting(4, 0), setting(3, 1)]),
            st.binary(max_size=60),
            st.integers(0, 70_000).map(bytes),
        ),
    ),
    st.binary(max_size=30),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(HOSTILE, max_size=25).map(b"".join), st.integers(1, 400))
def test_whatever_a_server_says_every_request_ends_at_most_once_and_none_is_kept(said: bytes, size: int) -> None:
    client = Caller(setting(4, 100))
    asked = [client.ask(bytes(60)), client.ask(bytes(300)), client.ask()]
    for at in range(0, len(said), size):
        client.connection.receive(said[at : at + size], 0.0)
        if client.free() and len(asked) < 10:
            asked.append(client.ask(b"more"))
    open_streams = set(client.connection.streams)
    assert client.connection.sending.waiting.keys() <= open_streams
    assert {heard.id for heard in asked if not heard.end} == open_streams
    client.connection.lose()
    assert all(heard.end for heard in asked)
    assert all(heard.why for heard in asked if heard.end != "whole")
