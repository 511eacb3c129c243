"""The table of items, made by whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from demo.fastjson_api import items

REPLICAS = 4


def test_replicas_that_start_at_the_same_moment_share_one_table(tmp_path: Path) -> None:
    barrier = Barrier(REPLICAS)

    def start(path: Path) -> int:
        barrier.wait()
        db = items.connect(str(path))
        try:
            return len(items.page(db, 0, 1000))
        finally:
            db.close()

    with ThreadPoolExecutor(REPLICAS) as replicas:
        for attempt in range(50):
            path = tmp_path / f"{attempt}.db"
            assert list(replicas.map(start, [path] * REPLICAS)) == [items.SEEDED] * REPLICAS
