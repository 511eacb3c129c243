"""Where reading goes on is on the disk, whole, whatever happens to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import structlog

from sidecar.io.checkpoints import Checkpoints

SAVED = {"app": {"files": [{"path": "/var/log/app.log", "mark": 7}]}, "sidecar": {}}


class Heard:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.log = structlog.wrap_logger(None, processors=[self._hear])

    def _hear(self, _: object, level: str, event: Any) -> Any:
        self.events.append(level)
        raise structlog.DropEvent


async def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    heard = Heard()
    checkpoints = Checkpoints(str(tmp_path / "spool"), heard.log)
    assert checkpoints.load() == {}
    assert await checkpoints.save(SAVED)
    assert Checkpoints(str(tmp_path / "spool"), heard.log).load() == SAVED
    assert os.listdir(tmp_path / "spool") == ["logs.json"]
    assert json.loads((tmp_path / "spool/logs.json").read_bytes())["version"] == 1
    assert heard.events == []


async def test_nothing_is_written_where_nothing_has_changed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), Heard().log)
    await checkpoints.save(SAVED)
    (tmp_path / "logs.json").unlink()
    assert await checkpoints.save(SAVED)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"version":1,"sources":{"app":{"fi',
        b"\0" * 100,
        b'{"version":2,"sources":{}}',
        b'{"version":1,"sources":[]}',
        b"\xff\xfe",
    ],
    ids=["empty", "torn", "nul", "newer", "other", "not-text"],
)
async def test_what_cannot_be_read_is_put_aside_and_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "logs.json").write_bytes(content)
    heard = Heard()
    checkpoints = Checkpoints(str(tmp_path), heard.log)
    assert checkpoints.load() == {}
    assert (tmp_path / "logs.unreadable").read_bytes() == content
    assert (checkpoints.errors, heard.events) == ({"unreadable": 1}, ["error"])
    assert await checkpoints.save(SAVED)
    assert Checkpoints(str(tmp_path), heard.log).load() == SAVED


async def test_a_full_disk_keeps_the_old_one_and_is_said_once(tmp_path: Path) -> None:
    heard = Heard()
    checkpoints = Checkpoints(str(tmp_path), heard.log)
    await checkpoints.save(SAVED)
    (tmp_path / "logs.new").symlink_to("/dev/full")
    for number in range(3):
        assert not await checkpoints.save({"app": {"number": number}})
        (tmp_path / "logs.new").symlink_to("/dev/full")
    assert Checkpoints(str(tmp_path), heard.log).load() == SAVED
    assert (checkpoints.errors, heard.events) == ({"unwritable": 3}, ["error"])
    (tmp_path / "logs.new").unlink()
    assert await checkpoints.save({"app": {"number": 3}})
    assert Checkpoints(str(tmp_path), heard.log).load() == {"app": {"number": 3}}
    assert heard.events == ["error", "info"]


async def test_of_two_in_one_place_the_first_writes_until_it_ends(tmp_path: Path) -> None:
    """And the second says so, and writes from then on."""
    heard = Heard()
    first, second = Checkpoints(str(tmp_path), Heard().log), Checkpoints(str(tmp_path), heard.log)
    assert await first.save(SAVED)
    for number in range(2):
        assert not await second.save({"other": {"number": number}})
    assert await first.save({**SAVED, "more": {}})
    assert Checkpoints(str(tmp_path), heard.log).load() == {**SAVED, "more": {}}
    assert (second.errors, heard.events) == ({"unwritable": 2}, ["error"])
    await first.close()
    assert await second.save({"other": {}})
    assert heard.events == ["error", "info"]
    await second.close()
