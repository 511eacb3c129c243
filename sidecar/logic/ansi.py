"""What terminals take for colours, and readers of logs do not."""

from __future__ import annotations

import re

_COLOR = re.compile(rb"\x1b\[[0-9;]{0,16}m")


def uncolored(line: bytes) -> bytes:
    """The line without select-graphic-rendition sequences (ECMA-48, 8.3.117)."""
    return _COLOR.sub(b"", line) if b"\x1b" in line else line
