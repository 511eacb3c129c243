"""JSON as programs write it that do not follow the standard to the letter: Python's NaN and Infinity, numbers beyond a double,
half of a surrogate pair, control characters in strings."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def loose_object(line: bytes) -> dict[str, Any] | None:
    """The object, or None where it is something else or cannot be read. Every string in it can be encoded as UTF-8. Slow: for
    what the strict decoder has refused."""
    try:
        value = json.loads(line, strict=False)
        return _whole(value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


def _whole(value: Any) -> Any:
    match value:
        case str():
            return _HALF_PAIR.sub("\ufffd", value)
        case dict():
            return {_whole(key): _whole(inner) for key, inner in value.items()}
        case list():
            return [_whole(inner) for inner in value]
        case _:
            return value
