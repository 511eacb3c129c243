"""Timestamps of container runtimes are unix nanoseconds, to the digit."""

from __future__ import annotations

import pytest

from sidecar.logic.stamps import Stamps


@pytest.mark.parametrize(
    ("stamp", "nanoseconds"),
    [
        (b"2024-01-02T03:04:05.123456789Z", 1704164645_123456789),
        (b"2024-01-02T03:04:05.1Z", 1704164645_100000000),
        (b"2024-01-02T03:04:05Z", 1704164645_000000000),
        (b"2024-01-02T03:04:05.123456789+00:00", 1704164645_123456789),
        (b"2024-01-02T05:34:05.000000001+02:30", 1704164645_000000001),
        (b"2023-12-31T23:59:59.999999999Z", 1704067199_999999999),
    ],
)
def test_every_way_to_write_one_is_read(stamp: bytes, nanoseconds: int) -> None:
    stamps = Stamps()
    assert stamps.read(stamp) == nanoseconds
    assert stamps.read(stamp) == nanoseconds, "again, now that its second is known"


@pytest.mark.parametrize(
    "text",
    [b"", b"hello", b"2024-01-02 03:04:05Z", b"2024-13-02T03:04:05Z", b"2024-01-02T03:04:05", b"2024-01-02T03:04:05.Z"],
)
def test_what_is_none_raises(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - datetime's own among them
        Stamps().read(text)


def test_many_are_read_as_one_by_one() -> None:
    texts = [
        b"2024-01-02T03:04:05.000000001Z",
        b"2024-01-02T03:04:05.9Z",
        b"2024-01-02T03:04:06.000000002Z",
        b"2024-01-02T03:04:06.000000003Z",
        b"2024-01-02T03:04:05.000000001Z",
    ]
    assert Stamps().read_all(texts) == [Stamps().read(text) for text in texts]
