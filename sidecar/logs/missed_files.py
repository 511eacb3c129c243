"""Files without a name that the patterns match: found where no look met them under their name, and kept within a bound.

Of thousands the oldest are followed. The others stay where they are, which is as good: their name counts as left, so that they
are found, and followed, when others were read to their end. That goes by what the usual programs call rotated files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

import structlog

from ..io.local_files import holds_at, look, meet
from ..logic.tail import FileId, is_rotated
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
        self._crowded = False
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
        nameless = len(self._nameless())
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
        waiting += self._set_back()
        oldest: dict[str, int] = {}
        for _, seen, origin in waiting:
            oldest[origin] = min(seen.changed, oldest.get(origin, seen.changed))
        table.left.looked(left, oldest, table.names)
        self._crowded = len(self._nameless()) >= self.most
        self._tell(waiting)

    def needs_place_of(self, file: FollowedFile) -> bool:
        """One that is read. Not that of a newer file than those that wait: it would be taken for one of them."""
        left = self._table.left.get(file.origin)
        return self._crowded and (left is None or file.seen.changed <= left.changed)

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

    def _set_back(self) -> Iterator[Rotated]:
        """As many files as are too many, the newest first, of which nothing was read and that are found again where they are.
        Twice as many is the end also of those that were renamed to what no rotated file is called: these are lost."""
        nameless = self._nameless()
        over = len(nameless) - self.most
        untouched = [file for file in nameless if file.is_untouched] if over > 0 else []
        untouched.sort(key=lambda file: -file.seen.changed)
        lasting = dict.fromkeys(file for file in untouched if _is_found_again(file))
        for file in list(lasting)[: max(0, over)]:
            self._table.forget(file)
            self._table.left.leave(file, file.seen.changed)
            yield Rotated(file.path, file.seen, file.origin)
        over -= len(lasting)
        for file in [file for file in untouched if file not in lasting][: max(0, over - self.most)]:
            self._table.lose(file.path, file.seen.size, "a renamed file of logs is given up: too many are not read yet")
            self._table.forget(file)

    def _nameless(self) -> list[FollowedFile]:
        return [file for file in self._table.files.values() if not file.names]

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


def _is_found_again(file: FollowedFile) -> bool:
    (directory, name), (there, now) = os.path.split(file.origin), os.path.split(file.path)
    try:
        return directory == there and is_rotated(name, now) and look(file.path).id == file.id
    except OSError:
        return False
