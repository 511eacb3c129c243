"""Files and directories that cannot be read: each counted, and said once; few of them where there are thousands."""

from __future__ import annotations

import errno
from collections.abc import Container
from dataclasses import dataclass

import structlog

from ..io.links import UntrustedLink
from ..io.local_files import NotRegular
from ..model.counters import LogCounters

MOST = 10_000
"""Names that are known to be in trouble. Others are counted each time."""
MOST_SAID = 10
EVERY = 600.0
"""In so many seconds at most `MOST_SAID` names are said for each reason, and twice how many more there were."""

_WORDS: dict[type[OSError], str] = {NotRegular: "not_regular", UntrustedLink: "untrusted_link"}


@dataclass
class _Reason:
    said: int = 0
    more: int = 0
    until: float | None = None


class Complaints:
    def __init__(self, counters: LogCounters, log: structlog.typing.FilteringBoundLogger) -> None:
        self._known: dict[str, str] = {}
        self._said: set[str] = set()
        """Those of them that were said, and not only counted."""
        self._reasons: dict[str, _Reason] = {}
        self._counters = counters
        self._log = log

    def say(self, path: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self._known.get(path) == reason:
            return
        if path in self._known or len(self._known) < MOST:
            self._known[path] = reason
        word = _WORDS.get(type(error)) or errno.errorcode.get(error.errno or 0, "other")
        self._counters.errors[word] = self._counters.errors.get(word, 0) + 1
        told = self._reasons.setdefault(reason, _Reason())
        if told.said >= MOST_SAID:
            told.more += 1
            return
        told.said += 1
        self._said.add(path)
        self._log.warning("a file or directory of logs cannot be read", path=path, reason=reason)

    def looked(self, there: Container[str], now: float) -> None:
        """Everything was looked at: what is not there any more is forgotten, and what was not said is summed up."""
        self._known = {path: reason for path, reason in self._known.items() if path in there}
        self._said &= self._known.keys()
        for reason, told in list(self._reasons.items()):
            over = told.until is not None and now >= told.until
            if told.more and (over or told.until is None):
                self._log.warning("more files or directories of logs cannot be read", reason=reason, number=told.more)
                told.more = 0
            if over:
                del self._reasons[reason]
            elif told.until is None:
                told.until = now + EVERY

    @property
    def why(self) -> str:
        """What cannot be read now; empty when there is nothing."""
        if not self._known:
            return ""
        path, reason = next(iter(self._known.items()))
        more = f", and {len(self._known) - 1} more" if len(self._known) > 1 else ""
        return f"{path}: {reason}{more}"

    def fine(self, path: str) -> None:
        if self._known.pop(path, None) and path in self._said:
            self._said.remove(path)
            self._log.info("a file or directory of logs can be read again", path=path)

    def drop(self, path: str) -> None:
        """The name means another file now."""
        self._known.pop(path, None)
        self._said.discard(path)
