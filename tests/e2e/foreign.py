"""Programs in other languages, which `.ci/programs` builds from tests/e2e/programs.

Where it has found no toolchain it says so. Locally the tests with that `language` are skipped, under CI left out (`conftest`).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_THERE = Path(os.environ.get("OUTRIDER_PROGRAMS", Path.home() / ".cache/outrider/programs"))
# For one second of work: no optimising compiler, no parallel collector.
_QUICK = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"]
_JAVA = ["java", *_QUICK, "-cp", f"{_THERE}/java:{_THERE}/java/lib/*"]
_SEND = {
    "go": [str(_THERE / "go/send"), "send"],
    "node": ["node", str(_THERE / "node/send.js")],
    "java": [*_JAVA, "Send"],
}
_LOGS = {
    "go": [str(_THERE / "go/logs")],
    "node": ["node", str(_THERE / "node/logs.js")],
    "java": [*_JAVA, "Logs"],
    "rust": [str(_THERE / "rust/logs")],
}


def missing() -> dict[str, str]:
    """Languages without a toolchain here, with the sentence of `.ci/programs`."""
    said = {language: _THERE / language / "missing" for language in _LOGS}
    return {language: file.read_text().strip() for language, file in said.items() if file.exists()}


def command(language: str) -> list[str]:
    """What sends N of each signal, without the N. Skips the test where it is not built."""
    _require(language)
    return _SEND[language]


def logs(language: str) -> list[str]:
    """What writes logs, without the name of the logger. Skips the test where it is not built."""
    _require(language)
    return _LOGS[language]


def _require(language: str) -> None:
    if why := missing().get(language):
        pytest.skip(why)
    if not (_THERE / language / "pinned").exists():
        pytest.skip(f"the program in {language} is not built: .ci/programs does it")
