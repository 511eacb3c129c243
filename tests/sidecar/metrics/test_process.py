from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar.io.proc import ENDED, Proc
from sidecar.logic.schema import load
from sidecar.metrics.process import Config, ProcessMetrics
from sidecar.model.process import ProcessSample

# Listens on a port of 127.0.0.1 (0: a free one), says which, and has a child that shares the socket and ends with it.
SERVER = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
there, here = os.pipe()
settled, settle = os.pipe()
child = os.fork()
if child == 0:
    os.close(here)
    os.write(settle, b".")
    os.read(there, 1)
    os._exit(0)
os.read(settled, 1)  # the child opens and closes nothing more
print(sock.getsockname()[1], child, flush=True)
sys.stdin.read()
"""


class Service:
    """A process with a port and a child."""

    def __init__(self, port: int = 0, name: str | None = None, executable: str = sys.executable) -> None:
        arguments = ["-c", SERVER, str(port), "--password", "hunter2"]
        self.process = subprocess.Popen(
            [name or sys.executable, *arguments],
            executable=executable,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port, self.child = map(int, self.process.stdout.readline().split())
        self.pid = self.process.pid

    def kill(self) -> None:
        """Also the child, which ends when its standard input does."""
        self.process.kill()
        self.process.communicate()
        until(lambda: ended(self.child))


def ended(pid: int) -> bool:
    """Gone, or waiting for init to notice."""
    try:
        return Proc().stat(pid).state in ENDED
    except ProcessLookupError:
        return True


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "waited 20 s"
        time.sleep(0.005)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.kill()


def values(sample: ProcessSample) -> dict[str, dict[str, float]]:
    return {m.name: {"".join(value for _, value in p.attributes): p.value for p in m.points} for m in sample.metrics}


def test_the_owner_of_the_targets_port_is_found_with_its_tree(service: Service) -> None:
    sample = ProcessMetrics(None, f"http://127.0.0.1:{service.port}/readyz").sample(time.time())
    assert (sample.found, sample.pid, sample.pids) == (True, service.pid, 2)
    assert sample.why == f"listens on port {service.port}"
    assert (sample.restarts, sample.missing) == (0, ())
    assert 0 < time.time() - sample.started < 60
    assert sample.cmdline.endswith("0 --password ***")
    assert "hunter2" not in sample.cmdline


@pytest.mark.parametrize("by", ["pid", "name", "cmdline", "port"])
def test_a_process_is_found_by_what_the_configuration_says(by: str) -> None:
    service = Service(name="outrider-test-service")
    try:
        config = {
            "pid": Config(pid=service.pid),
            "name": Config(name="outrider-test-service"),
            "cmdline": Config(cmdline=re.compile("^outrider-test-service -c")),
            "port": Config(port=service.port),
        }[by]
        sample = ProcessMetrics(config, None).sample(time.time())
        assert (sample.pid, sample.pids) == (service.pid, 2)
    finally:
        service.kill()


def test_metrics_have_the_names_units_and_kinds_of_the_semantic_conventions(service: Service) -> None:
    metrics = ProcessMetrics(Config(pid=service.pid), None)
    now = time.time()
    metrics.sample(now)
    sample = metrics.sample(now + 10)
    shapes = [(m.name, m.kind, m.unit, [p.attributes for p in m.points]) for m in sample.metrics]
    assert sorted(shapes) == [
        ("process.context_switches", "counter", "{context_switch}",
         [(("process.context_switch.type", "voluntary"),), (("process.context_switch.type", "involuntary"),)]),
        ("process.cpu.time", "counter", "s", [(("cpu.mode", "user"),), (("cpu.mode", "system"),)]),
        ("process.cpu.utilization", "gauge", "1", [(("cpu.mode", "user"),), (("cpu.mode", "system"),)]),
        ("process.disk.io", "counter", "By", [(("disk.io.direction", "read"),), (("disk.io.direction", "write"),)]),
        ("process.memory.usage", "updowncounter", "By", [()]),
        ("process.memory.virtual", "updowncounter", "By", [()]),
        ("process.paging.faults", "counter", "{fault}",
         [(("system.paging.fault.type", "minor"),), (("system.paging.fault.type", "major"),)]),
        ("process.thread.count", "updowncounter", "{thread}", [()]),
        ("process.unix.file_descriptor.count", "updowncounter", "{file_descriptor}", [()]),
        ("process.uptime", "gauge", "s", [()]),
    ]  # fmt: skip
    assert {m.start for m in sample.metrics if m.kind == "counter"} == {sample.started}
    seen = values(sample)
    assert seen["process.thread.count"] == {"": 2}
    assert seen["process.memory.usage"][""] > 5e6
    assert seen["process.unix.file_descriptor.count"][""] == len(os.listdir(f"/proc/{service.pid}/fd")) + len(
        os.listdir(f"/proc/{service.child}/fd")
    )
    assert seen["process.uptime"][""] == pytest.approx(now + 10 - sample.started)


def test_utilization_is_a_share_of_the_processors_since_the_last_measurement() -> None:
    burn = "import time\ninput()\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    code = f"{burn}\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as busy:
        metrics = ProcessMetrics(Config(pid=busy.pid), None)
        first = values(metrics.sample(1000.0))
        assert "process.cpu.utilization" not in first
        assert busy.stdin is not None
        assert busy.stdout is not None
        busy.stdin.write(b"\n")
        busy.stdin.flush()
        busy.stdout.readline()
        metrics.sample(1000.5)  # too soon to tell
        sample = values(metrics.sample(1010.0))
        spent = sum(sample["process.cpu.time"].values()) - sum(first["process.cpu.time"].values())
        assert spent > 0.1
        share = spent / 10 / len(os.sched_getaffinity(busy.pid))
        assert sum(sample["process.cpu.utilization"].values()) == pytest.approx(share)
        busy.kill()


def test_a_process_that_waits_sleeps_and_one_that_is_stopped_is_stopped(service: Service) -> None:
    metrics = ProcessMetrics(Config(pid=service.pid), None)
    until(lambda: metrics.sample(time.time()).state == "sleeping")
    os.kill(service.pid, signal.SIGSTOP)
    until(lambda: metrics.sample(time.time()).state == "stopped")
    os.kill(service.pid, signal.SIGCONT)
    until(lambda: metrics.sample(time.time()).state == "sleeping")


def test_counters_do_not_fall_when_a_member_of_the_tree_ends(service: Service) -> None:
    metrics = ProcessMetrics(Config(pid=service.pid), None)
    before = metrics.sample(time.time())
    os.kill(service.child, signal.SIGKILL)
    until(lambda: metrics.sample(time.time()).pids == 1)  # a zombie, as nobody waits for it
    after = metrics.sample(time.time())
    assert after.restarts == 0
    for name in ("process.cpu.time", "process.paging.faults", "process.context_switches", "process.disk.io"):
        for attribute, value in values(before)[name].items():
            assert values(after)[name][attribute] >= value, (name, attribute)
    assert values(after)["process.thread.count"] == {"": 1}


def test_a_restart_is_counted_once_and_begins_new_counters(service: Service) -> None:
    metrics = ProcessMetrics(None, f"http://localhost:{service.port}")
    first = metrics.sample(time.time())
    service.kill()
    gone = metrics.sample(time.time())
    assert (gone.found, gone.restarts, gone.metrics) == (False, 0, ())
    assert gone.why == f"no process listens on port {service.port}"
    again = Service(service.port)
    try:
        second, third = metrics.sample(time.time()), metrics.sample(time.time())
        assert (second.pid, second.restarts, third.restarts) == (again.pid, 1, 1)
        assert second.started > first.started
        assert {m.start for m in second.metrics if m.kind == "counter"} == {second.started}
    finally:
        again.kill()


def test_a_zombie_is_shown_as_one_until_another_process_takes_its_place(service: Service) -> None:
    metrics = ProcessMetrics(None, f"http://127.0.0.1:{service.port}")
    metrics.sample(time.time())
    os.kill(service.pid, signal.SIGKILL)
    until(lambda: metrics.sample(time.time()).state == "zombie")
    assert metrics.sample(time.time()).metrics == ()
    until(lambda: ended(service.child))
    again = Service(service.port)
    try:
        sample = metrics.sample(time.time())
        assert (sample.pid, sample.restarts) == (again.pid, 1)
    finally:
        again.kill()


def test_of_several_that_listen_the_topmost_is_taken(service: Service) -> None:
    child = ProcessMetrics(Config(pid=service.child), None).sample(time.time())
    assert (child.pid, child.pids) == (service.child, 1)
    assert ProcessMetrics(Config(port=service.port), None).sample(time.time()).pid == service.pid


@pytest.mark.parametrize(
    ("config", "url", "why", "missing"),
    [
        (Config(pid=4194305), None, "no process 4194305", []),
        (Config(name="no-such-program"), None, 'no process with name "no-such-program"', []),
        (None, "http://127.0.0.1:1", "no process listens on port 1", []),
        (
            None,
            "http://cache:6379",
            "cache of target.url is not a loopback address, so its process is not looked for",
            ["set target.process to pid, name, cmdline or port"],
        ),
        (
            None,
            None,
            "neither target.process nor target.url is configured",
            ["set target.process to pid, name, cmdline or port"],
        ),
    ],
)
@pytest.mark.usefixtures("service")  # A sidecar that sees nobody but its own ancestors would say so.
def test_what_is_not_found_says_why(config: Config | None, url: str | None, why: str, missing: list[str]) -> None:
    sample = ProcessMetrics(config, url).sample(time.time())
    assert (sample.found, sample.why) == (False, why)
    assert [m.remedy for m in sample.missing] == missing


def test_our_own_ancestors_are_no_neighbours() -> None:
    """The shell that starts a sidecar has the sidecar's arguments among its own."""
    look = (
        "import re, time\n"
        "from sidecar.metrics.process import Config, ProcessMetrics\n"
        "print(ProcessMetrics(Config(cmdline=re.compile('outrider-test-.arent')), None).sample(time.time()).why)"
    )
    shell = 'true outrider-test-parent; "$0" -c "$1"; true'
    done = subprocess.run(["sh", "-c", shell, sys.executable, look], capture_output=True, text=True, check=True)
    assert done.stdout == 'no process with command line "outrider-test-.arent"\n'


def test_a_zombie_of_the_same_name_is_not_taken_for_the_service(tmp_path: Path) -> None:
    program = tmp_path / "outrider-zombie"
    program.symlink_to(os.path.realpath(sys.executable))
    first = Service(executable=str(program))
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: ended(first.pid) and ended(first.child))
    second = Service(executable=str(program))
    try:
        assert ProcessMetrics(Config(name="outrider-zombie"), None).sample(time.time()).pid == second.pid
    finally:
        first.kill()
        second.kill()


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        ({}, []),
        ({"pid": 1, "port": 80}, ["file: pid and port together, expected one of pid, name, cmdline and port"]),
        ({"pid": 0}, ["file: pid: 0 is not a process id, expected 1 or more"]),
        ({"port": 65536}, ["file: port: 65536 is not a port, expected 1 to 65535"]),
    ],
)
def test_bad_settings_are_explained(config: dict[str, int], problems: list[str]) -> None:
    assert list(map(str, load(Config, config, {}, "file")[1])) == problems


class Exhausted(Proc):
    """No file can be opened while `number` is set."""

    number = 0

    def _read(self, path: str) -> bytes:
        if self.number:
            raise OSError(self.number, os.strerror(self.number), path)
        return super()._read(path)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EMFILE, "the sidecar has no file descriptors left"),
        (errno.ENFILE, "this machine has no file descriptors left"),
        (errno.EIO, "/proc cannot be read: [Errno 5] Input/output error: '{pid}/stat'"),
    ],
)
def test_while_we_cannot_look_the_process_is_as_it_was_and_that_is_said(number: int, reason: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        proc = Exhausted()
        metrics = ProcessMetrics(Config(pid=sleeper.pid), None, proc)
        seen = metrics.sample(time.time())
        proc.number = number
        blind = metrics.sample(time.time())
        assert (blind.found, blind.pid, blind.restarts, blind.metrics) == (True, sleeper.pid, 0, ())
        assert [(m.field, m.reason) for m in blind.missing] == [("process", reason.format(pid=sleeper.pid))]
        assert seen.metrics
        proc.number = 0
        again = metrics.sample(time.time())
        assert (again.found, again.missing, bool(again.metrics)) == (True, (), True)
        sleeper.kill()


def test_who_could_never_look_does_not_say_that_the_process_is_gone() -> None:
    proc = Exhausted()
    proc.number = errno.EMFILE
    sample = ProcessMetrics(Config(pid=1), None, proc).sample(time.time())
    assert (sample.found, sample.unseen is not None) == (False, True)


def test_a_name_cannot_steer_a_terminal() -> None:
    program = "open('/proc/self/comm', 'w').write('a\\x1b[2Jb'); print(flush=True); input()"
    command = [sys.executable, "-c", program, "\x1b[31m"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as odd:
        assert odd.stdout is not None
        odd.stdout.readline()
        sample = ProcessMetrics(Config(pid=odd.pid), None).sample(time.time())
        odd.kill()
    assert sample.name == "a\\x1b[2Jb"
    assert sample.cmdline.isprintable()
