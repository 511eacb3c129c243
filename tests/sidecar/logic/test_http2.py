"""The HTTP/2 server's rules, by RFC 9113: bytes in, frames out."""

from __future__ import annotations

from struct import pack

import pytest
from hpack import Encoder

from sidecar.logic.http2_frames import Code
from sidecar.logic.http2_stream import Answer
from tests.sidecar.logic.http2_client import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Server,
    block,
    frame,
    goaway,
    resets,
    setting,
)

BARE = Answer(b"\x88")
FULL = Answer(b"\x88", b"hello", b"\x00\x01a\x01b")
WHOLE = END_HEADERS | END_STREAM


def get(stream: int) -> bytes:
    return frame(HEADERS, WHOLE, stream, GET)


def opened(stream: int) -> bytes:
    """A request whose body is to come."""
    return frame(HEADERS, END_HEADERS, stream, GET)


def test_the_first_bytes_are_our_settings_and_the_window_of_the_connection() -> None:
    server = Server(greeted=False, window=1 << 20)
    said = server.send(PREFACE)
    assert said == [
        (SETTINGS, 0, 0, setting(3, 256) + setting(4, 1 << 20) + setting(5, 65536) + setting(6, 16384)),
        (WINDOW_UPDATE, 0, 0, pack(">I", (1 << 20) - 65535)),
    ]
    assert server.send(frame(SETTINGS)) == [(SETTINGS, ACK, 0, b"")]


def test_every_byte_may_come_alone() -> None:
    server = Server(FULL, greeted=False)
    said = []
    for byte in PREFACE + frame(SETTINGS) + opened(1) + frame(DATA, END_STREAM, 1, b"body"):
        said += server.send(bytes((byte,)))
    assert server.events == [("end", 1, b"body")]
    assert [kind for kind, *_ in said] == [SETTINGS, WINDOW_UPDATE, SETTINGS, HEADERS, DATA, HEADERS]


def test_an_answer_is_a_head_a_body_and_trailers_or_a_head_alone() -> None:
    assert Server(FULL).send(get(1)) == [
        (HEADERS, END_HEADERS, 1, b"\x88"),
        (DATA, 0, 1, b"hello"),
        (HEADERS, WHOLE, 1, b"\x00\x01a\x01b"),
    ]
    assert Server(BARE).send(get(1)) == [(HEADERS, WHOLE, 1, b"\x88")]
    assert Server(Answer(b"\x88", b"x")).send(get(1))[1] == (DATA, END_STREAM, 1, b"x")


def test_answers_come_in_the_order_in_which_they_are_ready() -> None:
    server = Server()
    server.send(get(1), get(3))
    assert server.answer(3, BARE) == [(HEADERS, WHOLE, 3, b"\x88")]
    assert server.answer(1, BARE) == [(HEADERS, WHOLE, 1, b"\x88")]
    assert server.connection.streams == {}


def test_a_header_block_may_come_in_pieces_with_padding_and_priority() -> None:
    server = Server(BARE)
    padded = b"\x03" + pack(">IB", 0, 15) + GET[:1] + b"\0\0\0"
    said = server.send(
        frame(HEADERS, END_STREAM | PADDED | 0x20, 1, padded),
        frame(CONTINUATION, 0, 1, GET[1:2]),
        frame(CONTINUATION, END_HEADERS, 1, GET[2:]),
    )
    assert said == [(HEADERS, WHOLE, 1, b"\x88")]


def test_data_may_be_padded_and_may_end_with_trailers() -> None:
    server = Server(BARE)
    server.send(opened(1), frame(DATA, PADDED, 1, b"\x02ab\0\0"), frame(HEADERS, WHOLE, 1, b"\x00\x01a\x01b"))
    assert server.events == [("end", 1, b"ab")]


def test_ping_and_settings_are_acknowledged_and_what_is_unknown_is_ignored() -> None:
    server = Server()
    assert server.send(frame(PING, 0, 0, b"12345678")) == [(PING, ACK, 0, b"12345678")]
    assert server.send(frame(SETTINGS, 0, 0, setting(0x99, 7))) == [(SETTINGS, ACK, 0, b"")]
    assert server.send(frame(0x77, 0xFF, 5, b"?"), frame(PRIORITY, 0, 9, pack(">IB", 0, 1)), frame(SETTINGS, ACK)) == []


# Windows


def test_what_arrives_is_credited_when_half_a_window_is_used() -> None:
    server = Server(window=1 << 20)
    said = server.send(opened(1), *(frame(DATA, 0, 1, bytes(65536)) for _ in range(9)))
    assert said == [
        (WINDOW_UPDATE, 0, 0, pack(">I", 9 * 65536)),
        (WINDOW_UPDATE, 0, 1, pack(">I", 9 * 65536)),
    ]


def test_padding_counts_for_the_window() -> None:
    server = Server(window=65535)
    server.send(opened(1))
    assert server.send(frame(DATA, PADDED, 1, b"\xff" + bytes(33000))) == [(WINDOW_UPDATE, 0, 0, pack(">I", 33001))]


def test_more_than_the_window_of_the_connection_ends_it() -> None:
    server = Server(window=65535)
    server.send(opened(1))
    assert goaway(server.send(frame(DATA, 0, 1, bytes(65536)))) == Code.FLOW_CONTROL_ERROR


def test_an_answer_waits_for_the_windows_of_the_client() -> None:
    server = Server(FULL, greeted=False)
    server.send(PREFACE, frame(SETTINGS, 0, 0, setting(4, 0)))
    assert server.send(get(1)) == [(HEADERS, END_HEADERS, 1, b"\x88")]
    assert server.blocked()
    assert server.send(frame(WINDOW_UPDATE, 0, 1, pack(">I", 2))) == [(DATA, 0, 1, b"he")]
    said = server.send(frame(SETTINGS, 0, 0, setting(4, 5)))
    assert said[1:] == [(DATA, 0, 1, b"llo"), (HEADERS, WHOLE, 1, b"\x00\x01a\x01b")]
    assert not server.blocked()
    assert server.connection.streams == {}


def test_the_window_of_the_connection_holds_all_answers_back() -> None:
    server = Server(FULL)
    requests = 65535 // 5
    for n in range(requests):
        server.send(get(2 * n + 1))
    said = server.send(get(2 * requests + 1))
    assert [kind for kind, *_ in said] == [HEADERS]
    said = server.send(frame(WINDOW_UPDATE, 0, 0, pack(">I", 100)))
    assert [kind for kind, *_ in said] == [DATA, HEADERS]


def test_a_blocked_answer_can_be_given_up() -> None:
    server = Server(FULL, greeted=False)
    server.send(PREFACE, frame(SETTINGS, 0, 0, setting(4, 0)), get(1))
    assert server.send(frame(RST_STREAM, 0, 1, pack(">I", Code.CANCEL))) == []
    assert server.connection.streams == {}
    assert not server.blocked()


# Streams that end early


def test_an_early_answer_ends_the_request_and_what_still_comes_is_ignored() -> None:
    server = Server()
    server.send(opened(1), frame(DATA, 0, 1, b"ab"))
    said = server.answer(1, BARE)
    assert said == [(HEADERS, WHOLE, 1, b"\x88"), (RST_STREAM, 0, 1, pack(">I", Code.NO_ERROR))]
    assert server.send(frame(DATA, END_STREAM, 1, b"cd"), frame(WINDOW_UPDATE, 0, 1, pack(">I", 1))) == []
    assert server.events == [("reset", 1, b"ab")]


def test_a_reset_request_is_told_to_its_user_and_forgotten() -> None:
    server = Server()
    server.send(opened(1), frame(RST_STREAM, 0, 1, pack(">I", Code.CANCEL)))
    assert server.events == [("reset", 1, b"")]
    assert server.connection.streams == {}


def test_a_request_that_is_reset_while_it_is_handled_keeps_its_place_until_it_is_answered() -> None:
    server = Server()
    server.send(get(1), frame(RST_STREAM, 0, 1, pack(">I", Code.CANCEL)))
    assert list(server.connection.streams) == [1]
    assert server.answer(1, BARE) == []
    assert server.connection.streams == {}


def test_no_more_than_256_requests_at_once_also_when_they_are_reset() -> None:
    server = Server()
    for n in range(256):
        server.send(get(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, pack(">I", Code.CANCEL)))
    assert resets(server.send(get(513))) == {513: Code.REFUSED_STREAM}
    server.answer(1, BARE)
    assert server.send(get(515)) == []
    assert 515 in server.connection.streams


# Mistakes


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
        (frame(DATA, 0, 1, b"x"), Code.PROTOCOL_ERROR),
        (opened(1) + frame(DATA, PADDED, 1, b"\x05abcd"), Code.PROTOCOL_ERROR),
        (opened(1) + frame(DATA, PADDED, 1, b""), Code.FRAME_SIZE_ERROR),
        (opened(0), Code.PROTOCOL_ERROR),
        (opened(2), Code.PROTOCOL_ERROR),
        (opened(5) + opened(3), Code.PROTOCOL_ERROR),
        (get(1) + get(1), Code.STREAM_CLOSED),
        (frame(HEADERS, WHOLE | PADDED, 1, b"\x09" + GET), Code.PROTOCOL_ERROR),
        (frame(HEADERS, WHOLE | 0x20, 1, b"\0\0"), Code.FRAME_SIZE_ERROR),
        (frame(HEADERS, WHOLE | 0x20, 1, pack(">IB", 1, 0) + GET), Code.PROTOCOL_ERROR),
        (frame(HEADERS, WHOLE, 1, bytes(16385)), Code.FRAME_SIZE_ERROR),
        (frame(HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Code.COMPRESSION_ERROR),
        (frame(HEADERS, 0, 1, GET) + frame(PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, GET) + frame(CONTINUATION, END_HEADERS, 3), Code.PROTOCOL_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1, GET), Code.PROTOCOL_ERROR),
        (frame(PRIORITY, 0, 0, bytes(5)), Code.PROTOCOL_ERROR),
        (frame(RST_STREAM, 0, 0, bytes(4)), Code.PROTOCOL_ERROR),
        (frame(RST_STREAM, 0, 1, bytes(4)), Code.PROTOCOL_ERROR),
        (opened(1) + frame(RST_STREAM, 0, 1, bytes(3)), Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, ACK, 0, setting(1, 1)), Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, b"abc"), Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, setting(2, 2)), Code.PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, setting(4, 1 << 31)), Code.FLOW_CONTROL_ERROR),
        (frame(SETTINGS, 0, 0, setting(5, 16383)), Code.PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, setting(5, 1 << 24)), Code.PROTOCOL_ERROR),
        (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + GET), Code.PROTOCOL_ERROR),
        (frame(PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
        (frame(PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
        (frame(GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, bytes(4)), Code.PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, bytes(3)), Code.FRAME_SIZE_ERROR),
        (frame(WINDOW_UPDATE, 0, 1, pack(">I", 1)), Code.PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, pack(">I", (1 << 31) - 1)), Code.FLOW_CONTROL_ERROR),
        (b"\x01\x00\x01\x00\x00\x00\x00\x00\x01", Code.FRAME_SIZE_ERROR),
    ],
)
def test_a_mistake_about_the_connection_ends_it_with_its_code(sent: bytes, code: Code) -> None:
    server = Server()
    said = server.send(sent)
    assert goaway(said) == code
    assert said[-1][0] == GOAWAY
    assert server.ended()
    assert server.send(get(99)) == []


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (opened(1) + frame(DATA, END_STREAM, 1) + frame(DATA, 0, 1, b"x"), Code.STREAM_CLOSED),
        (frame(PRIORITY, 0, 1, bytes(4)), Code.FRAME_SIZE_ERROR),
        (frame(PRIORITY, 0, 1, pack(">IB", 1, 0)), Code.PROTOCOL_ERROR),
        (opened(1) + frame(WINDOW_UPDATE, 0, 1, bytes(4)), Code.PROTOCOL_ERROR),
        (opened(1) + frame(WINDOW_UPDATE, 0, 1, pack(">I", (1 << 31) - 1)), Code.FLOW_CONTROL_ERROR),
        (opened(1) + opened(1), Code.PROTOCOL_ERROR),
        (opened(1) + frame(HEADERS, END_HEADERS, 1, b"\x00\x01a\x01b"), Code.PROTOCOL_ERROR),
        (frame(HEADERS, WHOLE, 1, block([*REQUEST, ("content-length", "1")])), Code.PROTOCOL_ERROR),
        (
            frame(HEADERS, END_HEADERS, 1, block([*REQUEST, ("content-length", "1")])) + frame(DATA, 0, 1, b"ab"),
            Code.PROTOCOL_ERROR,
        ),
    ],
)
def test_a_mistake_about_a_stream_ends_that_one_only(sent: bytes, code: Code) -> None:
    server = Server()
    assert resets(server.send(sent)) == {1: code}
    assert not server.ended()
    server.reply = BARE
    assert [(kind, stream) for kind, _, stream, _ in server.send(get(3))] == [(HEADERS, 3)]


def test_more_than_the_window_of_a_stream_ends_that_stream() -> None:
    server = Server(window=8 << 20)
    server.send(opened(1))
    stream = server.connection.streams[1]
    stream.window = 10  # as it would be if updates had not been sent
    assert resets(server.send(frame(DATA, 0, 1, bytes(11)))) == {1: Code.FLOW_CONTROL_ERROR}


def test_the_first_frame_must_be_settings() -> None:
    assert goaway(Server(greeted=False).send(PREFACE, frame(PING, 0, 0, bytes(8)))) == Code.PROTOCOL_ERROR


def test_what_is_not_http2_gets_settings_and_goodbye() -> None:
    said = Server(greeted=False).send(b"PRI * HTTP/1.1\r\n")
    assert [kind for kind, *_ in said] == [SETTINGS, GOAWAY]
    assert goaway(said) == Code.PROTOCOL_ERROR


def test_a_failed_connection_gives_unfinished_requests_back() -> None:
    server = Server()
    server.send(opened(1), frame(DATA, 0, 1, b"ab"), get(3))
    server.send(frame(DATA, 0, 0))
    assert server.events == [("end", 3, b""), ("reset", 1, b"ab")]


# Floods


def test_headers_without_end_are_cut_off() -> None:
    server = Server()
    said = server.send(frame(HEADERS, 0, 1, GET), *(frame(CONTINUATION, 0, 1) for _ in range(17)))
    assert goaway(said) == Code.ENHANCE_YOUR_CALM
    server = Server()
    said = server.send(frame(HEADERS, 0, 1, bytes(16000)), frame(CONTINUATION, 0, 1, bytes(1000)))
    assert goaway(said) == Code.ENHANCE_YOUR_CALM


def test_a_header_list_that_grows_by_the_table_is_cut_off() -> None:
    encoder = Encoder()
    server = Server()
    server.send(frame(HEADERS, WHOLE, 1, encoder.encode([*REQUEST, ("x", "v" * 3000)])))
    said = server.send(frame(HEADERS, WHOLE, 3, encoder.encode([*REQUEST, *[("x", "v" * 3000)] * 6])))
    assert goaway(said) == Code.COMPRESSION_ERROR


@pytest.mark.parametrize(
    "idle",
    [
        frame(PING, 0, 0, bytes(8)),
        frame(SETTINGS),
        frame(PRIORITY, 0, 3, pack(">IB", 0, 1)),
        frame(DATA, 0, 1),
        frame(0x77),
        frame(WINDOW_UPDATE, 0, 0, pack(">I", 1)),
        frame(WINDOW_UPDATE, 0, 1, pack(">I", 1)),
    ],
    ids=["ping", "settings", "priority", "empty data", "unknown", "window", "stream's window"],
)
def test_a_flood_of_frames_that_bring_nothing_ends_the_connection(idle: bytes) -> None:
    server = Server()
    server.send(opened(1))
    said = server.send(idle * 990)
    assert GOAWAY not in [kind for kind, *_ in said]
    assert goaway(server.send(idle * 20)) == Code.ENHANCE_YOUR_CALM


def test_the_same_frames_over_time_are_fine() -> None:
    server = Server()
    for second in range(50):
        server.now = float(second)
        server.send(frame(PING, 0, 0, bytes(8)) * 90)
    assert not server.ended()


def test_a_ping_for_each_answer_is_fine_however_many() -> None:
    """grpc-go's way to measure the bandwidth."""
    server = Server(BARE)
    for n in range(3000):
        server.send(get(2 * n + 1), frame(PING, 0, 0, bytes(8)))
    assert not server.ended()
    assert goaway(server.send(frame(PING, 0, 0, bytes(8)) * 1010)) == Code.ENHANCE_YOUR_CALM


def test_two_windows_for_each_answer_are_fine_however_many_and_however_late() -> None:
    server = Server(Answer(b"\x88", b"hello", b"\x00\x01a\x01b"))
    for n in range(0, 4000, 1000):
        numbers = range(2 * n + 1, 2 * n + 2001, 2)
        for number in numbers:
            server.send(get(number))
        one = pack(">I", 5)
        server.send(*(frame(WINDOW_UPDATE, 0, 0, one) + frame(WINDOW_UPDATE, 0, number, one) for number in numbers))
    assert not server.ended()
    assert goaway(server.send(frame(WINDOW_UPDATE, 0, 0, one) * 1010)) == Code.ENHANCE_YOUR_CALM


def test_windows_that_let_nothing_through_are_a_flood_though_answers_wait() -> None:
    server = Server(Answer(b"\x88", b"hello", b"\x00\x01a\x01b"))
    server.send(frame(SETTINGS, 0, 0, setting(4, 0)), get(1))
    assert server.blocked()
    assert goaway(server.send(frame(WINDOW_UPDATE, 0, 0, pack(">I", 1)) * 1010)) == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("late", [frame(HEADERS, WHOLE, 1, GET), frame(DATA, 0, 1, b"x"), frame(DATA, END_STREAM, 1)])
def test_what_comes_for_ever_on_a_stream_that_we_have_ended_is_a_flood(late: bytes) -> None:
    server = Server()
    server.send(opened(1))
    server.answer(1, BARE)
    assert server.send(late * 990) == []
    assert goaway(server.send(late * 20)) == Code.ENHANCE_YOUR_CALM


def test_small_requests_that_are_answered_early_are_fine_however_many() -> None:
    """With a wrong token, say: the message follows its head, and the end in a frame of its own."""
    server = Server()
    for n in range(3000):
        number = 2 * n + 1
        server.send(opened(number))
        server.answer(number, BARE)
        server.send(frame(DATA, 0, number, b"small"), frame(DATA, END_STREAM, number))
    assert not server.ended()


def test_the_rest_of_large_requests_that_are_answered_early_is_fine() -> None:
    """All of the streams' windows, in frames of the least size."""
    server = Server(window=1 << 24)
    numbers = range(1, 201, 2)
    for number in numbers:
        server.send(opened(number))
        server.answer(number, BARE)
    for number in numbers:
        server.send(frame(DATA, 0, number, bytes(16_384)) * 64)
    assert not server.ended()


def test_requests_that_come_for_ever_after_the_end_was_said_are_a_flood() -> None:
    server = Server()
    server.send(get(1))
    server.connection.drain()
    ping = server.said()[1]
    server.send(frame(PING, ACK, 0, ping[3]))
    assert server.send(*(get(2 * n + 3) for n in range(990))) == []
    assert goaway(server.send(*(get(2 * n + 3) for n in range(990, 1010)))) == Code.ENHANCE_YOUR_CALM


def test_rapid_reset_ends_the_connection() -> None:
    """CVE-2023-44487: requests that are reset as soon as they are made."""
    server = Server(BARE)
    said = []
    for n in range(1100):
        said += server.send(opened(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, pack(">I", Code.CANCEL)))
    assert goaway(said) == Code.ENHANCE_YOUR_CALM
    assert len(server.events) < 1010


def test_provoked_resets_count_like_resets() -> None:
    """CVE-2025-8671: the client makes the server reset."""
    server = Server()
    said = []
    for n in range(1100):
        said += server.send(opened(2 * n + 1), frame(WINDOW_UPDATE, 0, 2 * n + 1, bytes(4)))
    assert goaway(said) == Code.ENHANCE_YOUR_CALM


# The end


def test_drain_says_so_waits_a_round_trip_and_answers_what_was_on_its_way() -> None:
    server = Server()
    server.send(get(1))
    server.connection.drain()
    server.connection.drain()
    last, ping = server.said()
    assert last == (GOAWAY, 0, 0, pack(">II", (1 << 31) - 1, 0))
    server.send(get(3))  # it was on its way
    assert server.send(frame(PING, ACK, 0, ping[3])) == [(GOAWAY, 0, 0, pack(">II", 3, 0))]
    server.send(get(5))  # it was not
    assert list(server.connection.streams) == [1, 3]
    server.answer(1, BARE)
    assert not server.ended()
    assert server.answer(3, BARE) == [(HEADERS, WHOLE, 3, b"\x88")]
    assert server.ended()
    assert not server.connection.failed


def test_an_answer_after_the_end_goes_nowhere() -> None:
    server = Server()
    server.send(get(1))
    stream = server.connection.streams[1]
    server.connection.lose()
    server.connection.answer(stream, BARE)
    assert server.said() == []


def test_the_table_is_followed_also_for_streams_that_are_refused() -> None:
    encoder = Encoder()
    server = Server()
    for n in range(256):
        server.send(frame(HEADERS, WHOLE, 2 * n + 1, encoder.encode(REQUEST)))
    server.send(frame(HEADERS, WHOLE, 513, encoder.encode([*REQUEST, ("new", "field")])))
    server.answer(1, BARE)
    server.send(frame(HEADERS, WHOLE, 515, encoder.encode([*REQUEST, ("new", "field")])))
    stream = server.connection.streams[515]
    assert getattr(stream, "fields")[b"new"] == b"field"  # noqa: B009 - the base class has none
