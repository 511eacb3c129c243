"""Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): which pages' scripts may send us telemetry."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from .scalars import Invalid, Scalar, quoted

MAX_AGE = 7200
"""Seconds for which a browser need not ask again; none believes a larger number."""
_ALLOWED = frozenset(
    {
        "accept",
        "authorization",
        "baggage",
        "content-encoding",
        "content-type",
        "traceparent",
        "tracestate",
        "user-agent",
    }
)
_ORIGIN = re.compile(r"https?://[\w.\-*\[\]:]+")

Headers = tuple[str, ...]


def parse_origins(raw: Any) -> tuple[str, ...]:
    """A list, or text with commas."""
    given = raw if isinstance(raw, list) else str(raw).split(",")
    origins = tuple(str(origin).strip() for origin in given)
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise Invalid(
                f"{quoted(origin)} is not an origin", meant=origin.rstrip("/") if origin[-1:] == "/" else None
            )
    return origins


Origins = Annotated[tuple[str, ...], Scalar("origins such as https://shop.example, or *", parse_origins, ",".join)]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Pages of these origins may send from a browser; a `*` stands for any part of a host, or for a port. None: none may, and
    no answer says anything about it."""

    origins: Origins = ()


class Cors:
    """The headers of answers."""

    def __init__(self, config: Config) -> None:
        patterns = [re.escape(origin).replace(r"\*", r"[\w.-]*") for origin in config.origins if origin != "*"]
        self._allowed = re.compile(".*" if "*" in config.origins else "|".join(patterns), re.IGNORECASE | re.ASCII)

    def answer(self, origin: str) -> Headers:
        """For a request from a page of `origin`; empty where it is from no page."""
        if not self._allows(origin):
            return ("Vary: Origin",)
        return ("Vary: Origin", f"Access-Control-Allow-Origin: {origin}", "Access-Control-Expose-Headers: Retry-After")

    def preflight(self, origin: str, names: str) -> Headers:
        """For the question whether a POST with the headers `names` may follow. Who may not is told nothing."""
        vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        if not self._allows(origin):
            return (vary,)
        asked = [name.strip().lower() for name in names.split(",")]
        allowed = [name for name in asked if name in _ALLOWED or re.fullmatch(r"x-[a-z0-9-]+", name)]
        return (
            vary,
            f"Access-Control-Allow-Origin: {origin}",
            "Access-Control-Allow-Methods: POST",
            *([f"Access-Control-Allow-Headers: {', '.join(allowed)}"] if allowed else []),
            f"Access-Control-Max-Age: {MAX_AGE}",
        )

    def _allows(self, origin: str) -> bool:
        return bool(origin) and origin.isprintable() and self._allowed.fullmatch(origin) is not None
