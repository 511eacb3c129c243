"""The sidecar's own log on standard error: JSON lines, or key=value where a person reads along.

A line that cannot be written, because the disk is full or the reader has gone, is lost: what says how things are must not be what
ends them.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog

from ..logic.printable import printable


def configure(level: str, stream: TextIO | None = None) -> structlog.typing.FilteringBoundLogger:
    """The logger for everything that we say about ourselves. Levels: debug, info, warning, error."""
    out = stream or sys.stderr
    tty = out.isatty()
    renderer = structlog.processors.LogfmtRenderer(bool_as_flag=False) if tty else structlog.processors.JSONRenderer()
    return structlog.wrap_logger(  # type: ignore[no-any-return]
        structlog.PrintLogger(cast("TextIO", _Lossy(out))),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _what_first,
            *([_shown] if tty else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )


class _Lossy:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._out.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._out.flush()


def _what_first(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """When, how grave and what stand first in each line, then the details in the order given."""
    return {key: event.pop(key) for key in ("timestamp", "level", "event")} | dict(event)


def _shown(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """For a terminal, which obeys what it is sent."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
