"""What can be seen of a process under another uid: needs root to arrange, none to look."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from sidecar.model.process import ProcessSample
from tests.real import require

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start processes under two uids")

SERVICE, SIDECAR = 1234, 65534
CODE = """
import os, sys, time
# Imported while we still may: the tests' files may be root's alone.
import msgspec, psutil
from sidecar.metrics.process import Config, ProcessMetrics
os.setgid({uid}); os.setuid({uid})
config = msgspec.json.decode(sys.argv[1], type=Config | None)
sys.stdout.buffer.write(msgspec.json.encode(ProcessMetrics(config, sys.argv[2] or None).sample(time.time())))
"""
LISTEN = """
import os, socket, sys
os.setgid({uid}); os.setuid({uid})
sock = socket.create_server(("127.0.0.1", 0))
os.execvp(sys.argv[1], [sys.argv[1], "-c", "import sys; print(sys.argv[1], flush=True); sys.stdin.read()",
    str(sock.getsockname()[1])]) if os.set_inheritable(sock.fileno(), True) is None else None
"""


@contextmanager
def listening() -> Iterator[tuple[int, int]]:
    code = LISTEN.format(uid=SERVICE)
    started = subprocess.Popen(
        [sys.executable, "-c", code, "/usr/bin/python3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    yield started.pid, int(started.stdout.readline())
    started.kill()
    started.communicate()


@pytest.fixture
def service() -> Iterator[tuple[int, int]]:
    """Pid and port of a service under uid 1234 that has executed a program since it got that uid."""
    with listening() as made:
        yield made


def sample(config: str, url: str = "", uid: int = SIDECAR, prefix: list[str] | None = None) -> ProcessSample:
    """A sample taken by a process under `uid`."""
    command = [*(prefix or []), sys.executable, "-c", CODE.format(uid=uid), config, url]
    done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[3])
    return msgspec.json.decode(done.stdout, type=ProcessSample)


def names(seen: ProcessSample) -> set[str]:
    return {metric.name for metric in seen.metrics}


def test_another_uid_misses_only_disk_io_and_says_the_remedy(service: tuple[int, int]) -> None:
    pid, _ = service
    seen = sample(f'{{"pid": {pid}}}')
    assert list(map(str, seen.missing)) == [
        f"process.disk.io: /proc/{pid}/io: permission denied; run the sidecar as uid 1234, the uid of the process"
    ]
    assert names(seen) == {
        "process.cpu.time",
        "process.memory.usage",
        "process.memory.virtual",
        "process.thread.count",
        "process.unix.file_descriptor.count",
        "process.context_switches",
        "process.paging.faults",
        "process.uptime",
    }


def test_the_same_uid_without_privileges_misses_nothing(service: tuple[int, int]) -> None:
    pid, port = service
    seen = sample("null", f"http://127.0.0.1:{port}", uid=SERVICE)
    assert (seen.pid, seen.missing) == (pid, ())
    assert "process.disk.io" in names(seen)


def test_a_process_that_changed_its_uid_after_its_start_hides_even_from_that_uid() -> None:
    code = f"import os, sys; os.setgid({SERVICE}); os.setuid({SERVICE}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hidden:
        assert hidden.stdout is not None
        hidden.stdout.readline()
        seen = sample(f'{{"pid": {hidden.pid}}}', uid=SERVICE)
        hidden.kill()
    assert [(m.field, m.remedy) for m in seen.missing] == [
        (
            "process.disk.io",
            (
                "the process has capabilities that the sidecar has not, or changed its uid after its start: "
                "start it under its uid and without capabilities"
            ),
        )
    ]


def test_among_many_hidden_processes_the_owner_of_a_port_stays_unknown(service: tuple[int, int]) -> None:
    _, port = service
    with listening():
        seen = sample("null", f"http://127.0.0.1:{port}")
    assert not seen.found
    assert [m.field for m in seen.missing] == ["process"]
    assert seen.why.startswith(f"cannot tell which process listens on port {port}: the sockets of ")
    assert "set target.process to pid, name or cmdline" in seen.missing[0].remedy


POD = """
import os, subprocess, sys, time
service = subprocess.Popen([sys.executable, "-c", {listen!r}, "/usr/bin/python3"], stdin=subprocess.PIPE,
    stdout=subprocess.PIPE, text=True, start_new_session=True)
port = service.stdout.readline().strip()
sys.stdout.write(str(service.pid) + " "); sys.stdout.flush()
subprocess.run([sys.executable, "-c", {look!r}, "null", "http://127.0.0.1:" + port], check=True)
service.kill()
service.wait()
"""


def test_in_a_pod_the_only_other_tree_is_taken() -> None:
    """A PID namespace of its own, as containers of a pod share one."""
    unshare = require("unshare")
    command = [unshare, "--pid", "--fork", "--mount-proc", sys.executable, "-c"]
    code = POD.format(listen=LISTEN.format(uid=SERVICE), look=CODE.format(uid=SIDECAR))
    done = subprocess.run([*command, code], capture_output=True, check=False, cwd=Path(__file__).parents[3])
    if b"unshare" in done.stderr and b"not permitted" in done.stderr:
        pytest.skip("this container may not make PID namespaces")
    assert done.returncode == 0, done.stderr
    pid, _, body = done.stdout.partition(b" ")
    seen = msgspec.json.decode(body, type=ProcessSample)
    assert (seen.found, seen.pid) == (True, int(pid))
    assert (
        seen.why == f"the only other process tree, as the sockets of pid {int(pid)} cannot be read: permission denied"
    )
    assert time.time() - seen.started < 60


def test_alone_in_a_pid_namespace_nothing_can_be_said_about_the_neighbour() -> None:
    unshare = require("unshare")
    command = [unshare, "--pid", "--fork", "--mount-proc"]
    try:
        seen = sample('{"name": "nginx"}', prefix=command)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this container may not make PID namespaces: {error.stderr!r}")
    assert [m.field for m in seen.missing] == ["process"]
    assert seen.missing[0].remedy.startswith("share the PID namespace")
