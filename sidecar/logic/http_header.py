"""What may stand in a header: names are tokens (RFC 9110, 5.1), values one line (5.5)."""

from __future__ import annotations

import re
from typing import Annotated

from .scalars import Rule, SecretText

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")


def is_value(text: str) -> bool:
    """Without line breaks and control characters."""
    return _VALUE.fullmatch(text) is not None


HeaderName = Annotated[str, Rule(_NAME.fullmatch, "is not a header's name", "letters, digits and dashes")]
HeaderText = Annotated[
    SecretText,
    Rule(
        lambda secret: secret.literal is None or is_value(secret.literal),
        "has a line break or control character in it",
        "one line",
    ),
]
