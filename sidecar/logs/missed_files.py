"""Files without a name that the patterns match: found where no look met them under their name, and kept within a bound.

Of thousands the oldest are followed. The others stay where they are, which is as good: their name counts as left, so that they
are found, and followed, when others were read to their end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set

import structlog

from ..io.local_files import holds_at, meet
from ..logic.tail import FileId
from ..model.counters import LogCounters
from .file_memory import Left
from .file_table import FileTable
from .followed_file import FollowedFile, new_uid
from .left_names import Rotated

MOST = 1000
MOST_ENTRIES = 100_000
"""Names looked at in one directory."""


class MissedFiles:
    def __init__(
        self,
        table: FileTable,
        is_excluded: Callable[[str], bool],
        counters: LogCounters,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.waiting = 0
        """Files for which there is no place."""
        self.waiting_bytes = 0
        self.most = MOST
        self._table = table
        self._is_excluded = is_excluded
        self._counters = counters
        self._log = log

    def enter(
        self, found: Sequence[Rotated], left: Mapping[str, Left], known: Set[FileId], now: float
    ) -> Iterator[None]:
        """Follow those of them that had one of the names in `left`, a step each. `known` are the files that were followed when
        they were looked for: what has become of one since was its reader's doing."""
        table = self._table
        nameless = sum(not file.names for file in table.files.values())
        waiting: list[Rotated] = []
        for one in found:
            path, seen, origin = one
            yield
            if file := table.files.get(seen.id):
                if not file.names:
                    file.path = path  # need not be searched for when it is opened
            elif self._is_missed(one, left[origin]) and seen.id not in known:
                if nameless >= self.most:
                    waiting.append(one)
                else:
                    nameless += self._enter(one, left[origin], now)
        waiting += self._set_back(found, nameless - self.most)
        oldest: dict[str, int] = {}
        for _, seen, origin in waiting:
            oldest[origin] = min(seen.changed, oldest.get(origin, seen.changed))
        table.left.looked(left, oldest, table.names)
        self._tell(waiting)

    def needs_place_of(self, file: FollowedFile) -> bool:
        """One that is read. Not that of a newer file than those that wait: it would be taken for one of them."""
        left = self._table.left.get(file.origin)
        return self.waiting > 0 and (left is None or file.seen.changed <= left.changed)

    def _is_missed(self, one: Rotated, left: Left) -> bool:
        path, seen, _ = one
        if not seen.size or seen.changed < left.changed or self._is_excluded(path):
            return False
        print_ = self._table.was_let_go.get(seen.id) or self._table.set_aside.get(seen.id)
        return print_ is None or (print_.length > 0 and not holds_at(print_, path, seen, unseen=True))

    def _enter(self, one: Rotated, left: Left, now: float) -> bool:
        try:
            path, seen = meet(one.path)
        except OSError:
            return False  # renamed or deleted since, or behind a link that may not be trusted
        if seen.id != one.seen.id:
            return False
        file = FollowedFile(new_uid(), path, seen, now=now)
        file.origin, file.attributes = one.origin, left.attributes
        file.rotated = True
        self._table.enter(file)
        return True

    def _set_back(self, found: Collection[Rotated], over: int) -> Iterator[Rotated]:
        """So many files, the newest first, of which nothing was read and that are found again where they are."""
        for one in sorted(found, key=lambda one: -one.seen.changed) if over > 0 else []:
            file = self._table.files.get(one.seen.id)
            if over > 0 and file and file.origin == one.origin and file.is_untouched and not file.names:
                over -= 1
                self._table.forget(file)
                self._table.left.leave(file, one.seen.changed)
                yield one

    def _tell(self, waiting: Sequence[Rotated]) -> None:
        if waiting and not self.waiting:
            self._counters.errors["too_many_files"] = self._counters.errors.get("too_many_files", 0) + 1
            self._log.warning(
                "too many rotated files of logs: the newest of them wait until others were read",
                most=self.most,
                first=waiting[0].path,
                number=len(waiting),
            )
        self.waiting = len(waiting)
        self.waiting_bytes = sum(one.seen.size for one in waiting)
