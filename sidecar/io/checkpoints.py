"""Where the reading of logs goes on after a restart: one small JSON file, replaced as a whole.

::

    {"version": 1, "sources": {name: what the source remembers}}

It is written beside and renamed over, with both synced, so that a crash leaves the old or the new one. What cannot be read is
moved aside and said; reading then starts as it did the first time. One process at a time writes it: the directory is locked from
the first save on, and the kernel lets go of it however the process ends.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import glob
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

VERSION = 1
NAME = "logs.json"
_OURS = ("spool.db*", "*/spool.db*", NAME, "logs.new", "logs.unreadable")
LARGEST = 64 << 20


class _File(msgspec.Struct):
    version: int
    sources: dict[str, dict[str, object]]


class Checkpoints:
    """`load` once, then `save` by one task, then `close`. None raises for whatever the disk does."""

    def __init__(self, directory: str, log: structlog.typing.FilteringBoundLogger) -> None:
        self.path = Path(directory) / NAME
        self.errors: dict[str, int] = {}
        """By a word each: unreadable (at the start), unwritable."""
        self._log = log
        self._last = b""
        self._failing = False
        self._lock: int | None = None
        self._one = threading.Lock()
        """A save that was cancelled goes on in its thread, before the next."""

    @property
    def ours(self) -> Sequence[str]:
        """Patterns of what we write in the directory. Whoever read that would write more for each line of it."""
        return [f"{glob.escape(str(self.path.parent))}/{name}" for name in _OURS]

    def load(self) -> Mapping[str, Mapping[str, object]]:
        """What was saved last, by source; nothing at the first start."""
        try:
            if self.path.stat().st_size > LARGEST:
                raise ValueError("too large")
            content = self.path.read_bytes()
            found = msgspec.json.decode(content, type=_File)
            if found.version != VERSION:
                raise ValueError(f"version {found.version}, this program knows {VERSION}")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._put_aside(error)
            return {}
        self._last = content
        return found.sources

    def _put_aside(self, error: Exception) -> None:
        self._count("unreadable")
        aside = self.path.with_suffix(".unreadable")
        try:
            self.path.replace(aside)
        except OSError as trouble:
            self._log.warning("a checkpoint that cannot be read stays", path=str(self.path), error=str(trouble))
        self._log.error(
            "where reading of logs stood is not known: files are read as at the first start",
            path=str(self.path),
            moved_to=str(aside),
            error=str(error),
        )

    async def save(self, sources: Mapping[str, Mapping[str, object]]) -> bool:
        """Replace what is remembered; true when it is on the disk. Costs nothing when nothing has changed."""
        try:
            content = msgspec.json.encode({"version": VERSION, "sources": sources})
            if content == self._last:
                return True
            await asyncio.to_thread(self._write, content)
        except (OSError, ValueError, TypeError, OverflowError) as error:
            self._count("unwritable")
            if not self._failing:
                self._log.error(
                    "where reading of logs stands cannot be saved: a restart would repeat lines",
                    path=str(self.path),
                    error=str(error),
                )
            self._failing = True
            return False
        self._last = content
        if self._failing:
            self._log.info("where reading of logs stands is saved again", path=str(self.path))
        self._failing = False
        return True

    def _write(self, content: bytes) -> None:
        with self._one:
            self._replace(content)

    def _replace(self, content: bytes) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = _locked(self.path.parent)
        new = self.path.with_suffix(".new")
        try:
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    async def close(self) -> None:
        """Another process may write now."""
        await asyncio.to_thread(self._unlock)

    def _unlock(self) -> None:
        with self._one:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _count(self, error: str) -> None:
        self.errors[error] = self.errors.get(error, 0) + 1


def _locked(directory: Path) -> int:
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise OSError(errno.EBUSY, "in use by another process", str(directory)) from None
    except OSError:
        pass  # a file system without locks on directories
    return lock
