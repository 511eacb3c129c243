"""Scalars: what they take, what they refuse, and how they are written back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic import scalars
from sidecar.logic.scalars import Address, Invalid, Secret, StatusRanges


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("500ms", 0.5),
        ("1m30s", 90),
        ("2h", 7200),
        ("1.5s", 1.5),
        ("0s", 0),
        ("1d", 86400),
        ("250us", 0.00025),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert scalars.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("raw", [10, "10", 1.5, "10 s", "s", "-1s", "10sec", "", None, True, [], {}])
def test_what_is_no_duration(raw: Any) -> None:
    with pytest.raises(Invalid):
        scalars.parse_duration(raw)


@given(st.integers(min_value=0, max_value=10**11).map(lambda us: us / 1e6))
def test_a_duration_is_shown_as_it_can_be_read(seconds: float) -> None:
    assert scalars.parse_duration(scalars.show_duration(seconds)) == pytest.approx(seconds, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "size"), [("20MiB", 20 << 20), ("1GB", 10**9), (512, 512), ("512", 512), ("64 KiB", 65536)]
)
def test_sizes(text: Any, size: int) -> None:
    assert scalars.parse_bytes(text) == size


@given(st.integers(min_value=0, max_value=1 << 40))
def test_a_size_is_shown_as_it_can_be_read(size: int) -> None:
    assert scalars.parse_bytes(scalars.show_bytes(size)) == size


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4318", Address("127.0.0.1", 4318)),
        ("[::1]:0", Address("::1", 0)),
        (":4319", Address("", 4319)),
        ("localhost:80", Address("localhost", 80)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert scalars.parse_address(text) == address
    assert scalars.parse_address(str(address)) == address


@pytest.mark.parametrize("raw", ["4318", "host", "::1:80", "host:http", "host:99999", None, "tcp://10.0.0.1:80"])
def test_what_is_no_address(raw: Any) -> None:
    with pytest.raises(Invalid):
        scalars.parse_address(raw)


def test_status_ranges() -> None:
    assert scalars.parse_status("200-299, 404") == StatusRanges(((200, 299), (404, 404)))
    assert scalars.parse_status([200, "3xx"]) == StatusRanges(((200, 200), (300, 399)))
    ranges = scalars.parse_status("2xx,404")
    assert [status in ranges for status in (200, 299, 300, 404)] == [True, True, False, True]


def test_a_secret_never_shows_its_value() -> None:
    secret = scalars.parse_secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert str(Secret(file="/run/token")) == "{file: /run/token}"


def test_a_secret_mistyped_is_not_shown_either() -> None:
    with pytest.raises(Invalid) as bad:
        scalars.parse_secret({"value": "hunter2"})
    assert "hunter2" not in str(bad.value)


def test_a_pattern_is_compiled() -> None:
    assert scalars.parse_regex("^a+$") == re.compile("^a+$")


@pytest.mark.parametrize(("raw", "meant"), [("$.a.b", "/a/b"), ("a.b", "/a/b")])
def test_a_json_path_is_told_as_the_pointer_that_was_meant(raw: str, meant: str) -> None:
    with pytest.raises(Invalid) as bad:
        scalars.parse_pointer(raw)
    assert bad.value.meant == meant


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:hunter2@host:80/x", "http://user:***@host:80/x"),
        ("http://host/p?key=abc&b=1&api_token=x#f", "http://host/p?key=***&b=1&api_token=***#f"),
        ("http://user@host/", "http://user@host/"),
        ("tcp://127.0.0.1:6379", "tcp://127.0.0.1:6379"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    assert scalars.masked_url(url) == shown
