"""Real programs that tests run beside ours."""

from __future__ import annotations

import os
import shutil

import pytest

# Debian keeps servers where a user's PATH does not look.
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def require(binary: str, *places: str) -> str:
    """The program's path, also from other `places`. Without it the test is skipped with the reason; in CI (`CI=true`) it
    fails."""
    found = shutil.which(binary, path=os.pathsep.join([_PLACES, *places]))
    if found is None:
        pytest.skip(f"{binary} is not installed")
    return found
