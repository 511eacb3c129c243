from __future__ import annotations

import pytest

from sidecar.model.health import State
from sidecar.model.process import Missing, ProcessSample
from sidecar.probes.process import Config, ProcessProbe

from .support import context


def found(state: str, pids: int = 1) -> ProcessSample:
    return ProcessSample(found=True, why="pid 12", pid=12, name="nginx", state=state, pids=pids)


@pytest.mark.parametrize(
    ("sample", "raw", "output"),
    [
        (found("sleeping"), State.PASS, "nginx (pid 12): sleeping"),
        (found("disk-sleep", 3), State.PASS, "nginx (pid 12) and 2 below it: disk-sleep"),
        (found("stopped"), State.FAIL, "nginx (pid 12) is stopped (SIGSTOP or SIGTSTP)"),
        (found("tracing-stop"), State.FAIL, "nginx (pid 12) is stopped by a debugger"),
        (found("zombie"), State.FAIL, "nginx (pid 12) is a zombie: it has ended and its parent has not asked why"),
        (found("dead"), State.FAIL, "nginx (pid 12) is dead"),
        (
            ProcessSample(found=False, why="no process listens on port 80"),
            State.FAIL,
            "no process listens on port 80",
        ),
        (
            ProcessSample(
                found=False,
                why="cannot tell",
                missing=(Missing("process", "cannot tell: permission denied", "run the sidecar as uid 33"),),
            ),
            State.UNKNOWN,
            "cannot tell: permission denied; run the sidecar as uid 33",
        ),
        (
            ProcessSample(
                found=True,
                why="pid 12",
                pid=12,
                name="nginx",
                state="stopped",
                missing=(Missing("process", "the sidecar has no file descriptors left", "raise RLIMIT_NOFILE"),),
            ),
            State.UNKNOWN,
            "the sidecar has no file descriptors left; raise RLIMIT_NOFILE",
        ),
    ],
)
async def test_a_process_is_up_when_it_is_there_and_can_run(sample: ProcessSample, raw: State, output: str) -> None:
    result = await ProcessProbe(Config(), context(process=sample)).check()
    assert (result.raw, result.output) == (raw, output)
