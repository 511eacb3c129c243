"""A file is known by its inode, and what was read of it by what stands before."""

from __future__ import annotations

import pytest

from sidecar.logic.tail import Change, FileId, Fingerprint, Seen, change, originals

KNOWN = Seen(FileId(1, 2), 100, 7)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Seen(FileId(1, 2), 100, 7), Change.SAME),
        (Seen(FileId(1, 2), 100, 8), Change.GROWN),
        (Seen(FileId(1, 2), 101, 8), Change.GROWN),
        (Seen(FileId(1, 2), 99, 8), Change.TRUNCATED),
        (Seen(FileId(1, 2), 0, 7), Change.TRUNCATED),
        (Seen(FileId(1, 3), 100, 7), Change.REPLACED),
        (Seen(FileId(2, 2), 0, 7), Change.REPLACED),
    ],
)
def test_what_has_happened_between_two_looks(seen: Seen, expected: Change) -> None:
    assert change(KNOWN, 100, seen) is expected


def test_a_fingerprint_fits_what_it_was_made_of() -> None:
    found = Fingerprint.of(b"before", 100)
    assert (found.start, found.length) == (94, 6)
    assert found.fits(b"before")
    assert not found.fits(b"Before")
    assert not found.fits(b"befor")


def test_nothing_fits_a_file_of_which_nothing_was_read() -> None:
    assert not Fingerprint.of(b"", 0).fits(b"")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app.log", []),
        ("app.log.1", ["app.log"]),
        ("app.log.12", ["app.log"]),
        ("app.log-20261121", ["app.log"]),
        ("app.log.2026-11-21_10:00:00", ["app.log"]),
        ("app.log.old", ["app.log"]),
        ("app.1.log", ["app.log"]),
        ("app-2026-11-21.log", ["app.log"]),
        ("app2.log", []),
        ("app.log.gz", []),
        ("app-1.log.2", ["app-1.log"]),
        ("1", []),
    ],
)
def test_rotated_files_are_known_by_the_usual_names(name: str, expected: list[str]) -> None:
    assert originals(name) == tuple(expected)
