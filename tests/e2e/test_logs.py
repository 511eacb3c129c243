"""A real sidecar that follows a service's log file: without a configuration file, through SIGTERM, kill -9 and no upstream."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.processes import get, outrider, running
from tests.e2e.spooling import eventually
from tests.fakes import RecordingUpstream
from tests.ports import free_port

LINE = re.compile(r'"event": "outrider runs".*"api": "[^"]*:(\d+)"')


class Following:
    """A sidecar that runs; `log` is what it follows."""

    def __init__(self, tmp_path: Path, process: Any) -> None:
        self.log = tmp_path / "logs" / "app.log"
        self.process = process
        self._own = tmp_path / "sidecar.log"

    def write(self, *lines: str) -> None:
        with self.log.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{LINE.findall(self._own.read_text())[-1]}"

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(f"{self.api}/status").text)
        return found

    def source(self) -> dict[str, Any]:
        (found,) = self.status()["logs"]["sources"]
        return dict(found)


@asynccontextmanager
async def following(tmp_path: Path, environ: Mapping[str, str], *more: str) -> AsyncIterator[Following]:
    own = tmp_path / "sidecar.log"
    (tmp_path / "logs").mkdir(exist_ok=True)
    own.touch()
    starts = len(LINE.findall(own.read_text()))
    settings = {
        "OUTRIDER_API_LISTEN": "127.0.0.1:0",
        "OUTRIDER_OTLP_HTTP": "off",
        "OUTRIDER_OTLP_GRPC": "off",
        "OUTRIDER_DRAIN": "5s",
        **environ,
    }
    with running(outrider("run", "--logs", f"{tmp_path}/logs/*.log", *more), own, settings) as process:
        await eventually(lambda: len(LINE.findall(own.read_text())) > starts)
        yield Following(tmp_path, process)


def bodies(upstream: RecordingUpstream) -> list[str]:
    return [record.body.string_value for _, record in upstream.records]


def exporting(upstream: RecordingUpstream, tmp_path: Path) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url,
        "OTEL_SERVICE_NAME": "shop",
        "OUTRIDER_SPOOL_PATH": str(tmp_path / "spool"),
    }


def remembered(tmp_path: Path) -> int:
    """Up to which byte the file is settled, as it will be known after a restart; less than nothing where it is not."""
    file = tmp_path / "spool" / "logs.json"
    sources = json.loads(file.read_text())["sources"] if file.exists() else {}
    return max((at["mark"] for source in sources.values() for at in source["files"]), default=-1)


async def test_one_flag_makes_a_files_lines_records_of_the_service(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, following(tmp_path, exporting(upstream, tmp_path)) as target:
        target.write('{"level":"error","msg":"it broke","order":42}', "plain words")
        await eventually(lambda: len(upstream.records) == 2)
        (resource, record), (_, plain) = upstream.records
        assert resource["service.name"] == "shop"
        assert (record.body.string_value, record.severity_text) == ("it broke", "error")
        attributes = {pair.key: pair.value for pair in record.attributes}
        assert attributes["order"].int_value == 42
        assert attributes["log.file.path"].string_value == str(target.log)
        assert plain.body.string_value == "plain words"
        await eventually(lambda: target.source()["lag_bytes"] == 0)
        shown = await asyncio.to_thread(target.source)
        assert (shown["kind"], shown["lines"], shown["records"]) == ("file", 2, {"unspecified": 1, "error": 1})
        metrics = await asyncio.to_thread(get, f"{target.api}/metrics")
        name = f'source="{tmp_path}/logs/*.log"'
        assert f"outrider_logs_lines_total{{{name}}} 2.0" in metrics.text
        assert f'outrider_logs_records_total{{severity="error",{name}}} 1.0' in metrics.text


async def test_the_last_words_before_sigterm_arrive(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        async with following(tmp_path, exporting(upstream, tmp_path)) as target:
            target.write("hello")
            await eventually(lambda: upstream.records)
            target.write("last words")
            target.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(target.process.wait, 20) == 0
        assert bodies(upstream) == ["hello", "last words"]


async def test_after_kill_9_nothing_is_lost_and_what_was_settled_long_before_does_not_come_again(
    tmp_path: Path,
) -> None:
    async with RecordingUpstream() as upstream:
        environ = exporting(upstream, tmp_path)
        async with following(tmp_path, environ) as target:
            target.write("one")
            await eventually(lambda: bodies(upstream) == ["one"])
            await eventually(lambda: remembered(tmp_path) == 4)
            target.process.kill()
        target.write("two")
        target.log.rename(tmp_path / "logs" / "rotated.1")
        target.write("three")
        async with following(tmp_path, environ):
            await eventually(lambda: len(upstream.records) >= 3)
        assert sorted(bodies(upstream)) == ["one", "three", "two"]


async def test_without_an_upstream_lines_are_read_for_checks_alone(tmp_path: Path) -> None:
    config = tmp_path / "outrider.yaml"
    config.write_text("probes: {panic: {kind: log, period: 200ms, failure_threshold: 1}}\n")
    async with following(tmp_path, {}, "--config", str(config)) as target:
        target.write("all is well")
        await eventually(lambda: target.status()["checks"][0]["state"] == "pass")
        target.write("panic: it is not", "", "goroutine 1 [running]:", "main.main()", "\t/app/main.go:3 +0x1")
        await eventually(lambda: target.status()["checks"][0]["state"] == "fail")
        status = await asyncio.to_thread(target.status)
        assert status["checks"][0]["output"] == "1 fatal within 1m, the last: panic: it is not"
        assert status["logs"]["checkpoints"] is None
        health = await asyncio.to_thread(get, f"{target.api}/health")
        assert health.status == 503


async def test_an_upstream_that_is_down_makes_checks_unknown_and_nothing_is_the_services_failure(
    tmp_path: Path,
) -> None:
    config = tmp_path / "outrider.yaml"
    check = "kind: log, period: 100ms, failure_threshold: 1"
    config.write_text(f"probes: {{alive: {{{check}, silence: 2s}}, panics: {{{check}}}}}\n")
    upstream = RecordingUpstream()
    upstream.port = free_port()
    async with following(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url}, "--config", str(config)) as target:

        def checks(key: str) -> dict[str, str]:
            target.write("all is well")
            return {check["name"]: check[key] for check in target.status()["checks"]}

        await eventually(lambda: checks("state") == {"alive": "pass", "panics": "pass"})
        await eventually(lambda: set(checks("state").values()) == {"unknown"})
        assert {output[:16] for output in checks("output").values()} == {"reading pauses: "}
        metrics = await asyncio.to_thread(get, f"{target.api}/metrics")
        assert re.search('outrider_check_runs_total{check="alive",.*result="pass"} [1-9]', metrics.text)
        assert not re.search('outrider_check_runs_total{.*result="fail"} [1-9]', metrics.text)
        target.write("panic: it is not")
        async with upstream:
            await eventually(lambda: checks("state") == {"alive": "pass", "panics": "fail"})
