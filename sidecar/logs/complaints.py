"""Files and directories that cannot be read: said once for each reason, and once when that is over."""

from __future__ import annotations

import errno

import structlog

from ..io.local_files import NotRegular
from ..model.counters import LogCounters

MOST = 10_000


class Complaints:
    def __init__(self, counters: LogCounters, log: structlog.typing.FilteringBoundLogger) -> None:
        self._said: dict[str, str] = {}
        self._counters = counters
        self._log = log

    def say(self, path: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self._said.get(path) == reason or len(self._said) >= MOST:
            return
        self._said[path] = reason
        word = "not_regular" if isinstance(error, NotRegular) else errno.errorcode.get(error.errno or 0, "other")
        self._counters.errors[word] = self._counters.errors.get(word, 0) + 1
        self._log.warning("a file or directory of logs cannot be read", path=path, reason=reason)

    @property
    def why(self) -> str:
        """What cannot be read now; empty when there is nothing."""
        if not self._said:
            return ""
        path, reason = next(iter(self._said.items()))
        more = f", and {len(self._said) - 1} more" if len(self._said) > 1 else ""
        return f"{path}: {reason}{more}"

    def fine(self, path: str) -> None:
        if path in self._said:
            del self._said[path]
            self._log.info("a file or directory of logs can be read again", path=path)

    def drop(self, path: str) -> None:
        """The name means another file now."""
        self._said.pop(path, None)
