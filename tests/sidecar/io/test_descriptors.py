from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.io.descriptors import Connections, connections


@pytest.mark.parametrize(
    ("limit", "otlp", "api"),
    [(1 << 20, 786384, 256), (1024, 720, 240), (256, 144, 48), (64, 24, 8), (32, 12, 4), (2, 1, 1)],
)
def test_connections_leave_descriptors_for_ourselves(limit: int, otlp: int, api: int) -> None:
    assert connections(limit) == Connections(limit, otlp, api)


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    program = (
        "import resource as r; from sidecar.io.descriptors import raise_limit; "
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 100)); print(raise_limit(), *r.getrlimit(r.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert done.stdout == "100 100 100\n", done.stderr
