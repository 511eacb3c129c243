"""Scalars of the configuration: how a duration, a size, an address, a URL or a secret is written, and read.

Fields of `Config` structs are annotated with the types at the end (`Duration`, `Bytes`, `HttpUrl`, …); `schema` reads the
annotations.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec


class Invalid(ValueError):
    """A value that a scalar does not take: what is wrong with it, and perhaps what was meant."""

    def __init__(self, problem: str, *, meant: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.meant = meant


class Scalar:
    """How one kind of value is written in a file, in the environment and in `outrider config`.

    `parse` takes what YAML or the environment holds and raises `Invalid`; `show` writes it back.
    """

    def __init__(
        self, expected: str, parse: Callable[[Any], Any], show: Callable[[Any], str] = str, *, secret: bool = False
    ) -> None:
        self.expected = expected
        self.parse = parse
        self.show = show
        self.secret = secret


class Rule:
    """Marks `Annotated[Duration, Rule(lambda s: s >= 1, "is too short", "at least 1s")]`: what a value must be beside its type.
    It is told as the value (unless that is secret), the problem, and what was expected."""

    def __init__(self, holds: Callable[[Any], object], problem: str, expected: str) -> None:
        self.holds = holds
        self.problem = problem
        self.expected = expected


def quoted(value: object) -> str:
    """A value as an error shows it: strings in double quotes, the rest as YAML would; long ones cut."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:76] + '..."'


NOT_ABSOLUTE = "is not an absolute path"


def is_absolute(path: str) -> bool:
    return path.startswith("/") and "\0" not in path


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")


def parse_duration(raw: Any) -> float:
    """`500ms`, `10s`, `1m30s` to seconds. A bare number is refused: seconds and milliseconds are both usual."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Invalid(f"{quoted(raw)} is not a duration")
    text = str(raw).strip()
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    if re.fullmatch(r"\d+(\.\d+)?", text):
        raise Invalid(f"{quoted(raw)} has no unit", meant=f"{text}s")
    raise Invalid(f"{quoted(raw)} is not a duration")


def show_duration(seconds: float) -> str:
    """As it would be written: whole hours, minutes or seconds; else seconds, or below one, milli- or microseconds."""
    for unit in ("h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    unit = "s" if seconds >= 1 or seconds == 0 else "ms" if seconds >= 1e-3 else "us"
    digits = f"{seconds / _UNITS[unit]:.3f}".rstrip("0").rstrip(".")
    return digits + unit


_SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_bytes(raw: Any) -> int:
    """`20MiB`, `1GB` or a plain number to bytes."""
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise Invalid(f"{quoted(raw)} is not a size")
    match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(raw).strip())
    if match and match[2] in _SIZES:
        return int(match[1]) * _SIZES[match[2]]
    if match:
        near = difflib.get_close_matches(match[2] + "iB", list(_SIZES), 1, 0.4)
        raise Invalid(f'unknown unit "{match[2]}"', meant=match[1] + near[0] if near else None)
    raise Invalid(f"{quoted(raw)} is not a size")


def show_bytes(size: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return str(size)


class Address(msgspec.Struct, frozen=True):
    """Where to listen. Port 0 asks the system for a free one; an empty host means all addresses."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def overlaps(self, other: Address) -> bool:
        """Would both take the same port of the same address? A name is known only by itself."""
        ours, theirs = _interfaces(self.host), _interfaces(other.host)
        shared = ours & theirs or any(
            wide in one and any((":" in host) == (":" in wide) for host in two)
            for wide in ("0.0.0.0", "::")
            for one, two in ((ours, theirs), (theirs, ours))
        )
        return self.port == other.port != 0 and bool(shared)


def _interfaces(host: str) -> set[str]:
    return {"localhost": {"127.0.0.1", "::1"}, "": {"0.0.0.0", "::"}}.get(host, {host})


def parse_address(raw: Any) -> Address:
    text = str(raw).strip() if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
    host, colon, port = text.rpartition(":")
    if not colon and text.isdigit():
        raise Invalid(f"{quoted(raw)} has no host", meant=f"127.0.0.1:{text}")
    if not colon or not port.isdigit():
        raise Invalid(f"{quoted(raw)} is not an address")
    if int(port) > 65535:
        raise Invalid(f"port {port} is above 65535")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise Invalid(f"{quoted(raw)} is not an address", meant=f"[{host}]:{port}")
    return Address(host.strip("[]"), int(port))


def parse_address_or_off(raw: Any) -> Address | None:
    """`off` is what YAML reads as false."""
    if raw is False or (isinstance(raw, str) and raw.strip().lower() in ("off", "false")):
        return None
    return parse_address(raw)


_USERINFO = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
_QUERY_SECRET = re.compile(r"(?<=[?&])([^=&]*(?:key|token|secret|pass|pwd|auth|sig)[^=&]*)=[^&#]*", re.IGNORECASE)


def masked_url(text: str) -> str:
    """A URL as it may be shown: without a password, and without the values of what looks like a credential."""
    return _QUERY_SECRET.sub(r"\1=***", _USERINFO.sub(r"\1:***@", text))


def url(*schemes: str) -> Callable[[Any], str]:
    """A URL with a host and one of `schemes`; a trailing slash of the bare root is dropped."""

    def parse(raw: Any) -> str:
        if not isinstance(raw, str):
            raise Invalid(f"{quoted(raw)} is not a URL")
        text = raw.strip()
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise Invalid(f"{quoted(raw)} is not a URL ({error})") from None
        if "://" not in text:
            meant = f"{schemes[0]}://{text}" if re.fullmatch(r"[\w.\-\[\]:]+(/\S*)?", text) else None
            raise Invalid(f"{quoted(raw)} has no scheme", meant=meant)
        if parts.scheme not in schemes:
            near = difflib.get_close_matches(parts.scheme, schemes, 1)
            raise Invalid(
                f'unknown scheme "{parts.scheme}"', meant=text.replace(parts.scheme, near[0], 1) if near else None
            )
        if not parts.hostname:
            raise Invalid(f"{quoted(raw)} has no host")
        if parts.scheme == "tcp" and port is None:
            raise Invalid(f"{quoted(raw)} has no port")
        return text.rstrip("/") if parts.path == "/" and not parts.query else text

    return parse


class Secret:
    """A value that is never printed: given literally, or read from a file each time (tokens rotate)."""

    __slots__ = ("file", "literal")

    def __init__(self, literal: str | None = None, file: str | None = None) -> None:
        self.literal = literal
        self.file = file

    def __repr__(self) -> str:
        return f"{{file: {self.file}}}" if self.file else "**********"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.literal, self.file) == (other.literal, other.file)

    def __hash__(self) -> int:
        return hash((self.literal, self.file))


def parse_secret(raw: Any) -> Secret:
    if isinstance(raw, str | int) and not isinstance(raw, bool) and raw != "":
        return Secret(literal=str(raw))
    if isinstance(raw, Mapping) and set(raw) == {"file"} and isinstance(raw["file"], str):
        return Secret(file=raw["file"])
    # The value is not shown: it may be the secret, mistyped.
    raise Invalid("not a secret")


class StatusRanges(msgspec.Struct, frozen=True):
    """HTTP status codes, both ends included."""

    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.ranges)

    def __str__(self) -> str:
        return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in self.ranges)


def parse_status(raw: Any) -> StatusRanges:
    ranges = []
    for part in raw if isinstance(raw, list) else str(raw).split(","):
        match = re.fullmatch(r"\s*(\d{3})(?:\s*-\s*(\d{3}))?\s*", str(part))
        family = re.fullmatch(r"\s*([1-5])xx\s*", str(part), re.IGNORECASE)
        if family:
            low, high = int(family[1]) * 100, int(family[1]) * 100 + 99
        elif match:
            low, high = int(match[1]), int(match[2] or match[1])
        else:
            raise Invalid(f"{quoted(part)} is not a status code or range")
        if not 100 <= low <= high <= 599:
            raise Invalid(f"{quoted(part)} is not within 100-599 in rising order")
        ranges.append((low, high))
    return StatusRanges(tuple(ranges))


def parse_regex(raw: Any) -> re.Pattern[str]:
    if not isinstance(raw, str):
        raise Invalid(f"{quoted(raw)} is not a regular expression")
    try:
        return re.compile(raw)
    except re.error as error:
        raise Invalid(f"{quoted(raw)} is not a regular expression ({error})") from None


def parse_pointer(raw: Any) -> str:
    """A JSON pointer (RFC 6901)."""
    if isinstance(raw, str) and (raw == "" or raw.startswith("/")):
        return raw
    raise Invalid(
        f"{quoted(raw)} is not a JSON pointer",
        meant="/" + raw.lstrip("$").lstrip(".").replace(".", "/") if isinstance(raw, str) else None,
    )


def parse_pem_file(raw: Any) -> str:
    """A path: what it holds is looked at by whoever opens it."""
    if not isinstance(raw, str) or not raw.strip():
        raise Invalid(f"{quoted(raw)} is not a path")
    if "\n" in raw or raw.startswith("-----"):
        raise Invalid("holds the PEM text itself")  # which is not shown: it may be a key
    return raw


Duration = Annotated[float, Scalar("a number with a unit such as 500ms, 10s or 2m", parse_duration, show_duration)]
Timeout = Annotated[Duration, Rule(lambda s: 0 < s <= 300, "is out of range", "more than 0s and at most 5m")]
Count = Annotated[int, Rule(lambda number: number >= 1, "is out of range", "1 or more")]
Bytes = Annotated[int, Scalar("a size such as 512KiB or 20MiB", parse_bytes, show_bytes)]
ListenAddress = Annotated[Address, Scalar("host:port such as 127.0.0.1:4318", parse_address)]
ListenAddressOrOff = Annotated[
    Address | None,
    Scalar("host:port such as 127.0.0.1:4318, or off", parse_address_or_off, lambda address: str(address or "off")),
]
HttpUrl = Annotated[str, Scalar("a URL such as http://127.0.0.1:8080", url("http", "https"), masked_url)]
TargetUrl = Annotated[
    str, Scalar("a URL such as http://127.0.0.1:8080 or tcp://127.0.0.1:6379", url("http", "https", "tcp"), masked_url)
]
SecretText = Annotated[Secret, Scalar("text, or {file: PATH}", parse_secret, secret=True)]
Status = Annotated[StatusRanges, Scalar("status codes such as 200, 200-399 or 2xx", parse_status)]
Regex = Annotated[re.Pattern[str], Scalar("a regular expression", parse_regex, lambda pattern: pattern.pattern)]
JsonPointer = Annotated[str, Scalar("a JSON pointer such as /status", parse_pointer)]
PemFile = Annotated[str, Scalar("the path of a PEM file", parse_pem_file)]
