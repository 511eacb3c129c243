"""A head is recognised by its bytes, or not at all."""

from __future__ import annotations

import pytest

from sidecar.logic.known_head import learn

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nA: b\r\n\r\n"


@pytest.mark.parametrize("length", [0, 7, 12, 345, 999_999_999])
def test_the_same_head_with_another_length_is_recognised(length: int) -> None:
    known = learn(HEAD + b"body")
    assert known is not None
    head = HEAD.replace(b"12", b"%d" % length)
    assert known.match(head + b"rest") == (len(head), length)


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"12", b""),
        HEAD.replace(b"12", b" 12"),
        HEAD.replace(b"12", b"12 "),
        HEAD.replace(b"12", b"+12"),
        HEAD.replace(b"12", b"-1"),
        HEAD.replace(b"12", b"1_2"),
        HEAD.replace(b"12", b"0x1"),
        HEAD.replace(b"12", b"12, 12"),
        HEAD.replace(b"12", b"1234567890"),
        HEAD.replace(b"12", "\u0663".encode()),
        HEAD.replace(b"12", b"12\r\nTransfer-Encoding: chunked"),
        HEAD.replace(b"Content-Length", b"content-length"),
        HEAD.replace(b"A: b", b"A: c"),
        HEAD.replace(b"POST", b"GET"),
        HEAD.replace(b"12\r\n", b"12\n"),
        HEAD[:-1],
        HEAD[:40],
        b"\r\n" + HEAD,
        b"",
    ],
)
def test_anything_else_is_not(data: bytes) -> None:
    known = learn(HEAD)
    assert known is not None
    assert known.match(data) is None


@pytest.mark.parametrize(
    "head",
    [
        HEAD[:-1],
        HEAD.replace(b"POST", b"PUT"),
        HEAD.replace(b"A: b", b"A: b\r\n folded"),
        HEAD.replace(b"A: b", b"A: b\r\n\tfolded"),
        HEAD.replace(b"A: b", b"A: b\nC: d"),
        HEAD.replace(b"A: b", b"A: b\rC: d"),
        HEAD.replace(b"A: b", b"content-length: 12"),
        HEAD.replace(b"Content-Length: 12\r\n", b""),
        HEAD.replace(b"12", b"12 "),
        HEAD.replace(b"12", b"0000000012"),
        HEAD.replace(b"b\r\n", b"b" * 5000 + b"\r\n"),
        b"\r\n" + HEAD,
    ],
)
def test_a_head_of_another_form_is_not_learned(head: bytes) -> None:
    assert learn(head) is None
