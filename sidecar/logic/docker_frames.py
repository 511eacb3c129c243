"""The stream in which Docker and Podman send both outputs of a container that has no terminal.

Each frame is eight bytes, `kind 0 0 0 length(4, big endian)`, and what the container wrote: here always one message, a line or a
piece of a long one. https://docs.docker.com/reference/api/engine/latest/#tag/Container/operation/ContainerAttach
"""

from __future__ import annotations

from struct import Struct

from ..model.counters import LogCounters

_HEAD = Struct(">II")
_STDIN, _STDOUT, _STDERR, _SYSTEM = 0, 1 << 24, 2 << 24, 3 << 24


class Frames:
    """Takes the stream in any pieces."""

    def __init__(self, most: int, counters: LogCounters) -> None:
        """Of a message longer than `most` bytes the others are skipped and counted; it ends in a line feed like any. `most` is
        above the cap of a line, and who cuts it there counts the line."""
        self.foreign = b""
        """What the engine itself had to say, last: not the container's words."""
        self._most = most
        self._counters = counters
        self._rest = b""
        self._skip = 0

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        """Messages of stdout, and of stderr. Raises `ValueError` for what are no frames."""
        out: list[bytes] = []
        err: list[bytes] = []
        system: list[bytes] = []
        data, at = self._rest + data, 0
        if self._skip:
            at = min(self._skip, len(data))
            self._skip -= at
        size = len(data)
        while at + 8 <= size:
            kind, length = _HEAD.unpack_from(data, at)
            messages = out
            if kind != _STDOUT:
                if kind == _STDERR:
                    messages = err
                elif kind == _SYSTEM:
                    messages = system
                elif kind != _STDIN:
                    raise ValueError("not a stream of frames")
            start, end = at + 8, at + 8 + length
            if length > self._most:
                if size - start < self._most:
                    break
                messages.append(data[start : start + self._most] + b"\n")
                self._counters.cut_bytes += length - self._most
                at = min(end, size)
                self._skip = end - at
            elif end > size:
                break
            else:
                messages.append(data[start:end])
                at = end
        self._rest = data[at:]
        if system:
            self.foreign = system[-1].strip()
        return out, err
