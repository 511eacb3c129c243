"""JSON pointers (RFC 6901): where in a document a value stands."""

from __future__ import annotations

from typing import Any


class NotThere(LookupError):
    """The document has no value at that place."""


def resolve(document: Any, pointer: str) -> Any:
    """The value at `pointer`, which is empty (the whole document) or starts with a slash. Raises `NotThere`."""
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        # Section 4: an array index has no leading zeros.
        elif isinstance(value, list) and key.isdecimal() and str(int(key)) == key and int(key) < len(value):
            value = value[int(key)]
        else:
            raise NotThere(pointer)
    return value
