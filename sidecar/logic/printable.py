"""Text from elsewhere, made safe for a terminal and a log: one line, without control characters."""

from __future__ import annotations


def printable(text: str, limit: int | None = None) -> str:
    """What a reader may be shown of `text`, at most `limit` characters; control characters appear as `\\xNN`."""
    cut = text if limit is None else text[: limit + 1]
    shown = cut if cut.isprintable() else "".join(c if c.isprintable() else _escaped(ord(c)) for c in cut)
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
