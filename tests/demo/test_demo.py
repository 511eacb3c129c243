"""`outrider demo` as a whole: real processes, as a user starts and stops them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from demo import files
from demo.plan import bound, plan
from sidecar.config import load

COMMAND = [sys.executable, "-m", "sidecar", "demo", "--free-ports"]


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()  # no news for one that has ended; its children die with it


def told(demo: subprocess.Popen[str], ending: str) -> str:
    """What it prints, up to a line with `ending` in it."""
    assert demo.stdout is not None
    said: list[str] = []
    for line in demo.stdout:
        said.append(line)
        if ending in line:
            return "".join(said)
    pytest.fail(f"it ended with code {demo.wait()} and said:\n{''.join(said)}")


async def answer(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def until(url: str, wanted: Callable[[Any], bool], within: float) -> Any:
    """The first answer that is as wanted."""
    deadline = time.monotonic() + within
    while not wanted(last := await answer(url)):
        assert time.monotonic() < deadline, last
        await asyncio.sleep(0.2)
    return last


def statuses(fleet: Any) -> dict[str, str]:
    return {service["service"]: service["status"] for service in fleet["services"]}


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.timeout(400)
async def test_the_demo_runs_tells_which_service_is_down_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running("--dir", str(tmp_path)) as demo:
        said = told(demo, "Ctrl-C")
        children = psutil.Process(demo.pid).children(recursive=True)
        collector = found(r"collector +(\S+)", said)
        fleet = f"{collector}/v1/services"

        up = {"fastjson-api": "pass", "cache-server": "pass"}
        now = await until(fleet, lambda told: statuses(told) == up, 40)
        assert {s["service"]: s["instances"]["pass"] for s in now["services"]} == {
            "fastjson-api": 2,
            "cache-server": 1,
        }

        killed = time.time()
        os.kill(int(found(r"kill -9 (\d+)", said)), signal.SIGKILL)
        down = {"fastjson-api": "warn", "cache-server": "fail"}
        now = await until(fleet, lambda told: statuses(told) == down, 30)
        for service in now["services"]:
            assert unix(service["since"]) >= int(killed)
        why = {service["service"]: service["reasons"][0] for service in now["services"]}
        assert re.match("fastjson-api-[12]: cache: connection refused", why["fastjson-api"])
        assert re.match("cache-server-1: (live|ready): connection refused", why["cache-server"])
        changes = told(demo, "cache-server-1  ✖ pass → fail")
        assert re.search(r"cache-server-1 \(pid \d+\) was killed by SIGKILL", changes)

        # The API served on; what it could not ask is in its traces.
        traces = await until(f"{collector}/v1/traces?error=true", lambda told: bool(told["traces"]), 30)
        assert {trace["service"] for trace in traces["traces"]} == {"fastjson-api"}
        api = found(r"fastjson-api-1 +(\S+)", said)
        assert (await answer(f"{api}/items/1"))["id"] == 1

        demo.send_signal(signal.SIGINT)
        assert demo.stdout is not None
        rest = demo.stdout.read()
        assert demo.wait() == 0, rest
    assert ") exited with" not in changes + rest
    assert rest.endswith("stopping...\nstopped\n")
    assert [child for child in children if child.is_running()] == []
    for port in re.findall(r":(\d+)", said):
        assert bound(int(port)) == int(port)


@pytest.mark.timeout(60)
def test_sigterm_in_the_middle_of_a_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with running("--dir", str(tmp_path)) as demo:
        told(demo, "starting")
        while not (children := psutil.Process(demo.pid).children(recursive=True)):
            time.sleep(0.01)
        demo.terminate()
        assert demo.wait() == 0
    assert [child for child in children if child.is_running()] == []


@pytest.mark.timeout(60)
def test_sigterm_as_soon_as_there_is_a_directory_leaves_nothing_behind(tmp_path: Path) -> None:
    script = """
import os, signal, sys, tempfile
from demo import run
make = tempfile.mkdtemp
def made(**options):
    directory = make(**options)
    os.kill(os.getpid(), signal.SIGTERM)
    return directory
tempfile.mkdtemp = made
sys.exit(run.main(["--free-ports"]))
"""
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)})
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.timeout(300)
def test_a_given_duration_begins_when_all_has_started(tmp_path: Path) -> None:
    with running("--dir", str(tmp_path), "--duration", "0.1") as demo:
        assert demo.stdout is not None
        said = demo.stdout.read()
        assert demo.wait() == 0
    assert "Ctrl-C stops everything that was started here." in said
    assert said.endswith("stopping...\nstopped\n")


def test_a_child_that_cannot_start_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "shop.db").mkdir()
    with running("--dir", str(tmp_path)) as demo:
        assert demo.stdout is not None
        said = demo.stdout.read()
        assert demo.wait() == 1
    assert re.search(r"outrider demo: fastjson-api-\d \(pid \d+\) exited with code 1; its log ends:", said)
    assert "unable to open database file" in said
    assert f"logs: {tmp_path}/logs" in said


def test_without_the_extra_the_command_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['opentelemetry.sdk'] = None; from demo.run import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("; install the extra: pip install 'outrider[demo]'\n")
    assert done.stderr.count("\n") == 1


def test_the_configuration_written_is_one_that_a_sidecar_accepts(tmp_path: Path) -> None:
    the_plan = plan(lambda wanted: wanted)
    files.write(the_plan, tmp_path)
    for instance in the_plan.instances:
        loaded = load({}, {}, str(files.sidecar_config_file(tmp_path, instance)))
        assert loaded.config.service.instance == instance.name
