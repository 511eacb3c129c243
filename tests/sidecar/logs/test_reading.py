"""All sources together: a restart goes on where everything was settled."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from sidecar.io.clock import SystemClock
from sidecar.io.resolver import Resolver
from sidecar.logic.log_watch import LogWatch
from sidecar.logic.multiline import Mode
from sidecar.logic.otlp_http import OK, Reply
from sidecar.logic.redaction import Rules
from sidecar.logic.redaction_config import Config
from sidecar.logs.config import Entry
from sidecar.logs.reading import Logs
from sidecar.model.health import Result, State
from sidecar.model.logs import StartAt
from sidecar.model.signals import Batch
from sidecar.probes.log import Config as LogCheck
from sidecar.probes.log import LogProbe
from tests.fakes import until
from tests.sidecar.probes.support import context


class Hurried(SystemClock):
    """Real time, but nobody sleeps longer than a hundredth of a second."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


class Upstream:
    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def take(self, batch: Batch) -> asyncio.Future[Reply]:
        self.batches.append(batch)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        answer.set_result(OK)
        return answer

    @property
    def bodies(self) -> list[str]:
        requests = [ExportLogsServiceRequest.FromString(batch.body) for batch in self.batches]
        scopes = [scope for request in requests for logs in request.resource_logs for scope in logs.scope_logs]
        return [record.body.string_value for scope in scopes for record in scope.log_records]


def logs_of(upstream: Upstream, directory: Path | None, *entries: Entry, watches: Sequence[LogWatch] = ()) -> Logs:
    return Logs(
        entries,
        Rules(Config()),
        upstream.take,
        {"service.name": "x"},
        str(directory) if directory else None,
        Hurried(),
        random.Random(1),
        Resolver(),
        structlog.get_logger(),
        watches,
    )


def following(*patterns: str, start_at: StartAt = StartAt.BEGINNING) -> Entry:
    return Entry(file=patterns, start_at=start_at, multiline=Mode.NONE)


@asynccontextmanager
async def reading(logs: Logs) -> AsyncIterator[Logs]:
    running = asyncio.create_task(logs.run())
    try:
        yield logs
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await logs.finish(5)


async def read_out(upstream: Upstream, tmp_path: Path, entry: Entry, done: Callable[[], object]) -> None:
    async with reading(logs_of(upstream, tmp_path / "spool", entry)):
        await until(done)


async def test_a_source_whose_patterns_have_changed_goes_on_where_its_files_were(tmp_path: Path) -> None:
    log, upstream = tmp_path / "a.log", Upstream()
    log.write_text("one\n")
    await read_out(upstream, tmp_path, following(f"{tmp_path}/a.log"), lambda: upstream.bodies == ["one"])
    log.rename(tmp_path / "a.log.1")
    with (tmp_path / "a.log.1").open("a") as file:
        file.write("two\n")
    log.write_text("three\n")
    (tmp_path / "b.log").write_text("four\n")
    more = following(f"{tmp_path}/a.log", f"{tmp_path}/b.log", start_at=StartAt.END)
    await read_out(upstream, tmp_path, more, lambda: len(upstream.bodies) >= 4)
    assert sorted(upstream.bodies) == ["four", "one", "three", "two"]


async def test_files_of_a_source_that_has_gone_are_not_read_by_one_that_does_not_mean_them(tmp_path: Path) -> None:
    upstream = Upstream()
    (tmp_path / "a.log").write_text("a\n")
    await read_out(upstream, tmp_path, following(f"{tmp_path}/a.log"), lambda: upstream.bodies == ["a"])
    with (tmp_path / "a.log").open("a") as file:
        file.write("more\n")
    (tmp_path / "b.log").write_text("b\n")
    await read_out(upstream, tmp_path, following(f"{tmp_path}/b.log"), lambda: len(upstream.bodies) > 1)
    assert upstream.bodies == ["a", "b"]
    (source,) = json.loads((tmp_path / "spool" / "logs.json").read_text())["sources"].values()
    assert [file["path"] for file in source["files"]] == [f"{tmp_path}/b.log"]


async def test_what_outrider_itself_writes_beside_its_spool_is_not_read(tmp_path: Path) -> None:
    upstream, spool = Upstream(), tmp_path / "[spool]"
    spool.mkdir()
    for name in ("logs.new", "spool.db", "spool.db-wal"):
        (spool / name).write_text("ours\n")
    (spool / "app.log").write_text("theirs\n")
    async with reading(logs_of(upstream, spool, following(f"{tmp_path}/**"))):
        await until(lambda: upstream.bodies == ["theirs"])
        await until((spool / "logs.json").exists)
        await asyncio.sleep(0.1)
    assert upstream.bodies == ["theirs"]


async def test_what_is_delivered_when_it_ends_at_once_is_remembered(tmp_path: Path) -> None:
    upstream = Upstream()
    (tmp_path / "a.log").write_text('{"msg":"a"}\n')
    logs = logs_of(upstream, tmp_path / "spool", following(f"{tmp_path}/a.log"))
    running = asyncio.create_task(logs.run())
    await until(lambda: logs.delivery.is_idle and upstream.bodies)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await logs.close()
    (source,) = json.loads((tmp_path / "spool" / "logs.json").read_text())["sources"].values()
    assert source["files"][0]["mark"] == 12


async def seen(probe: LogProbe, done: Callable[[Result], bool]) -> Result:
    async with asyncio.timeout(20):
        while not done(result := await probe.check()):
            await asyncio.sleep(0.002)
    return result


async def test_a_check_of_a_log_that_cannot_be_read_is_unknown_with_the_reason_until_lines_come(tmp_path: Path) -> None:
    watches: list[LogWatch] = []
    probe = LogProbe(LogCheck(source="app"), context(watches=watches))
    refused, other, elsewhere = tmp_path / "a.log", tmp_path / "b.log", tmp_path / "d.log"
    refused.mkdir()
    elsewhere.mkdir()
    why = f"{refused}: a directory, not a regular file"
    app = Entry(name="app", file=(str(refused), str(other)), multiline=Mode.NONE)
    (tmp_path / "c.log").write_text("panic: of another source\n")
    upstream = Upstream()
    another = following(f"{tmp_path}/c.log", str(elsewhere))
    async with reading(logs_of(upstream, None, app, another, watches=watches)):
        result = await seen(probe, lambda result: "nothing that is configured" not in result.output)
        assert (result.raw, result.output) == (State.UNKNOWN, why)
        other.write_text("2020-01-01T00:00:00Z FATAL disk gone\nhello\n")
        result = await seen(probe, lambda result: result.raw is not State.UNKNOWN)
    assert result.raw is State.PASS
    assert result.output == f"1 record, 0 errors within 1m; 1 older record left out; not all is read: {why}"


async def test_a_check_is_told_where_no_logs_are_configured() -> None:
    watches: list[LogWatch] = []
    probe = LogProbe(LogCheck(silence=1.0), context(watches=watches))
    assert "a single look" in (await probe.check()).output
    async with reading(logs_of(Upstream(), None, watches=watches)):
        result = await probe.check()
    assert (result.raw, result.output[:18]) == (State.UNKNOWN, "no logs are read: ")
