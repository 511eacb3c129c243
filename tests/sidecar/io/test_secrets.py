from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.io.secrets import SecretValue
from sidecar.logic.scalars import Secret


def test_a_literal_is_itself() -> None:
    assert SecretValue(Secret(literal="s3cret")).read() == "s3cret"


def test_a_file_is_read_again_when_it_has_rotated(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    secret = SecretValue(Secret(file=str(file)))
    assert secret.read() == "one"
    after = tmp_path / "next"
    after.write_text("two\n")
    os.replace(after, file)
    assert secret.read() == "two"


def test_a_missing_file_is_named_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "token"
    secret = SecretValue(Secret(file=str(file)))
    with pytest.raises(FileNotFoundError, match="token"):
        secret.read()
    file.write_text("late")
    assert secret.read() == "late"


def test_a_file_that_is_no_text_is_named_without_its_content(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(OSError, match=f"^{file} is not UTF-8 text$"):
        SecretValue(Secret(file=str(file))).read()
