"""What may go wrong with the spool's file, in three kinds that are treated differently; SQLite's errors as these."""

from __future__ import annotations

import sqlite3


class Unusable(Exception):
    """Nothing can be written now. `reason` is one word for a counter, the text is for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Full(Exception):
    """The byte cap is reached; the disk may be fine."""


class Corrupt(Exception):
    """SQLite cannot read its own file."""


_REASONS = {
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_CANTOPEN: "unwritable",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_IOERR: "io",
}


class translated:  # noqa: N801 - reads as a statement
    """A context in which SQLite's errors become ours."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        primary = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Corrupt(str(error)) from None
        if primary == sqlite3.SQLITE_FULL:
            raise Full(str(error)) from None
        raise Unusable(_REASONS.get(primary, "other"), str(error)) from None
