"""Real programs that tests run beside ours."""

from __future__ import annotations

import pytest

from bench.programs import program


def require(binary: str) -> str:
    """The program's path: a system's, or one that `.ci/tools` builds (h2spec, otelcol). Without it the test is skipped with the
    reason; in CI (`CI=true`) it fails."""
    found = program(binary)
    if found is None:
        pytest.skip(f"{binary} is not installed")
    return found
