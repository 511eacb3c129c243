"""What the receiver needs of a protocol, whichever it is: its requests and its connections."""

from __future__ import annotations

from typing import Protocol

from ..logic.otlp_http import Reply
from ..model.signals import Signal


class Exchange(Protocol):
    """A request that is whole, and the way to answer it. `size` and `items` are for the receiver to keep."""

    signal: Signal
    gzip: bool
    json: bool
    hops: int
    via: str
    items: int
    size: int
    close: bool
    """Should the connection end with this answer?"""

    def answer(self, reply: Reply) -> None: ...


class Peer(Protocol):
    """A connection: the receiver holds it back, watches its time, and ends it."""

    MEMORY: int
    """A reason for `pause`."""
    deadline: float
    """On the loop's clock: when `expire` is due."""
    held: int
    """Bytes of bodies that are still arriving."""

    def pause(self, reason: int) -> None: ...

    def resume(self, reason: int) -> None: ...

    def refuse(self, reply: Reply) -> None:
        """Refuse the largest request that is still arriving, so that its bytes are free."""

    def expire(self) -> None: ...

    def drain(self) -> None:
        """Answer what is due, then end."""

    def abort(self) -> None: ...
