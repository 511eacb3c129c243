"""What is told in the log about single instances: each thing at most once a minute, however often it happens."""

from __future__ import annotations

import msgspec

EVERY = 60.0


class Notice(msgspec.Struct, frozen=True):
    what: str
    service: str
    instance: str
    why: str


class Notices:
    """Times are monotonic seconds. Bounded by the instances that there are, times the things to tell."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, str], float] = {}
        self._waiting: list[Notice] = []

    def tell(self, notice: Notice, now: float) -> None:
        key = notice.what, notice.service, notice.instance
        if now - self._told.get(key, now - EVERY) < EVERY:
            return
        self._told[key] = now
        self._waiting.append(notice)

    def take(self) -> list[Notice]:
        """Those since the last call."""
        taken, self._waiting = self._waiting, []
        return taken

    def forget(self, now: float) -> None:
        """Lets go of what may be told again."""
        self._told = {key: at for key, at in self._told.items() if now - at < EVERY}
