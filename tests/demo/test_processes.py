"""No child outlives the demo, however either of them behaves."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from demo.commands import Command
from demo.processes import Child, Children

READY = "print('ready', flush=True); signal.pause()"
OBEDIENT = Command((sys.executable, "-c", f"import signal; {READY}"))
STUBBORN = Command((sys.executable, "-c", f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"))


async def ready(child: Child) -> Child:
    while "ready" not in child.last_words():
        await asyncio.sleep(0.01)
    return child


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    children = Children(tmp_path, os.environ)
    good = await ready(await children.start("good", "service", OBEDIENT))
    bad = await ready(await children.start("bad", "service", STUBBORN))
    await children.stop(grace=1.0)
    assert good.obituary() == f"good (pid {good.pid}) was killed by SIGTERM"
    assert bad.obituary() == f"bad (pid {bad.pid}) was killed by SIGKILL"


async def test_traffic_stops_first_and_the_collector_last(tmp_path: Path) -> None:
    order = tmp_path / "order"
    children = Children(tmp_path, os.environ)
    for kind in ("collector", "sidecar", "service", "traffic"):
        last = f"lambda *_: (open({str(order)!r}, 'a').write('{kind} '), exit())"
        script = f"import signal; signal.signal(signal.SIGTERM, {last}); {READY}"
        await ready(await children.start(kind, kind, Command((sys.executable, "-c", script))))
    await children.stop()
    assert order.read_text() == "traffic service sidecar collector "
    assert children.all[0].obituary() == f"collector (pid {children.all[0].pid}) exited with code 0"


async def test_a_child_has_its_own_group_so_that_ctrl_c_reaches_the_demo_alone(tmp_path: Path) -> None:
    children = Children(tmp_path, os.environ)
    child = await children.start("child", "service", OBEDIENT)
    assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    await children.stop()


def test_a_demo_killed_by_sigkill_takes_its_children_along(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, pathlib
from demo.processes import Children
from tests.demo.test_processes import STUBBORN, ready
async def main():
    children = Children(pathlib.Path({str(tmp_path)!r}), os.environ)
    child = await ready(await children.start("child", "service", STUBBORN))
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        pid = int(demo.stdout.readline())
        watch = os.pidfd_open(pid)
        demo.send_signal(signal.SIGKILL)
    try:
        assert select.select([watch], [], [], 20)[0], "the child is still there"
    finally:
        os.close(watch)


async def test_a_log_that_grew_too_long_starts_afresh_under_its_writer(tmp_path: Path) -> None:
    children = Children(tmp_path, os.environ)
    child = await ready(await children.start("child", "service", OBEDIENT))
    with child.log.open("ab") as file:
        file.truncate(17 << 20)
    child.trim_log()
    assert child.log.stat().st_size == 0
    await children.stop()
