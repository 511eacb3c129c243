"""What may stand in a header: names are tokens (RFC 9110, 5.1), values one line (5.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .scalars import Secret

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")


def is_value(text: str) -> bool:
    """Without line breaks and control characters."""
    return _VALUE.fullmatch(text) is not None


def header_problems(headers: Mapping[str, Secret]) -> Iterable[tuple[str, str, str]]:
    """What is wrong with configured `headers`, for a `Config.problems`. Never shows a value."""
    for name, secret in headers.items():
        if not _NAME.fullmatch(name):
            yield f"headers.{name}", "not a header's name", "letters, digits and dashes"
        yield from value_problems(f"headers.{name}", secret)


def value_problems(key: str, secret: Secret) -> Iterable[tuple[str, str, str]]:
    if secret.literal is not None and not is_value(secret.literal):
        yield key, "has a line break or control character in it", "one line"
