"""The spool's file against a naive model, and against what disks do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.io.spool_errors import Full, Unusable
from sidecar.io.spool_file import NAME, SpoolFile, look, reserve_of
from sidecar.io.spool_rows import left_by
from sidecar.model.signals import Batch, Signal
from sidecar.model.spool import Row

MIB = 1 << 20
CAP = 3 * MIB
UPSTREAMS = ["a", "b"]


def opened(directory: Path | str, max_bytes: int = CAP) -> SpoolFile:
    return SpoolFile(str(directory), max_bytes, full_sync=False, now=lambda: 1000.0)


def row(number: int, body: bytes = b"body", upstream: str = "a", signal: Signal = Signal.TRACES) -> Row:
    return Row(number, upstream, Batch(signal, body, 1, 2), 100.0 + number)


def crash(file: SpoolFile, directory: Path | str) -> SpoolFile:
    """As after kill -9: what was written to the files is there, nothing was closed properly."""
    copy = tempfile.mkdtemp(dir=Path(directory).parent)
    for each in Path(file.directory).iterdir():
        if each.is_file() and not each.name.endswith("-shm"):
            shutil.copy(each, copy)
    file._db.close()
    os.close(file._lock)
    shutil.rmtree(file.directory)
    os.rename(copy, file.directory)
    return opened(file.directory)


class Model(RuleBasedStateMachine):
    """Rows in a dictionary. Every rule does the same to both; the invariant compares."""

    @initialize()
    def start(self) -> None:
        self.top = tempfile.TemporaryDirectory()
        self.file = opened(Path(self.top.name) / "spool")
        self.rows: dict[int, Row] = {}
        self.next = 1

    def made(self, upstream: str, signal: Signal, size: int) -> Row:
        made = row(self.next, bytes([self.next % 251]) * size, upstream, signal)
        self.next += 1
        return made

    @rule(
        upstream=st.sampled_from(UPSTREAMS),
        signal=st.sampled_from(list(Signal)),
        sizes=st.lists(st.sampled_from([0, 1, 50, 2100, 4000, 5000, 100_000, 600_000]), min_size=1, max_size=4),
    )
    def write(self, upstream: str, signal: Signal, sizes: list[int]) -> None:
        rows = [self.made(upstream, signal, size) for size in sizes]
        if sum(sizes) > self.file.group_bytes:
            rows = rows[:1]
        try:
            self.file.apply(rows, (), ())
        except Full:
            return  # all or nothing
        self.rows |= {each.id: each for each in rows}

    @rule(pick=st.randoms(use_true_random=False), number=st.integers(1, 5))
    def settle(self, pick: object, number: int) -> None:
        chosen = pick.sample(sorted(self.rows), min(number, len(self.rows)))  # type: ignore[attr-defined]
        self.file.apply((), [*chosen, 10_000_000], ())
        for each in chosen:
            del self.rows[each]

    @rule(pick=st.randoms(use_true_random=False))
    def quarantine(self, pick: object) -> None:
        if self.rows:
            chosen = self.rows[pick.choice(sorted(self.rows))]  # type: ignore[attr-defined]
            try:
                self.file.apply((), (), [(chosen, "rejected")])
            except Full:
                return
            del self.rows[chosen.id]

    @rule(upstream=st.sampled_from(UPSTREAMS), size=st.integers(1, 300_000))
    def evict(self, upstream: str, size: int) -> None:
        expected = []
        left = size
        for each in sorted(self.rows):
            if left > 0 and self.rows[each].upstream == upstream:
                expected.append(each)
                left -= left_by(len(self.rows[each].batch.body))
        gone = self.file.evict(upstream, size, ())
        assert [key.id for key in gone] == expected
        for key in gone:
            del self.rows[key.id]

    @rule()
    def reopen(self) -> None:
        directory = self.file.directory
        self.file.close()
        self.file = opened(directory)

    @rule()
    def crash(self) -> None:
        self.file = crash(self.file, self.file.directory)

    @rule(pick=st.randoms(use_true_random=False))
    def rot(self, pick: object) -> None:
        """A body changes on disk: that row is quarantined when it is read, and only it."""
        if self.rows:
            chosen = self.rows.pop(pick.choice(sorted(self.rows)))  # type: ignore[attr-defined]
            self.file._db.execute("UPDATE batch SET crc = crc + 1 WHERE id = ?", (chosen.id,))
            self.file.tidy()  # a disk that rots writes no log
            self.read(chosen.upstream, chosen.batch.signal)

    def read(self, upstream: str, signal: Signal) -> list[Row]:
        return self.file.read(upstream, signal, (), 1 << 30)[0]

    @invariant()
    def same(self) -> None:
        for upstream in UPSTREAMS:
            for signal in Signal:
                expected = [
                    r for _, r in sorted(self.rows.items()) if r.upstream == upstream and r.batch.signal == signal
                ]
                assert self.read(upstream, signal) == expected
                total = (len(expected), sum(len(r.batch.body) for r in expected))
                assert self.file.totals.get((upstream, signal), (0, 0)) == total
        assert self.file.last_id < self.next
        assert self.file.disk_bytes() <= CAP

    def teardown(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
            self.top.cleanup()


Model.TestCase.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestModel = Model.TestCase


def test_rows_are_read_in_the_order_of_arrival_up_to_a_limit_but_at_least_one(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.apply([row(3, b"x" * 600), row(1, b"y" * 600), row(2, b"z" * 600)], (), ())
    assert [r.id for r in file.read("a", Signal.TRACES, (), 1)[0]] == [1]
    assert [r.id for r in file.read("a", Signal.TRACES, (), 1200)[0]] == [1, 2]
    assert [r.id for r in file.read("a", Signal.TRACES, {1}, 10_000)[0]] == [2, 3]
    assert file.oldest() == {"a": 101.0}
    file.close()


def test_a_quarantined_row_keeps_its_body_and_reason_and_the_oldest_make_room(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.apply([row(1)], (), ())
    file.apply((), (), [(row(1), "HTTP 400: no")])
    for number in range(2, 40):
        file.apply((), (), [(row(number, b"x" * 20_000), "later")])
    file.close()
    db = look(str(tmp_path))
    kept = db.execute("SELECT id, reason, length(body) FROM quarantine ORDER BY id").fetchall()
    db.close()
    assert kept == [(number, "later", 20_000) for number in range(31, 40)]  # a sixteenth of the cap


def test_the_cap_is_kept_by_sqlite_itself_and_space_is_used_again(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for cycle in range(5):
        number, refused = 1000 * cycle, 0
        while refused < 3:
            number += 1
            try:
                file.apply([row(number, b"x" * 50_000)], (), ())
            except Full:
                refused += 1
            assert file.disk_bytes() <= CAP
        assert file.totals["a", Signal.TRACES][1] > (CAP - reserve_of(CAP)) * 0.9
        file.apply((), range(1000 * cycle, number), ())
        assert file.totals == {}
    assert file.disk_bytes() < 200_000  # and given back when nothing is left
    file.close()


def test_what_has_arrived_is_deleted_without_being_written_again(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for number in (1, 2, 3):
        file.apply([row(number, b"x" * 600_000)], (), ())
    file.apply((), [1, 2], ())
    assert (tmp_path / f"{NAME}-wal").stat().st_size < 600_000
    file.close()


def test_a_second_process_is_refused_and_so_is_a_newer_schema(tmp_path: Path) -> None:
    file = opened(tmp_path)
    with pytest.raises(Unusable, match="in use by another process"):
        opened(tmp_path)
    file._db.execute("PRAGMA user_version=2")
    file.close()
    with pytest.raises(Unusable, match="has schema 2, this Outrider knows 1"):
        opened(tmp_path)
    assert sqlite3.connect(tmp_path / NAME).execute("PRAGMA user_version").fetchone() == (2,)


def test_a_file_that_is_no_database_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database at all" * 1000)
    file = opened(tmp_path)
    file.apply([row(1)], (), ())
    assert file.found_broken == ["corrupt"]
    file.close()
    (aside,) = tmp_path.glob("corrupt-*")
    assert (aside / NAME).read_bytes().startswith(b"no database")


@pytest.mark.parametrize("page", [0, 2, 3, 5, 9, 20])
def test_of_a_file_with_a_broken_page_every_row_that_can_be_read_is_carried_over(tmp_path: Path, page: int) -> None:
    file = opened(tmp_path)
    file.apply([row(number, b"%d" % number * 300) for number in range(1, 101)], (), ())
    file.close()
    raw = bytearray((tmp_path / NAME).read_bytes())
    raw[page * 4096 : page * 4096 + 4096] = b"\xff" * 4096
    (tmp_path / NAME).write_bytes(raw)
    file = opened(tmp_path)
    try:
        rows, _ = file.read("a", Signal.TRACES, (), 1 << 30)
    except Exception:  # noqa: BLE001 - the thread does the same
        file.rescue()
        rows, _ = file.read("a", Signal.TRACES, (), 1 << 30)
    for each in rows:
        assert each.batch.body == b"%d" % each.id * 300
    assert len(rows) >= (0 if page in (0, 2) else 60)  # the file's head, and the root of the table
    file.close()


def test_of_a_torn_log_the_whole_transactions_before_the_tear_are_there(tmp_path: Path) -> None:
    file = opened(tmp_path / "spool")
    for number in range(1, 11):
        file.apply([row(number, b"x" * 3000)], (), ())
    again = tmp_path / "again"
    again.mkdir()
    for name in (NAME, f"{NAME}-wal"):
        (again / name).write_bytes((tmp_path / "spool" / name).read_bytes())
    file.close()
    wal = again / f"{NAME}-wal"
    wal.write_bytes(wal.read_bytes()[:30_000])
    copy = opened(again)
    rows, bad = copy.read("a", Signal.TRACES, (), 1 << 30)
    assert (rows, bad) == ([row(number, b"x" * 3000) for number in range(1, len(rows) + 1)], [])
    assert 1 <= len(rows) < 10
    assert copy.found_broken == ["torn_log"]
    copy.close()


def test_a_database_that_turns_read_only_while_it_is_open_says_so_and_works_again_afterwards(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.apply([row(1)], (), ())
    file._db.execute("PRAGMA query_only=1")
    for work in (file.probe, lambda: file.apply([row(2)], (), ()), lambda: file.apply((), [1], ())):
        with pytest.raises(Unusable) as caught:
            work()
        assert caught.value.reason == "read_only"
    assert file.read("a", Signal.TRACES, (), 1 << 20) == ([row(1)], [])
    file._db.execute("PRAGMA query_only=0")
    file.probe()
    file.apply([row(2)], (), ())
    assert file.totals == {("a", Signal.TRACES): (2, 8)}
    file.close()


def test_what_a_broken_page_has_cost_is_known_where_the_index_is_whole(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.apply([row(number, b"%d" % number * 300) for number in range(1, 101)], (), ())
    file.close()
    raw = bytearray((tmp_path / NAME).read_bytes())
    raw[2 * 4096 : 3 * 4096] = b"\xff" * 4096  # the root of the table
    (tmp_path / NAME).write_bytes(raw)
    file = opened(tmp_path)
    assert (file.found_broken, file.lost, file.totals) == (["corrupt"], {"a": 100}, {})
    file.apply([row(101)], (), ())
    file.close()


def test_who_reads_and_does_not_end_holds_nothing_up_until_the_log_has_half_its_room(tmp_path: Path) -> None:
    """Then nothing can be written until they have gone, because the log may not grow over the cap."""
    file = opened(tmp_path, 8 * MIB)
    file.apply([row(1)], (), ())
    reader = look(str(tmp_path))
    found = reader.execute("SELECT id FROM batch")
    for number in (2, 3):
        file.apply([row(number, b"x" * 600_000)], (), ())
    with pytest.raises(Unusable, match="the log is full while another process reads") as raised:
        file.apply([row(4)], (), ())
    assert raised.value.reason == "locked"
    assert file.disk_bytes() < 8 * MIB
    with pytest.raises(Unusable):
        file.probe()
    found.close()
    reader.close()
    file.probe()
    file.apply([row(100)], (), ())
    assert file.totals == {("a", Signal.TRACES): (4, 1_200_008)}
    file.close()
