"""What the launcher of `outrider run -- COMMAND` and the sidecar that it starts say to each other.

Two Unix sockets of whole messages (SOCK_SEQPACKET) lie between them. On *control*, one for each start of the sidecar::

    launcher                                  sidecar
    Hello(run, command, again, pid or 0)   ->
                                      <-      Ready(drain, again, environment)
    Hello(..., pid)                   ->                                         once the command runs
    closed: stop                      ->

On *copy*, the same for every start of the sidecar, so that what waits in it survives one: frames of what the command writes. A
frame is a header and bytes. They need not begin or end with a line, but lines are dropped whole: `lost` of them before the frame,
and then the frame begins with a line.

The launcher imports this, so it needs next to nothing.
"""

from __future__ import annotations

from struct import Struct

HEADER = Struct("<BBIQQ")
"""Stream (1 stdout, 2 stderr), flags, lines lost before, offset of the first byte in the stream, unix nanoseconds."""
CONTINUES = 1
"""The first byte belongs to a line that began before."""
LAST = 2
"""The stream has ended behind this frame."""
CHUNK = 64 << 10
"""Bytes in a frame, at most."""
LARGEST = CHUNK + HEADER.size
STREAMS = {1: "stdout", 2: "stderr"}

_LONGEST_COMMAND = 16 << 10


class Hello:
    """What the sidecar must know. `run` names this run of the command; `again` are settings by path, as a former start of the
    sidecar has chosen them."""

    def __init__(self, run: str, command: list[bytes], again: dict[str, str], pid: int = 0) -> None:
        self.run = run
        self.command = command
        self.again = again
        self.pid = pid

    def encode(self) -> bytes:
        again = [f"{path}={value}".encode() for path, value in self.again.items()]
        words = b"\0".join(self.command)[:_LONGEST_COMMAND].split(b"\0")
        return b"\0".join([self.run.encode(), b"%d" % self.pid, b"%d" % len(again), *again, *words])

    @classmethod
    def decode(cls, message: bytes) -> Hello:
        run, pid, count, *rest = message.split(b"\0")
        pairs = (pair.decode().partition("=") for pair in rest[: int(count)])
        return cls(run.decode(), rest[int(count) :], {path: value for path, _, value in pairs}, int(pid))


class Ready:
    """What the launcher must know: how long the sidecar may need in the end, what it wants to hear `again`, and what to change
    in the command's environment; None takes a variable away."""

    def __init__(self, drain: float, again: dict[str, str], environment: dict[str, str | None]) -> None:
        self.drain = drain
        self.again = again
        self.environment = environment

    def encode(self) -> bytes:
        lines = [f"drain={self.drain}"]
        lines += [f"again={path}={value}" for path, value in self.again.items()]
        lines += [
            f"unset={name}" if value is None else f"set={name}={value}" for name, value in self.environment.items()
        ]
        return "\0".join(lines).encode(errors="surrogateescape")

    @classmethod
    def decode(cls, message: bytes) -> Ready:
        ready = cls(0.0, {}, {})
        for line in message.decode(errors="surrogateescape").split("\0"):
            what, _, text = line.partition("=")
            name, _, value = text.partition("=")
            match what:
                case "drain":
                    ready.drain = float(text)
                case "again":
                    ready.again[name] = value
                case "set":
                    ready.environment[name] = value
                case "unset":
                    ready.environment[text] = None
        return ready
