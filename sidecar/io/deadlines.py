"""`asyncio.timeout` for many short waits: one timer for all of them instead of one for each.

Almost every wait ends long before its deadline. A timer that is armed and cancelled costs several times what an entry in a
set does, so here the one timer stays where it is and looks, when it fires, who is late.
"""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType


class Deadlines:
    """`with deadlines.within(seconds):` around awaits of one task; for use on one loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waits: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fires = inf

    def within(self, seconds: float) -> Deadline:
        """Not to be entered twice. On leaving, it raises `TimeoutError` where the time had passed."""
        loop = self._loop
        if loop is None:  # to ask for it costs a system call
            loop = self._loop = asyncio.get_running_loop()
        return Deadline(self, loop, loop.time() + seconds)

    def add(self, wait: Deadline) -> None:
        self._waits.add(wait)
        if wait.when < self._fires:
            if self._timer is not None:
                self._timer.cancel()
            self._arm(wait.loop, wait.when)

    def remove(self, wait: Deadline) -> None:
        self._waits.discard(wait)

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        self._fires = when
        self._timer = loop.call_at(when, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for wait in [wait for wait in self._waits if wait.when <= now]:
            self._waits.discard(wait)
            wait.pass_by()
        self._timer, self._fires = None, inf
        if self._waits:
            self._arm(loop, min(wait.when for wait in self._waits))


class Deadline:
    """One wait of one task. Cancelling that task for another reason stays what it is."""

    __slots__ = ("_cancelling", "_deadlines", "_passed", "_task", "loop", "when")

    def __init__(self, deadlines: Deadlines, loop: asyncio.AbstractEventLoop, when: float) -> None:
        self.loop = loop
        self.when = when
        self._deadlines = deadlines
        self._passed = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self.loop)
        if task is None:
            raise RuntimeError("a deadline is for a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._passed:
            self._deadlines.remove(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def pass_by(self) -> None:
        """The time has come: whatever the task waits for is cancelled."""
        self._passed = True
        self._task.cancel()
