from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.io.bearer import Bearer
from sidecar.io.guard import Guard, News
from sidecar.logic.scalars import Secret

EXPECTED = "expected Authorization: Bearer and a token of this port"


@pytest.mark.parametrize(
    ("authorization", "problem"),
    [
        (b"Bearer one", None),
        (b"bearer two", None),
        (b"Bearer  one ", None),
        (b"", (401, f"no token, {EXPECTED}")),
        (b"Bearer", (401, f"the token is not known, {EXPECTED}")),
        (b"Bearer on", (401, f"the token is not known, {EXPECTED}")),
        (b"Bearer one two", (401, f"the token is not known, {EXPECTED}")),
        (b"Basic one", (401, f"the token is not known, {EXPECTED}")),
        (b"Bearer \xff\xfe", (401, f"the token is not known, {EXPECTED}")),
    ],
)
def test_each_line_is_a_token(tmp_path: Path, authorization: bytes, problem: tuple[int, str] | None) -> None:
    file = tmp_path / "tokens"
    file.write_text("one\n\ntwo\n")
    assert Bearer(Secret(file=str(file))).problem(authorization) == problem


def test_a_token_that_is_gone_from_the_file_is_not_taken_any_more(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("one\n")
    guard = Guard(None, Secret(file=str(file)))
    assert guard.bearer is not None
    assert guard.bearer.problem(b"Bearer one") is None
    file.write_text("one\nthree\n")
    assert guard.bearer.problem(b"Bearer three") is None
    file.write_text("three\n")
    assert guard.bearer.problem(b"Bearer one") == (401, f"the token is not known, {EXPECTED}")
    assert list(guard.news()) == []
    file.unlink()
    assert guard.bearer.problem(b"Bearer three") == (503, "the file with the tokens can't be read")
    why = f"[Errno 2] No such file or directory: '{file}'"
    assert (list(guard.news()), list(guard.news()), guard.warning) == ([News("file not usable", why)], [], why)
    file.write_text("\n")
    assert guard.bearer.problem(b"Bearer ") == (401, f"the token is not known, {EXPECTED}")
    assert list(guard.news()) == [News("file not usable", "the file with the tokens is empty")]
    file.write_text("four")
    assert list(guard.news()) == [News("files are usable again", "", is_good=True)]
