"""`outrider run -- COMMAND`, as it is run: nothing of the sidecar's reaches the command, and the command's end is ours."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.io.proc import Proc
from tests.e2e.processes import ROOT, eventually, outrider
from tests.fakes import HttpServer
from tests.ports import free_port
from tests.real import require

PYTHON = sys.executable
NOT_READY = b"the sidecar is not ready yet"
SETTINGS = dict.fromkeys(("OUTRIDER_API_LISTEN", "OUTRIDER_OTLP_GRPC", "OUTRIDER_OTLP_HTTP"), "127.0.0.1:0")


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOSTNAME": "h", "PYTHONPATH": str(ROOT), **SETTINGS, **more}


def run(*command: str, options: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Again, where the machine was so busy that the command did not wait for its sidecar."""
    more = {"env": environment(), "capture_output": True, **more}
    for _ in range(10):
        done = subprocess.run(outrider("run", *options, "--", *command), timeout=50, **more)
        if NOT_READY not in (done.stderr or b""):
            break
    return done


@contextmanager
def launched(*command: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    more = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    with subprocess.Popen(outrider("run", "--", *command), **more) as launcher:
        try:
            yield launcher
        finally:
            if launcher.poll() is None:
                launcher.kill()


def sidecar_of(launcher: int) -> int:
    """The process id of the sidecar that it has started; 0 while there is none."""
    for pid in Proc().children(launcher):
        if "--launched" in Proc().cmdline(pid):
            return pid
    return 0


def test_output_is_passed_on_byte_for_byte() -> None:
    program = (
        "import os, random; r = random.Random(1)\n"
        "for n in range(80): os.write(1, r.randbytes(131072)); os.write(2, r.randbytes(1000))\n"
        "os.write(1, b'no newline')"
    )
    straight = subprocess.run([PYTHON, "-c", program], capture_output=True)
    passed = run(PYTHON, "-c", program, env=environment(OUTRIDER_LOG_LEVEL="error"))
    assert (passed.returncode, len(passed.stdout)) == (0, 80 * 131072 + 10)
    told = rb"outrider: \d+ lines of output did not reach the sidecar\n$"  # where it was too slow for so much
    for ours, theirs in ((passed.stdout, straight.stdout), (re.sub(told, b"", passed.stderr), straight.stderr)):
        assert hashlib.md5(ours).digest() == hashlib.md5(theirs).digest()


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -KILL $$", -9), ("kill -TERM $$", -15)])
def test_the_exit_is_that_of_the_command(script: str, code: int) -> None:
    assert run("sh", "-c", script).returncode == code


def test_what_cannot_be_run_ends_as_in_a_shell(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no program")
    for command, code, why in (
        ("no-such-program", 127, b"outrider: no-such-program: command not found\n"),
        (str(tmp_path / "data"), 126, b"data: Permission denied\n"),
    ):
        done = run(command)
        assert done.returncode == code
        assert why in done.stderr
        assert b"outrider runs" not in done.stderr, "nothing but why"
    nothing = run()
    assert (nothing.returncode, nothing.stderr) == (64, b"outrider: no command after --\n")


def test_a_script_that_does_not_say_what_runs_it_is_run_by_the_shell(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo $0 $1; exit 4")
    script.chmod(0o755)
    done = run("script", "one", env=environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode, done.stdout.decode()) == (4, f"{script} one\n")


def test_a_bad_configuration_or_option_is_told_before_the_command_starts() -> None:
    bad = run("echo", "started", env=environment(OUTRIDER_DRAIN="soon"))
    assert (bad.returncode, bad.stdout) == (78, b"")
    assert b'environment OUTRIDER_DRAIN: drain: "soon" is not a duration' in bad.stderr
    assert run("echo", "started", options=("--nonsense",)).returncode == 64
    idle = run("echo", "started", options=("--on-bad-config", "idle"), env=environment(OUTRIDER_DRAIN="soon"))
    assert (idle.returncode, idle.stdout) == (0, b"started\n")


def test_the_command_gets_stdin_its_environment_and_no_descriptor_of_ours() -> None:
    # C: where Python adds a variable to its own environment.
    environ = environment(LC_ALL="C", ODD="a\nb")
    script = "cat; env -0; ls /proc/self/fd | tr '\\n' ' '"
    done = run("sh", "-c", script, input=b"typed\0", env=environ)
    typed, *pairs, descriptors = done.stdout.split(b"\0")
    assert typed == b"typed"
    seen = dict(pair.decode().split("=", 1) for pair in pairs)
    assert {name: value for name, value in seen.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")} == environ
    assert descriptors.split() == [b"0", b"1", b"2", b"3"], "3 is the directory itself"


def test_commands_that_start_at_the_same_moment_are_each_told_a_port_of_their_own() -> None:
    heard = told(3)
    assert len(set(heard)) == 3
    assert b"\n" not in heard


def test_a_port_that_was_asked_for_and_is_taken_is_waited_for() -> None:
    address = ("127.0.0.1", free_port())
    with socket.create_server(address):
        assert told(1, OUTRIDER_OTLP_HTTP=f"127.0.0.1:{address[1]}", OUTRIDER_OTLP_GRPC="off") == [b"\n"]


def told(number: int, **more: str) -> list[bytes]:
    """What so many commands that run at once are told; no port is asked for but by `more`. Again, as in `run`."""
    environ = {name: value for name, value in environment().items() if name not in SETTINGS}
    environ |= {"OUTRIDER_COLLECTOR_URL": f"http://127.0.0.1:{free_port()}", "OUTRIDER_DRAIN": "100ms", **more}
    script = "echo $OTEL_EXPORTER_OTLP_ENDPOINT; exec cat"
    for _ in range(10):
        with ExitStack() as ends:
            running = [
                ends.enter_context(launched("sh", "-c", script, env=environ, stdin=subprocess.PIPE))
                for _ in range(number)
            ]
            heard = [launcher.stdout.readline() for launcher in running if launcher.stdout is not None]
            said = [launcher.communicate(timeout=50)[1] for launcher in running]
        if not any(NOT_READY in text for text in said):
            break
    return heard


def test_a_signal_to_the_launcher_is_one_to_the_command() -> None:
    names = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM", "SIGRTMIN", "SIGTERM"]
    program = (
        "import signal, sys\n"
        f"names = {names}\n"
        "numbers = {getattr(signal, name) for name in names}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, numbers)\n"
        "print('ready', flush=True)\n"
        "for _ in names: print(signal.sigwait(numbers).name, flush=True)\n"
        "sys.exit(7 if not signal.sigpending() else 8)\n"
    )
    with launched(PYTHON, "-c", program, stderr=subprocess.DEVNULL) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"ready\n"
        for name in names:
            launcher.send_signal(getattr(signal, name))
            assert launcher.stdout.readline().decode().strip() == name
        assert launcher.wait(20) == 7


def test_a_sidecar_that_is_killed_or_stopped_costs_the_command_nothing(tmp_path: Path) -> None:
    """kill -9 and SIGSTOP: the output goes on; one that was killed is started again, which is said once."""
    errors = tmp_path / "stderr"
    program = "import sys\nfor line in sys.stdin: print(line * 20000, end='', flush=True)"
    with (
        errors.open("wb") as log,
        launched(PYTHON, "-c", program, stdin=subprocess.PIPE, stderr=log) as launcher,
    ):
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        eventually(lambda: b"outrider runs" in errors.read_bytes(), 20)
        (command,) = (pid for pid in Proc().children(launcher.pid) if pid != sidecar_of(launcher.pid))

        def echo(word: bytes) -> None:
            assert launcher.stdin is not None
            assert launcher.stdout is not None
            launcher.stdin.write(word + b"\n")
            launcher.stdin.flush()
            assert launcher.stdout.read(20000 * (len(word) + 1)) == (word + b"\n") * 20000

        first = sidecar_of(launcher.pid)
        os.kill(first, signal.SIGSTOP)
        for _ in range(30):  # more than socket and backlog hold
            echo(b"stopped")
        os.kill(first, signal.SIGKILL)
        echo(b"killed")
        eventually(lambda: sidecar_of(launcher.pid) not in (0, first), 20)
        eventually(lambda: errors.read_bytes().count(b"outrider runs") == 2, 20)
        echo(b"anew")
        assert Proc().stat(command).parent == launcher.pid
        launcher.stdin.close()
        assert launcher.wait(20) == 0
    killed, lost = [line for line in errors.read_text().splitlines() if line.startswith("outrider:")]
    assert killed == "outrider: the sidecar has ended by SIGKILL; the command runs on, and it is started again"
    assert re.fullmatch(r"outrider: \d+ lines of output did not reach the sidecar", lost)


def test_a_reader_that_goes_ends_the_command_as_it_would_without_us() -> None:
    with launched("yes", stderr=subprocess.DEVNULL) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.read(4) == b"y\ny\n"
        launcher.stdout.close()
        assert launcher.wait(20) == -signal.SIGPIPE


def test_a_grandchild_that_keeps_the_output_open_is_not_waited_for() -> None:
    done = run("sh", "-c", "sleep 100 & echo $!")
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.returncode == 0


def test_what_the_launcher_inherits_goes_to_the_command_and_not_to_the_sidecar() -> None:
    """A lock or a socket that is passed on is not kept open by us."""
    reader, writer = os.pipe()
    with launched("sleep", "100", pass_fds=(writer,), stderr=subprocess.DEVNULL) as launcher:
        os.close(writer)
        eventually(lambda: len(Proc().children(launcher.pid)) == 2, 20)
        sidecar = sidecar_of(launcher.pid)
        (command,) = (pid for pid in Proc().children(launcher.pid) if pid != sidecar)
        pipe = os.readlink(f"/proc/self/fd/{reader}")
        assert pipe in descriptors(command)
        assert pipe not in descriptors(sidecar)
        launcher.terminate()
        assert launcher.wait(20) == -signal.SIGTERM
    assert os.read(reader, 1) == b""
    os.close(reader)


def descriptors(pid: int) -> list[str]:
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def test_the_sidecar_ends_with_its_launcher() -> None:
    with launched("sleep", "100") as launcher:
        eventually(lambda: len(Proc().children(launcher.pid)) == 2, 20)
        sidecar = sidecar_of(launcher.pid)
        (command,) = (pid for pid in Proc().children(launcher.pid) if pid != sidecar)
        os.kill(sidecar, signal.SIGTERM)  # as systemd does, which asks all; it stays for the command's last words
        launcher.kill()
        launcher.wait()
        eventually(lambda: not os.path.exists(f"/proc/{sidecar}") or Proc().stat(sidecar).state == "zombie", 20)
        os.kill(command, signal.SIGKILL)


def test_as_process_1_it_reaps_what_others_leave_and_exits_as_shells_do() -> None:
    """Whoever is left behind ends after the shell that has started it, and is gone in the end."""
    script = (
        "for n in 1 2 3; do sh -c 'sleep 0 & exit' ; done; "
        "for n in $(seq 200); do "
        "sleep 0.2; left=$(cat /proc/[0-9]*/stat | grep -c ' Z '); [ $left = 0 ] && break; "
        "done; echo $left; kill -TERM $$"
    )
    command = [require("unshare"), "--pid", "--fork", "--mount-proc"]
    if os.getuid():
        command[1:1] = ["--user", "--map-root-user"]
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("no PID namespaces here")
    done = subprocess.run(
        [*command, *outrider("run", "--", "sh", "-c", script)], env=environment(), capture_output=True, timeout=50
    )
    assert done.stdout == b"0\n"
    assert done.returncode == 128 + signal.SIGTERM


async def test_what_the_command_sends_goes_through_us_from_its_start() -> None:
    """The upstream is who the environment names; the command is told of us, and of no credentials."""
    program = (
        "import json, os, urllib.request as u\n"
        "url = os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] + '/v1/traces'\n"
        "request = u.Request(url, b'', {'Content-Type': 'application/x-protobuf'})\n"
        "print(json.dumps([u.urlopen(request).status, {k: v for k, v in os.environ.items() if 'OTEL' in k}]))\n"
    )
    async with HttpServer({"/v1/traces": 200, "/v1/metrics": 200, "/v1/logs": 200}) as upstream:
        environ = environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=upstream.url,
            OTEL_EXPORTER_OTLP_HEADERS="api-key=secret",
            OUTRIDER_SERVICE_NAME="shop",
        )
        process = await _asynchronously(PYTHON, "-c", program, environ=environ)
        assert process[0] == 0, process[2]
        status, seen = json.loads(process[1])
        assert status == 200
        endpoint = seen.pop("OTEL_EXPORTER_OTLP_ENDPOINT")
        assert endpoint.startswith("http://127.0.0.1:")
        assert endpoint != upstream.url
        assert seen == {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "shop"}
        assert {headers["api-key"] for _, _, headers in upstream.requests} == {"secret"}


async def _asynchronously(*command: str, environ: dict[str, str]) -> tuple[int | None, bytes, bytes]:
    import asyncio

    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *outrider("run", "--", *command), env=environ, stdout=pipe, stderr=pipe
    )
    out, errors = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode, out, errors


def test_at_a_terminal_ctrl_c_arrives_once_and_a_person_is_told_what_was_found() -> None:
    program = (
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "print('ready', flush=True)\n"
        "signal.sigwait({signal.SIGINT})\n"
        "print('again' if signal.sigtimedwait({signal.SIGINT}, 0.5) else 'once', flush=True)\n"
    )
    terminal, theirs = pty.openpty()
    launcher = subprocess.Popen(
        [require("setsid"), "--ctty", *outrider("run", "--", PYTHON, "-c", program)],
        env=environment(OUTRIDER_METRICS_INTERVAL="20s"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    typed = False
    while True:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # the terminal's last user has gone
            break
        if not typed and b"ready" in seen and b"/status" in seen:
            typed = True
            os.write(terminal, b"\x03")
    os.close(terminal)
    assert launcher.wait(20) == 0
    lines = seen.decode().replace("\r", "").replace("^C", "").splitlines()
    assert "once" in lines
    start = next(number for number, line in enumerate(lines) if line.startswith("outrider "))
    port = lines[start + 7].rpartition(":")[2].removesuffix("/status")
    told = [line for line in lines[start : start + 8] if "pid" not in line]
    assert told == [
        f"outrider 0.1.0 beside {Path(PYTHON).name}",
        "  health   not checked: give --target http://127.0.0.1:PORT, or probes in a file",
        "  metrics  of the process and its children, every 20s",
        "  logs     stdout and stderr of the command",
        "  otlp     closed: no upstream",
        "  sent to  nowhere: set OUTRIDER_COLLECTOR_URL or OTEL_EXPORTER_OTLP_ENDPOINT",
        f"  status   127.0.0.1:{port}/status",
    ], lines


def test_a_command_that_listens_without_a_check_is_named_with_its_port(tmp_path: Path) -> None:
    errors, port = tmp_path / "stderr", free_port()
    command = [PYTHON, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with errors.open("wb") as log, launched("sh", "-c", '"$@"; true', "sh", *command, stderr=log) as launcher:
        eventually(lambda: f"give --target http://127.0.0.1:{port} to have" in errors.read_text(), 20)
        for pid in Proc().tree(launcher.pid)[1:]:
            if "http.server" in Proc().cmdline(pid) and Proc().stat(pid).parent != launcher.pid:
                os.kill(pid, signal.SIGTERM)
        assert launcher.wait(20) == 0


def test_what_was_ignored_stays_ignored_for_the_command() -> None:
    """As under nohup."""
    done = subprocess.run(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *outrider("run", "--", "sh", "-c", "kill -HUP $$; echo lives")],
        env=environment(),
        capture_output=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (0, b"lives\n")


def test_the_launcher_is_small() -> None:
    program = "import sys, sidecar.launcher.command; print(*sys.modules)"
    modules = subprocess.run([PYTHON, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)
    heavy = {
        "asyncio",
        "uvloop",
        "msgspec",
        "structlog",
        "yaml",
        "psutil",
        "ssl",
        "re",
        "json",
        "argparse",
        "subprocess",
    }
    assert not heavy & set(modules.stdout.split())
