"""Where a page ends, as text to be given back: not for reading."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from .route import Failure


def encode_cursor(key: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=="), type=kind)
    except ValueError:
        raise Failure(400, "cursor: expected the value of next from an answer to the same question") from None
