"""The docker source against an engine's API on a Unix socket: every line once, whatever the engine or the container does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from struct import pack

import pytest
from structlog.testing import capture_logs

from sidecar.logic.schema import load
from sidecar.logs.settings import Docker
from sidecar.logs.sources.docker import DockerSource
from sidecar.model.logs import ORDINAL_BITS, StartAt
from tests.fakes import FakeClock, FakeContainer, FakeDocker, RecordingIntake, settle, source_context, until
from tests.sidecar.logs.sources.support import after, running

T = 1704164645_000000000
"""2024-01-02T03:04:05Z"""
SECOND = 1_000_000_000


class Bench:
    """A source beside a fake engine. Time passes only as told."""

    def __init__(self, engine: FakeDocker) -> None:
        self.engine = engine
        self.intake = RecordingIntake()
        self.clock = FakeClock(T / 1e9 + 3600)
        self.source: DockerSource

    @asynccontextmanager
    async def running(
        self, config: Docker | None = None, remembered: Mapping[str, object] | None = None
    ) -> AsyncIterator[None]:
        context = source_context(self.intake, self.clock, remembered)
        self.counters = context.counters
        self.source = DockerSource(config or Docker(container="web", socket=str(self.engine.socket)), context, {})
        async with running(self.source):
            yield

    async def after(self, condition: Callable[[], object]) -> None:
        await after(self.clock, condition)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with FakeDocker(tmp_path / "engine.sock") as engine:
        engine.containers.append(FakeContainer("web"))
        yield Bench(engine)


def web(bench: Bench) -> FakeContainer:
    return bench.engine.containers[0]


async def test_both_outputs_are_a_stream_each_with_times_and_names(bench: Bench) -> None:
    web(bench).write("one\n", T + 1)
    web(bench).write("oops\n", T + 2, "stderr")
    web(bench).write("two\n", T + 2)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 3)
        web(bench).write("three\n", T + 3)
        await until(lambda: len(bench.intake.lines) == 4)
        out, err = bench.intake.streams
        assert (out.lines, out.iostreams) == ([b"one", b"two", b"three"], {"stdout"})
        assert (err.lines, err.iostreams) == ([b"oops"], {"stderr"})
        assert out.times == [T + 1, T + 2, T + 3]
        assert out.marks == [time << ORDINAL_BITS for time in out.times]
        assert out.uid != err.uid
        assert out.attributes == {
            "container.id": f"{1:064x}",
            "container.name": "web",
            "container.image.name": "shop/web",
        }
        assert bench.counters.streams == 1


async def test_lines_of_the_same_nanosecond_have_marks_of_their_own(bench: Bench) -> None:
    for text in ("a\n", "b\n", "c\n"):
        web(bench).write(text, T)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 3)
    first = T << ORDINAL_BITS
    assert bench.intake.streams[0].marks == [first, first + 1, first + 2]


async def test_a_message_in_pieces_is_one_line_that_bears_the_first_piece_s_time(bench: Bench) -> None:
    web(bench).write("a" * 16384, T + 1)
    web(bench).write("short\n", T + 2, "stderr")
    web(bench).write("b" * 16384, T + 3)
    web(bench).write("c\n", T + 4)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 2)
    out, err = bench.intake.streams
    assert out.lines == [b"a" * 16384 + b"b" * 16384 + b"c"]
    assert (out.times, out.marks) == ([T + 1], [T + 4 << ORDINAL_BITS])
    assert err.lines == [b"short"]


async def test_lines_longer_than_the_cap_are_cut_and_counted(bench: Bench) -> None:
    web(bench).write("x" * 300_000 + "\n", T)
    web(bench).write("y" * 1000, T + 1)
    web(bench).write("y" * 1000, T + 2)
    web(bench).write("y\n", T + 3)
    web(bench).write("next\n", T + 4)
    async with bench.running(Docker(container="web", socket=str(bench.engine.socket), max_line=1000)):
        await until(lambda: len(bench.intake.lines) == 3)
        assert [len(line) for line in bench.intake.lines] == [1000, 1000, 4]
        assert bench.counters.cut_lines == 2
        assert bench.counters.cut_bytes == pytest.approx(300_000, rel=0.01)


async def test_a_terminal_s_output_is_one_stream_without_frames(bench: Bench) -> None:
    web(bench).tty = True
    web(bench).write("one\r\n", T + 1)
    web(bench).write("two\r\n", T + 2)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 2)
    (out,) = bench.intake.streams
    assert (out.lines, out.times) == ([b"one", b"two"], [T + 1, T + 2])


async def test_a_connection_that_breaks_is_made_again_and_no_line_comes_twice(bench: Bench) -> None:
    web(bench).write("one\n", T + SECOND)
    web(bench).write("same time\n", T + SECOND)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 2)
        bench.engine.break_off()
        web(bench).write("two\n", T + SECOND)
        web(bench).write("oops\n", T + SECOND + 1, "stderr")
        await bench.after(lambda: len(bench.intake.lines) == 4)
    out, err = bench.intake.streams
    assert out.lines == [b"one", b"same time", b"two"]
    assert err.lines == [b"oops"]
    since = [int(query["since"]) for query in bench.engine.log_requests]
    assert since == [0, T // SECOND], "from a second before the last line"
    assert bench.counters.errors == {"broken": 1}


async def test_a_line_whose_clock_had_stepped_back_is_not_lost(bench: Bench) -> None:
    web(bench).write("one\n", T + SECOND)
    web(bench).write("earlier\n", T + SECOND - 1)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 2)
        bench.engine.break_off()
        web(bench).write("earlier still\n", T + SECOND - 2)
        await bench.after(lambda: len(bench.intake.lines) == 3)
    assert bench.intake.lines == [b"one", b"earlier", b"earlier still"]


async def test_a_container_that_is_restarted_goes_on_in_the_same_streams(bench: Bench) -> None:
    web(bench).write("one\n", T + 1)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 1)
        web(bench).write("last words\n", T + 2)
        web(bench).stop()
        await bench.after(lambda: len(bench.intake.lines) == 2)
        await bench.after(lambda: bench.engine.log_requests[-1]["follow"] == "0")
        readings = len(bench.engine.log_requests)
        await bench.clock.advance(5)
        assert len(bench.engine.log_requests) == readings, "what has ended is read to its end once"
        web(bench).start("2024-01-02T04:00:00Z")
        web(bench).write("again\n", T + 3)
        await bench.after(lambda: len(bench.intake.lines) == 3)
    assert bench.intake.lines == [b"one", b"last words", b"again"]
    assert len(bench.intake.streams) == 2
    assert bench.intake.streams[0].flushed[0] == 2, "what waited for a continuation waits no longer"


async def test_a_container_made_anew_under_the_same_name_is_another_one(bench: Bench) -> None:
    web(bench).write("old\n", T + 1)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 1)
        web(bench).stop()
        bench.engine.containers[:] = [FakeContainer("web", 2)]
        web(bench).write("new\n", T + 1)
        await bench.after(lambda: len(bench.intake.lines) == 2)
        await bench.after(lambda: len(bench.source.checkpoint()["containers"]) == 1)  # type: ignore[arg-type]
    assert [stream.lines for stream in bench.intake.streams] == [[b"old"], [], [b"new"], []]
    assert len({stream.uid for stream in bench.intake.streams}) == 4


async def test_after_a_restart_it_goes_on_behind_what_is_settled_of_each_output(bench: Bench) -> None:
    for second in range(10):
        web(bench).write(f"out {second}\n", T + second * SECOND)
        web(bench).write(f"err {second}\n", T + second * SECOND, "stderr")
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 20)
        out, err = bench.intake.streams
        out.settle(8)
        err.settle(4)
        remembered = bench.source.checkpoint()
        assert bench.counters.lag_seconds == pytest.approx(3600)
    bench.intake = RecordingIntake()
    bench.engine.requests.clear()
    async with bench.running(remembered=remembered):
        await until(lambda: len(bench.intake.lines) == 8)
        assert bench.intake.streams[0].lines == [b"out 8", b"out 9"]
        assert bench.intake.streams[1].lines == [f"err {n}".encode() for n in range(4, 10)]
        again = bench.source.checkpoint()
        assert bench.counters.lag_seconds == 0
    bench.intake = RecordingIntake()
    async with bench.running(remembered=again):
        await until(lambda: len(bench.engine.log_requests) == 2)
        web(bench).write("on\n", T + 10 * SECOND)
        await until(lambda: bench.intake.lines == [b"on"])
        assert int(bench.engine.log_requests[-1]["since"]) == T // SECOND + 8


async def test_a_first_reading_after_a_restart_that_breaks_off_is_taken_up_where_it_broke(bench: Bench) -> None:
    """One output is settled far behind the other."""
    for second in range(20):
        web(bench).write(f"out {second}\n", T + 10 * second * SECOND)
        web(bench).write(f"err {second}\n", T + 10 * second * SECOND, "stderr")
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 40)
        bench.intake.streams[1].settle(0)
        remembered = bench.source.checkpoint()
    bench.intake = RecordingIntake()
    bench.engine.breaks_after = 10
    async with bench.running(remembered=remembered):
        await until(lambda: len(bench.intake.lines) == 5)
        bench.engine.breaks_after = None
        await bench.after(lambda: len(bench.intake.lines) == 20)
        out, err = bench.intake.streams
        assert (out.lines, err.lines) == ([], [f"err {second}".encode() for second in range(20)])


async def test_a_container_that_was_removed_while_nobody_read_is_forgotten(bench: Bench) -> None:
    web(bench).write("one\n", T)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 1)
        remembered = bench.source.checkpoint()
    bench.engine.containers[:] = [FakeContainer("web", 2)]
    async with bench.running(remembered=remembered):
        assert list(bench.source.checkpoint()["containers"]) == [f"{1:064x}"]  # type: ignore[call-overload]
        await until(lambda: len(bench.intake.streams) == 4)
        assert list(bench.source.checkpoint()["containers"]) == [f"{2:064x}"]  # type: ignore[call-overload]


async def test_start_at_end_leaves_out_what_was_written_before_the_first_start(bench: Bench) -> None:
    now = int(bench.clock.now()) * SECOND
    web(bench).write("old\n", now - SECOND)
    config = Docker(container="web", socket=str(bench.engine.socket), start_at=StartAt.END)
    async with bench.running(config):
        await until(lambda: bench.engine.following)
        web(bench).write("new\n", now + SECOND)
        await until(lambda: bench.intake.lines == [b"new"])
        remembered = bench.source.checkpoint()
    web(bench).write("while we were away\n", now + 2 * SECOND)
    async with bench.running(config, remembered):
        await until(lambda: bench.intake.lines == [b"new", b"while we were away"])


async def test_a_label_names_any_number_of_containers(bench: Bench) -> None:
    web(bench).labels["app"] = "shop"
    other = FakeContainer("worker", 2)
    other.labels["app"] = "shop"
    bench.engine.containers += [other, FakeContainer("database", 3)]
    for container in bench.engine.containers:
        container.write(f"{container.name}\n", T)
    async with bench.running(Docker(container="app=shop", socket=str(bench.engine.socket))):
        await until(lambda: len(bench.intake.lines) == 2)
        assert sorted(bench.intake.lines) == [b"web", b"worker"]
        assert bench.counters.streams == 2
        asked = len([path for path in bench.engine.requests if path.endswith("/json")])
        for _ in range(8):
            await bench.clock.advance(1)
            await asyncio.sleep(0.005)
        assert len([path for path in bench.engine.requests if path.endswith("/json")]) == asked
        web(bench).stop()
        web(bench).write("stopped\n", T + 1)
        await bench.after(lambda: b"stopped" in bench.intake.lines)
        web(bench).start("2024-01-02T04:00:00Z")
        web(bench).write("started\n", T + 2)
        await bench.after(lambda: b"started" in bench.intake.lines)


async def test_of_very_many_containers_some_are_read_and_that_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.logs.sources.docker.MOST", 2)
    bench.engine.containers[:] = [FakeContainer(f"web-{number}", number) for number in range(3)]
    for container in bench.engine.containers:
        container.labels["app"] = "shop"
        container.write(f"{container.name}\n", T)
    with capture_logs() as said:
        async with bench.running(Docker(container="app=shop", socket=str(bench.engine.socket))):
            await until(lambda: len(bench.intake.lines) == 2)
            await bench.clock.advance(3)
    assert [(each["event"], each["found"], each["read"]) for each in said] == [("too many containers", 3, 2)]


async def test_an_upstream_that_is_full_makes_the_source_wait_and_nothing_is_lost(bench: Bench) -> None:
    bench.intake.open.clear()
    for number in range(3000):
        web(bench).write("x" * 1000 + f"{number}\n", T + number)
    async with bench.running():
        await until(lambda: bench.engine.following)
        await settle()
        assert bench.intake.lines == []
        bench.intake.open.set()
        await until(lambda: len(bench.intake.lines) == 3000)
    assert [int(line[1000:]) for line in bench.intake.lines] == list(range(3000))


async def test_what_the_upstream_has_not_taken_is_not_settled(bench: Bench) -> None:
    """Also while the source waits for it to take the lines."""
    web(bench).write("one\n", T + 2 * SECOND)
    web(bench).write("oops\n", T + 3 * SECOND, "stderr")
    bench.intake.open.clear()
    async with bench.running():
        await until(lambda: bench.source.checkpoint() and bench.counters.lag_seconds == pytest.approx(3598))
        remembered = bench.source.checkpoint()
    bench.intake = RecordingIntake()
    async with bench.running(remembered=remembered):
        await until(lambda: sorted(bench.intake.lines) == [b"one", b"oops"])


async def test_a_missing_socket_is_said_once_with_the_remedy_and_waited_for(tmp_path: Path) -> None:
    engine = FakeDocker(tmp_path / "late.sock")
    engine.containers.append(FakeContainer("web"))
    bench = Bench(engine)
    web(bench).write("hello\n", T)
    with capture_logs() as said:
        async with bench.running():
            await bench.after(lambda: bench.counters.errors.get("missing", 0) >= 3)
            async with engine:
                await bench.after(lambda: bench.intake.lines == [b"hello"])
                await bench.after(lambda: len(said) == 2)
    assert [each["log_level"] for each in said[:2]] == ["warning", "info"]
    assert said[0]["why"] == (
        f"there is no socket {tmp_path}/late.sock: mount the engine's socket into the sidecar, "
        "and name it as `socket` where it is another"
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can show it and become another")
async def test_a_forbidden_socket_is_said_with_its_group(bench: Bench, tmp_path: Path) -> None:
    os.chmod(bench.engine.socket, 0o660)
    os.chown(bench.engine.socket, 0, 4242)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("test_", "popen-", "pytest-")):  # made by pytest for root alone
            os.chmod(folder, 0o755)
    with capture_logs() as said:
        os.seteuid(65534)
        try:
            async with bench.running():
                await until(lambda: said)
        finally:
            os.seteuid(0)
    assert said[0]["why"].endswith(
        "which is srw-rw---- of uid 0 and group 4242: run it with that group, as by `--group-add 4242`"
    )
    assert bench.counters.errors == {"forbidden": 1}


async def test_an_engine_that_cannot_read_logs_is_said_once_and_asked_again_later(bench: Bench) -> None:
    bench.engine.status = 501
    with capture_logs() as said:
        async with bench.running():
            await bench.after(lambda: bench.counters.errors.get("status_501", 0) >= 3)
            bench.engine.status = 0
            web(bench).write("at last\n", T)
            await bench.after(lambda: bench.intake.lines == [b"at last"])
            await bench.after(lambda: len(said) == 2)
    assert said[0]["why"] == "the engine answered 501: configured logging driver does not support reading"
    assert said[0]["container"] == "web"


async def test_the_engine_s_own_words_are_said_and_are_no_lines(bench: Bench) -> None:
    text = b"Error grabbing logs: unexpected EOF\n"
    bench.engine.raw = pack(">BxxxI", 3, len(text)) + text
    web(bench).write("one\n", T)
    with capture_logs() as said:
        async with bench.running():
            await until(lambda: bench.intake.lines == [b"one"])
            web(bench).stop()
            await bench.after(lambda: said)
    assert (said[0]["why"], said[0]["container"]) == ("Error grabbing logs: unexpected EOF", "web")


async def test_an_engine_that_has_lost_the_thread_is_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on answering, but no line comes any more."""
    monkeypatch.setattr("sidecar.logs.followed_container.SILENCE", 0.1)
    web(bench).write("one\n", T)
    async with bench.running():
        await bench.after(lambda: bench.intake.lines == [b"one"])
        bench.engine.deaf = True
        web(bench).write("two\n", T + 1)
        await bench.after(lambda: not bench.engine.following)
        bench.engine.deaf = False
        await bench.after(lambda: bench.intake.lines == [b"one", b"two"])
        assert bench.counters.errors == {}


async def test_an_engine_that_answers_only_with_the_first_line_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.logs.followed_container.SILENCE", 0.1)
    bench.engine.late = True
    async with bench.running():
        await bench.after(lambda: len(bench.engine.log_requests) >= 3)
        web(bench).write("one\n", T)
        await bench.after(lambda: bench.intake.lines == [b"one"])
        assert bench.counters.errors == {}


async def test_what_are_no_frames_is_survived(bench: Bench) -> None:
    bench.engine.raw = b"plain text in place of frames\n"
    async with bench.running():
        await until(lambda: bench.counters.errors == {"broken": 1})
        bench.engine.raw = b""
        web(bench).write("fine\n", T)
        await bench.after(lambda: bench.intake.lines == [b"fine"])


async def test_a_container_that_is_not_there_is_waited_for(bench: Bench) -> None:
    web(bench).name = "other"
    with capture_logs() as said:
        async with bench.running():
            await until(lambda: said)
            assert said[0]["why"] == "there is no container web"
            web(bench).name = "web"
            web(bench).write("here\n", T)
            await bench.after(lambda: bench.intake.lines == [b"here"])


async def test_what_was_remembered_by_somebody_else_is_not_used(bench: Bench) -> None:
    web(bench).write("one\n", T)
    with capture_logs() as said:
        async with bench.running(remembered={"containers": {"x": {"stdout": "nonsense"}}}):
            await until(lambda: bench.intake.lines == [b"one"])
    assert said[0]["event"] == "what was remembered is not usable"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"container": ""}, "container"),
        ({"container": "two words"}, "container"),
        ({"container": "web", "socket": "docker.sock"}, "socket"),
    ],
)
def test_settings_that_cannot_work_are_named(config: dict[str, str], key: str) -> None:
    assert [problem.path for problem in load(Docker, config, {}, "file")[1]] == [key]


def test_a_name_an_id_and_a_label_are_containers() -> None:
    for container in ("web", "shop_web.1-x", "0a1b2c3d4e5f", "com.docker.compose.service=web"):
        assert load(Docker, {"container": container}, {}, "file")[1] == []


async def test_docker_host_names_the_socket(bench: Bench) -> None:
    web(bench).write("one\n", T)
    environ = {"DOCKER_HOST": f"unix://{bench.engine.socket}"}
    source = DockerSource(Docker(container="web"), source_context(bench.intake, bench.clock), environ)
    task = asyncio.create_task(source.run())
    await until(lambda: bench.intake.lines == [b"one"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
