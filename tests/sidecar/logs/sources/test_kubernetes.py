"""The kubernetes source against a server that answers as the API server does, over TLS: every line once.

No API server runs here: the answers are those of its reference and of the kubelet's source.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.logic.schema import load
from sidecar.logs.settings import Kubernetes
from sidecar.logs.sources.kubernetes import KubernetesSource
from sidecar.model.logs import ORDINAL_BITS, StartAt
from tests.certificates import Authority
from tests.fakes import FakeClock, FakeKubelet, FakeKubernetes, RecordingIntake, source_context, until
from tests.ports import free_port
from tests.sidecar.logs.sources.support import after, running

T = 1704164645_000000000
"""2024-01-02T03:04:05Z"""
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def tls(issuer: Authority) -> ssl.SSLContext:
    return issuer.server()


class Bench:
    """A source in the Pod shop/web-0 with one container, beside an API server. Time passes only as told."""

    def __init__(self, server: FakeKubernetes, account: Path) -> None:
        self.server = server
        self.account = account
        self.app = server.containers["app"] = FakeKubelet()
        self.intake = RecordingIntake()
        self.clock = FakeClock(T / 1e9 + 3600)
        self.environ = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "HOSTNAME": "web-0",
        }

    @asynccontextmanager
    async def running(
        self, config: Kubernetes | None = None, remembered: Mapping[str, object] | None = None
    ) -> AsyncIterator[None]:
        context = source_context(self.intake, self.clock, remembered)
        self.counters = context.counters
        self.source = KubernetesSource(config or Kubernetes(), context, self.environ, self.account)
        async with running(self.source):
            yield

    async def after(self, condition: Callable[[], object]) -> None:
        await after(self.clock, condition)


@pytest.fixture
async def bench(tmp_path: Path, issuer: Authority, tls: ssl.SSLContext) -> AsyncIterator[Bench]:
    (tmp_path / "token").write_text("token-1")
    (tmp_path / "namespace").write_text("shop")
    (tmp_path / "ca.crt").write_bytes(issuer.ca.read_bytes())
    server = FakeKubernetes(tls, "/api/v1/namespaces/shop/pods/web-0/log")
    server.port = free_port()  # it is away for a while in one test, and comes back to the same
    async with server:
        yield Bench(server, tmp_path)


async def test_lines_come_with_their_times_from_the_own_pod(bench: Bench) -> None:
    bench.app.write("one", T + 1)
    bench.app.write("two", T + 1)
    async with bench.running(Kubernetes(container="app")):
        await until(lambda: len(bench.intake.lines) == 2)
        bench.app.write("three", T + 2)
        await until(lambda: len(bench.intake.lines) == 3)
        (stream,) = bench.intake.streams
        assert stream.lines == [b"one", b"two", b"three"]
        assert stream.times == [T + 1, T + 1, T + 2]
        assert stream.marks == [T + 1 << ORDINAL_BITS, (T + 1 << ORDINAL_BITS) + 1, T + 2 << ORDINAL_BITS]
        assert stream.attributes == {
            "k8s.namespace.name": "shop",
            "k8s.pod.name": "web-0",
            "k8s.container.name": "app",
        }
        assert bench.counters.streams == 1
    first, then = bench.server.requests
    assert first == {"timestamps": "true", "container": "app", "previous": "true"}
    assert then == {"timestamps": "true", "container": "app", "follow": "true"}


@pytest.mark.parametrize("how", ["in order", "by a reset"])
async def test_an_answer_that_ends_is_asked_for_again_and_no_line_comes_twice(bench: Bench, how: str) -> None:
    bench.app.write("one", T + SECOND)
    async with bench.running():
        for number in range(5):
            await bench.after(lambda number=number: len(bench.intake.lines) == number + 1)  # type: ignore[misc]
            if how == "in order":
                bench.server.end()
            else:
                bench.server.break_off()
            bench.app.write(f"and {number}", T + SECOND + number)
        await bench.after(lambda: len(bench.intake.lines) == 6)
    assert bench.intake.lines == [b"one", *(b"and %d" % number for number in range(5))]
    assert bench.server.requests[-1]["sinceTime"] == "2024-01-02T03:04:05Z", "a second before the last line"


async def test_a_container_s_last_words_are_read_after_its_restart(bench: Bench) -> None:
    """It dies while nobody is connected: the words are in the log of the container before."""
    bench.app.write("one", T)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 1)
        bench.server.break_off()
        bench.app.write("panic: out of luck", T + 1)
        bench.app.restart()
        bench.app.write("starting", T + 2)
        await bench.after(lambda: len(bench.intake.lines) == 3)
        bench.app.write("goes on", T + 3)
        await bench.after(lambda: len(bench.intake.lines) == 4)
    assert bench.intake.lines == [b"one", b"panic: out of luck", b"starting", b"goes on"]


async def test_a_container_that_has_not_begun_is_waited_for(bench: Bench) -> None:
    bench.app.waiting = "ContainerCreating"
    with capture_logs() as said:
        async with bench.running():
            await bench.after(lambda: bench.counters.errors.get("waiting", 0) == 2)
            bench.app.waiting = ""
            bench.app.write("hello", T)
            await bench.after(lambda: bench.intake.lines == [b"hello"])
    assert [(each["log_level"], each["why"]) for each in said] == [
        ("info", 'container "app" in pod "web-0" is waiting to start: ContainerCreating')
    ]


async def test_a_container_that_is_silent_is_asked_again_without_a_word(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the kubelet that has lost the thread."""
    monkeypatch.setattr("sidecar.logs.sources.kubernetes.SILENCE", 0.1)
    with capture_logs() as said:
        async with bench.running():
            await bench.after(lambda: len(bench.server.requests) >= 4)
            bench.app.write("one", T)
            await bench.after(lambda: bench.intake.lines == [b"one"])
            await bench.after(lambda: len(bench.server.requests) >= 8)
            bench.app.write("two", T + 1)
            await bench.after(lambda: bench.intake.lines == [b"one", b"two"])
    assert said == []
    assert bench.counters.errors == {}


async def test_a_token_that_rotates_is_read_again(bench: Bench) -> None:
    bench.app.write("one", T)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 1)
        bench.server.token = "token-2"
        bench.server.end()
        await bench.after(lambda: bench.counters.errors.get("unauthorized"))
        (bench.account / "token.new").write_text("token-2\n")
        (bench.account / "token.new").replace(bench.account / "token")
        bench.app.write("two", T + 1)
        await bench.after(lambda: bench.intake.lines == [b"one", b"two"])


async def test_a_missing_role_is_named(bench: Bench) -> None:
    bench.server.allowed = False
    with capture_logs() as said:
        async with bench.running():
            await bench.after(lambda: bench.counters.errors.get("forbidden", 0) == 3)
            bench.server.allowed = True
            bench.app.write("at last", T)
            await bench.after(lambda: bench.intake.lines == [b"at last"])
            bench.server.end()
            await bench.after(lambda: len(said) == 2)
    assert said[0]["why"] == (
        'pods "web-0" is forbidden: User "u" cannot get resource "pods/log" in API group "": '
        'the service account needs a Role with {apiGroups: [""], resources: [pods/log], verbs: [get]}'
    )
    assert said[1]["event"] == "the container's log is read"


async def test_several_containers_ask_for_a_name(bench: Bench) -> None:
    bench.server.containers["outrider"] = FakeKubelet()
    with capture_logs() as said:
        async with bench.running():
            await until(lambda: said)
    assert said[0]["why"] == "a container name must be specified for pod web-0, choose one of: [app outrider]"


async def test_after_a_restart_it_goes_on_behind_what_is_settled(bench: Bench) -> None:
    for number in range(6):
        bench.app.write(f"{number}", T + SECOND * (number // 3))
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 6)
        bench.intake.streams[0].settle(4)
        remembered = bench.source.checkpoint()
        assert bench.counters.lag_seconds == pytest.approx(3599, abs=2)
    bench.intake = RecordingIntake()
    async with bench.running(remembered=remembered):
        await until(lambda: bench.intake.lines == [b"4", b"5"])
        assert bench.source.checkpoint() != remembered
        assert bench.counters.lag_seconds == 0


async def test_start_at_end_leaves_out_what_was_written_before_the_first_start(bench: Bench) -> None:
    now = int(bench.clock.now()) * SECOND
    bench.app.write("old", now - SECOND)
    async with bench.running(Kubernetes(start_at=StartAt.END)):
        await until(lambda: bench.server.following)
        bench.app.write("new", now + SECOND)
        await until(lambda: bench.intake.lines == [b"new"])


async def test_the_kubelet_s_own_words_are_no_lines(bench: Bench) -> None:
    bench.server.raw = b"failed to create fsnotify watcher: too many open files\n"
    bench.app.write("one", T)
    with capture_logs() as said:
        async with bench.running():
            await until(lambda: bench.intake.lines == [b"one"])
            bench.server.end()
            await until(lambda: said)
    assert said[0]["why"] == "failed to create fsnotify watcher: too many open files"


async def test_lines_longer_than_the_cap_are_cut_and_counted(bench: Bench) -> None:
    bench.app.write("x" * 300_000, T)
    bench.app.write("next", T + 1)
    async with bench.running(Kubernetes(max_line=1000)):
        await until(lambda: len(bench.intake.lines) == 2)
        assert [len(line) for line in bench.intake.lines] == [1000, 4]
        assert (bench.counters.cut_lines, bench.counters.cut_bytes) == (1, 299_000)


async def test_a_server_of_another_authority_is_not_spoken_to(bench: Bench, tmp_path: Path) -> None:
    (bench.account / "ca.crt").write_bytes(Authority(tmp_path / "other").ca.read_bytes())
    with capture_logs() as said:
        async with bench.running():
            await until(lambda: said)
    assert said[0]["why"].startswith(f"certificate of 127.0.0.1:{bench.server.port} not accepted")
    assert bench.server.requests == []


async def test_outside_of_a_pod_it_says_so(bench: Bench) -> None:
    bench.environ.clear()
    with capture_logs() as said:
        async with bench.running(Kubernetes(pod="web-0")):
            await until(lambda: said)
    assert said[0]["why"] == "KUBERNETES_SERVICE_HOST is not set: the sidecar does not run in a Pod"


async def test_without_a_token_the_missing_file_is_named(bench: Bench) -> None:
    (bench.account / "token").unlink()
    with capture_logs() as said:
        async with bench.running():
            await until(lambda: said)
    assert str(bench.account / "token") in said[0]["why"]


async def test_an_api_server_that_is_away_is_waited_for(bench: Bench) -> None:
    bench.app.write("one", T)
    async with bench.running():
        await until(lambda: len(bench.intake.lines) == 1)
        await bench.server.__aexit__()
        bench.app.write("two", T + 1)
        await bench.after(lambda: bench.counters.errors.get("broken", 0) >= 3)
        await bench.server.__aenter__()
        await bench.after(lambda: bench.intake.lines == [b"one", b"two"])


def test_settings_that_cannot_work_are_named() -> None:
    _, problems = load(Kubernetes, {"container": "App", "pod": "a b", "namespace": "../x"}, {}, "file")
    assert [problem.path for problem in problems] == ["container", "pod", "namespace"]
    _, problems = load(Kubernetes, {"container": "app", "pod": "web-0.1", "namespace": "shop"}, {}, "file")
    assert problems == []
