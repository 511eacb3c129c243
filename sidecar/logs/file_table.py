"""Which files are followed, and under which names: what a look at the file system changes.

Everything here is done without waiting, so that whoever reads meanwhile finds each file as it was or as it is. Names are what
the patterns match; a file may have several (hard links, symlinks) or, once it was rotated away, none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from ..io.links import UntrustedLink
from ..io.local_files import NotRegular, holds_at, look_again, meet
from ..logic.tail import Change, FileId, Fingerprint, Seen, change, originals
from ..model.counters import LogCounters
from .complaints import Complaints
from .copies import Copies
from .followed_file import CLOSED, FollowedFile, Rewritten, new_uid
from .left_names import LeftNames
from .open_files import OpenFiles

MOST_NAMES = 1000
MOST_LET_GO = 1000
MOST_SET_ASIDE = 2000
RESTING = 60.0
"""Seconds without growth after which a file makes place for a newer one, where there are too many."""
QUIET = 5.0
"""Seconds without growth after which nobody is expected to go on with a line, or a copy."""
LINGER = 600.0
"""Seconds for which a renamed file is followed after it has grown: its writer may not know yet."""
BUSY = 10.0
"""Seconds after it has grown for which a file is looked at each time."""

Describe = Callable[[str], Mapping[str, str]]
"""The attributes of what is read under a path."""


class FileTable:
    def __init__(
        self,
        describe: Describe,
        counters: LogCounters,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.files: dict[FileId, FollowedFile] = {}
        self.names: dict[str, FollowedFile] = {}
        self.copies = Copies(self.files)
        self._latest: dict[str, FollowedFile] = {}
        """By path, the file that was met there last: the one of that origin that may be truncated."""
        self.open_files = OpenFiles()
        self._describe = describe
        self._counters = counters
        self._log = log
        self.complaints = Complaints(counters, log)
        self.was_let_go: dict[FileId, Fingerprint] = {}
        """Renamed files of which there was nothing to read."""
        self.set_aside: dict[FileId, Fingerprint] = {}
        """Files that made place for others, and where they were read to: they go on there when they are met again."""
        self.crowded_out = 0
        """Names for which there is no place."""
        self.left = LeftNames()
        self.gone: list[FollowedFile] = []
        """Files that vanished or were replaced: their streams have ended."""

    def close(self) -> None:
        self.open_files.close_all()

    # What a look finds.

    def look(self, now: float, everything: bool) -> Iterator[None]:
        """Look at the names, or only at those whose files have grown lately; a step each. Then at files without a name."""
        for path, file in list(self.names.items()):
            if self.names.get(path) is file and (everything or file.wants or now - file.grown_at < BUSY):
                self._look_at(path, file, now)
                yield
        for file in [file for file in self.files.values() if not file.names and file.handle != CLOSED]:
            if file.handle != CLOSED and not file.names:
                self._look_into(file, now)
                yield

    def _look_into(self, file: FollowedFile, now: float) -> None:
        try:
            seen = file.look()
        except OSError as error:
            self.complaints.say(file.path, error)
            return
        if seen.size < file.known_to:
            self.truncated(file, seen, now)
        else:
            file.saw(seen, now)

    def _look_at(self, path: str, file: FollowedFile, now: float) -> None:
        try:
            seen = look_again(path, held=file.handle != CLOSED)
        except (FileNotFoundError, NotADirectoryError, NotRegular, UntrustedLink):
            self._lose_name(path, file, now, replaced=False)
            return
        except OSError as error:
            self.complaints.say(path, error)
            return
        match change(file.seen, file.known_to, seen):
            case Change.REPLACED:
                self._lose_name(path, file, now, replaced=True)
                self.meet(path, now)
            case Change.TRUNCATED:
                self.truncated(file, seen, now)
            case Change.GROWN:
                self._grown(file, seen, now)
            case Change.SAME:
                pass

    def _grown(self, file: FollowedFile, seen: Seen, now: float) -> None:
        if not file.seen.size:
            self.left.leave(file, file.seen.changed)  # what was written to it may already be in a copy
        file.saw(seen, now)
        try:
            self.hold(file)
        except Rewritten:
            self.truncated(file, seen, now)

    def meet(self, path: str, now: float) -> bool:
        """A name that the patterns match. False: there is no place for it, nor for any that is older."""
        try:
            real, seen = meet(path)
        except FileNotFoundError:
            return True  # gone again, or a symlink to nothing
        except OSError as error:
            self.complaints.say(path, error)
            return True
        if path not in self.names and len(self.names) >= MOST_NAMES and not self._make_place(seen, now):
            return False
        file = self.files.get(seen.id) or self._new(path, real, seen, now)
        file.path = real
        file.names.add(path)
        self.names[path] = file
        self._hold_new(file)
        return True

    def _make_place(self, seen: Seen, now: float) -> bool:
        """By letting go of the oldest file that is done and has rested for long, if the new one is newer."""
        resting = [file for file in self.files.values() if file.names and now - file.grown_at >= RESTING]
        older = [file for file in resting if file.seen.changed < seen.changed and file.id != seen.id and file.is_done]
        if not older:
            return False
        oldest = min(older, key=lambda file: file.seen.changed)
        self._set_aside(oldest)
        self.forget(oldest)
        return True

    def _set_aside(self, file: FollowedFile) -> None:
        if file.offset:
            self.set_aside[file.id] = file.fingerprint
            if len(self.set_aside) > MOST_SET_ASIDE:
                del self.set_aside[next(iter(self.set_aside))]

    def crowd_out(self, paths: Sequence[str]) -> None:
        """Those for which there is no place, the newest first; perhaps none."""
        if paths and not self.crowded_out:
            self._counters.errors["too_many_files"] = self._counters.errors.get("too_many_files", 0) + 1
            self._log.error(
                "too many files of logs: the oldest are not read", most=MOST_NAMES, first=paths[0], number=len(paths)
            )
        self.crowded_out = len(paths)

    def _new(self, path: str, real: str, seen: Seen, now: float) -> FollowedFile:
        known = self.set_aside.pop(seen.id, None)
        if known is not None and not holds_at(known, path, seen, unseen=False):
            known = None
        offset = known.at if known else 0
        file = FollowedFile(new_uid(), real, seen, now=now, offset=offset)
        file.expected, file.doubted = known, known is not None
        file.attributes = self._describe(path)
        directory, name = os.path.split(file.path)
        paths = [os.path.join(directory, original) for original in originals(name)]
        file.rotated = any(path in self.left or os.path.lexists(path) for path in paths)
        self.files[seen.id] = self._latest[real] = file
        return file

    def _lose_name(self, path: str, file: FollowedFile, now: float, *, replaced: bool) -> None:
        del self.names[path]
        self.complaints.drop(path)
        file.names.discard(path)
        file.rotated = True
        file.grown_at = now
        if file.names:
            return
        self.left.leave(file, file.seen.changed)
        self._hold_new(file)
        if replaced or (file.id in self.files and file.seen.links):
            self._counters.rotations += 1

    def let_go(self, file: FollowedFile) -> None:
        """A file that was read to its end and has none of the names."""
        self.forget(file)
        if file.seen.links and file.offset:
            self._set_aside(file)
        elif file.seen.links:
            self.was_let_go[file.id] = file.fingerprint
            if len(self.was_let_go) > MOST_LET_GO:
                del self.was_let_go[next(iter(self.was_let_go))]

    def hold(self, file: FollowedFile) -> bool:
        """Keep it open, where that is possible: from now on it may be renamed or deleted. False: it has vanished. Raises
        `Rewritten`."""
        try:
            if self.open_files.open(file):
                if not file.names:
                    file.seen = file.look()
                file.peek()
            for path in (file.path, *file.names):
                self.complaints.fine(path)
        except FileNotFoundError:
            if not file.names:
                self.vanished(file)
                return False
        except OSError as error:
            self.complaints.say(file.path, error)
        return True

    def _hold_new(self, file: FollowedFile) -> None:
        try:
            self.hold(file)
        except Rewritten:
            file.doubted = True  # found again by whoever reads

    # Files that end.

    def truncated(self, file: FollowedFile, seen: Seen, now: float) -> None:
        """What was read of it stands there no more: perhaps in a copy, else nowhere."""
        self._counters.truncations += 1
        copy = self.copies.of(file)
        if copy is None:
            had = file.seen.size if seen.size < file.seen.size else file.sure_size
            self.lose(file.path, had - file.offset, "a file of logs was truncated before it was read to its end")
            file.rewind(now)
            file.saw(seen, now)
            return
        self.forget(file)
        if file.names:
            new = FollowedFile(new_uid(), file.path, seen, now=now)
            new.origin, new.attributes, new.names, new.rotated = file.origin, file.attributes, file.names, file.rotated
            self.enter(new)
        twin = self.files.get(copy[1].id)
        file.names = twin.names if twin else set()
        if twin:
            self.open_files.hand_over(twin, file)
            self.forget(twin)
        file.move(*copy, now)
        self.enter(file)
        self.left.leave(file, copy[1].changed)

    def enter(self, file: FollowedFile) -> None:
        self.files[file.id] = file
        if file.path == file.origin:
            self._latest[file.path] = file
        for name in file.names:
            self.names[name] = file
        self._hold_new(file)

    def may_be_copy(self, file: FollowedFile, now: float) -> bool:
        """Is this new file perhaps the copy of another, which is truncated next? Then it is not read on its own; for as long as
        it grows, and a little longer. Only who has the name that it goes by is copied and truncated: those that were rotated
        before, be they thousands, need not be asked."""
        directory, name = os.path.split(file.path)
        latest = (self._latest.get(os.path.join(directory, original)) for original in originals(name))
        others = [other for other in latest if other and other is not file and other.known_to]
        return any(self._may_be_copy_of(file, other, now) for other in others)

    def _may_be_copy_of(self, file: FollowedFile, other: FollowedFile, now: float) -> bool:
        try:
            if not self.hold(other) or not self.open_files.open(file) or other.handle == CLOSED:
                return False
            if other.look().size < other.known_to:
                raise Rewritten
            other.verify()
            return now - file.grown_at <= QUIET and file.head(other.seen.size) == other.head(file.seen.size)
        except Rewritten:
            self.truncated(other, other.look(), now)
            return True
        except OSError as error:
            self.complaints.say(other.path, error)
            return False

    def vanished(self, file: FollowedFile) -> None:
        self.lose(file.path, file.seen.size - file.offset, "a file of logs has vanished before it was read to its end")
        self.forget(file)
        self.gone.append(file)

    def lose(self, path: str, size: int, event: str) -> None:
        if size > 0:
            self._counters.lost_bytes += size
            self._log.error(event, path=path, lost_bytes=size)

    def forget(self, file: FollowedFile) -> None:
        self.open_files.close(file)
        del self.files[file.id]
        if self._latest.get(file.origin) is file:
            del self._latest[file.origin]
        for name in file.names:
            del self.names[name]
