"""Where the programs in Go are that `.ci/tools` builds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TOOLS = os.environ.get("OUTRIDER_TOOLS") or str(Path.home() / ".cache/outrider/tools")
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", TOOLS])
"""Debian keeps servers where a user's PATH does not look."""


def program(name: str) -> str | None:
    """The path of a program that may or may not be there."""
    return shutil.which(name, path=_PLACES)


def must(name: str) -> str:
    """The path of a program without which nothing can be measured. Raises `FileNotFoundError`."""
    found = program(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not there: bash .ci/tools builds what is in Go, apt-get has nginx-light")
    return found
