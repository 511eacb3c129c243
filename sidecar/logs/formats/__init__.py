"""How programs write their lines, one kind per file.

A format is made from a `Keep` and has `parse`; a line in `FORMATS` makes it known. `auto` tries them in this order:
the more a format demands of a line, the earlier it stands. `plain` takes everything and is the last.
"""

from __future__ import annotations

from collections.abc import Callable

from ...model.logs import Keep
from ..base import Format, later

FORMATS: dict[str, Callable[[Keep], Format]] = {
    "json": later(__name__, "json", "json_format"),
    "klog": later(__name__, "klog", "Klog"),
    "redis": later(__name__, "redis", "Redis"),
    "nginx": later(__name__, "nginx", "Nginx"),
    "apache": later(__name__, "apache", "Apache"),
    "access": later(__name__, "access", "Access"),
    "rust": later(__name__, "rust", "Rust"),
    "python": later(__name__, "python", "Python"),
    "ruby": later(__name__, "ruby", "Ruby"),
    "logback": later(__name__, "logback", "Logback"),
    "syslog": later(__name__, "syslog", "Syslog"),
    "go": later(__name__, "go", "Go"),
    "logfmt": later(__name__, "logfmt", "Logfmt"),
    "plain": later(__name__, "plain", "Plain"),
}
AUTO = "auto"


def format_named(name: str, keep: Keep) -> Format:
    """A new one, for one stream: formats remember what they have seen. `name` is one of `FORMATS` or `auto`."""
    if name != AUTO:
        return FORMATS[name](keep)
    from .auto import Auto

    return Auto(FORMATS, keep)
