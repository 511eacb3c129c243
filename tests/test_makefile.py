"""The .venv that `make` builds, with a python that only notes what it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.real import require

ROOT = Path(__file__).parent.parent
PYTHON = """\
#!/bin/sh
echo "begins $2" >> asked
sleep 0.1
echo "ends $2" >> asked
[ "$2" = venv ] || exit 0
mkdir -p .venv/bin && cp "$0" .venv/bin/python
[ -z "$BREAKS" ]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(checkout: Path, *arguments: str, **environ: str) -> int:
    command = [require("make"), *arguments, f"PYTHON={checkout}/python"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(command, cwd=checkout, env={**clean, **environ}, capture_output=True).returncode


def asked(checkout: Path) -> list[str]:
    return (checkout / "asked").read_text().splitlines()


VENV = ["begins venv", "ends venv"]
PIP = ["begins pip", "ends pip"]


def test_targets_that_are_made_at_once_install_one_after_the_other(checkout: Path) -> None:
    assert make(checkout, "-j4", ".venv/demo", ".venv/dev") == 0
    assert asked(checkout) == [*VENV, *PIP, *PIP, *PIP, *PIP]


def test_a_venv_that_was_begun_and_not_finished_is_begun_again(checkout: Path) -> None:
    assert make(checkout, ".venv/demo", BREAKS="yes") == 2
    assert (checkout / ".venv/bin/python").exists()
    assert make(checkout, ".venv/demo") == 0
    assert asked(checkout) == [*VENV, *VENV, *PIP, *PIP]
    assert make(checkout, ".venv/demo") == 0
    assert asked(checkout) == [*VENV, *VENV, *PIP, *PIP]
