"""How programs write their lines, one kind per file.

A format is made from a `Keep` and has `parse`; a line in `FORMATS` makes it known. `auto` tries them in this order:
the more a format demands of a line, the earlier it stands. `plain` takes everything and is the last.
"""

from __future__ import annotations

from collections.abc import Callable

from ...model.logs import Keep
from ..base import Format
from . import (
    access,
    apache,
    auto,
    go,
    json,
    klog,
    logback,
    logfmt,
    nginx,
    plain,
    python,
    redis,
    ruby,
    rust,
    syslog,
)

FORMATS: dict[str, Callable[[Keep], Format]] = {
    "json": json.json_format,
    "klog": klog.Klog,
    "redis": redis.Redis,
    "nginx": nginx.Nginx,
    "apache": apache.Apache,
    "access": access.Access,
    "rust": rust.Rust,
    "python": python.Python,
    "ruby": ruby.Ruby,
    "logback": logback.Logback,
    "syslog": syslog.Syslog,
    "go": go.Go,
    "logfmt": logfmt.Logfmt,
    "plain": plain.Plain,
}
AUTO = "auto"


def format_named(name: str, keep: Keep) -> Format:
    """A new one, for one stream: formats remember what they have seen. `name` is one of `FORMATS` or `auto`."""
    return auto.Auto(FORMATS, keep) if name == AUTO else FORMATS[name](keep)
