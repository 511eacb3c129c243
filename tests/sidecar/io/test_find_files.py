"""Files are found by pattern, and a pattern ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.io.find_files import find


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("app.log", "app.txt", ".hidden.log", "a/one.log", "a/b/two.log", ".git/three.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("app.log", ["app.log"]),
        ("*.log", ["app.log"]),
        ("app.*", ["app.log", "app.txt"]),
        ("*/*.log", ["a/one.log"]),
        ("**/*.log", ["a/b/two.log", "a/one.log", "app.log"]),
        ("a/**", ["a/b/two.log", "a/one.log"]),
        (".*.log", [".hidden.log"]),
        ("nothing/*.log", []),
        ("app.log/*.log", []),
    ],
)
def test_a_pattern_finds_what_it_would_in_a_shell(tree: Path, pattern: str, expected: list[str]) -> None:
    assert find([f"{tree}/{pattern}"], []) == ([f"{tree}/{name}" for name in expected], [], {})


def test_what_is_excluded_or_found_twice(tree: Path) -> None:
    found, *_ = find([f"{tree}/**/*.log", f"{tree}/app.log"], ["two*", f"{tree}/a/one.log"])
    assert found == [f"{tree}/app.log"]


def test_symlinks_that_lead_back_are_not_gone_into(tree: Path) -> None:
    (tree / "a/back").symlink_to(tree)
    (tree / "a/again").symlink_to(tree)
    assert find([f"{tree}/**/one.log"], [])[0] == [f"{tree}/a/one.log"]


def test_a_pattern_with_too_many_names_is_given_up_and_told(tree: Path) -> None:
    found, endless, _ = find([f"{tree}/**/*.log", f"{tree}/app.txt"], [], most=5)
    assert endless == [f"{tree}/**/*.log"]
    assert f"{tree}/app.txt" in found


def test_a_directory_or_name_that_may_not_be_looked_at_is_told_unless_it_is_excluded(tree: Path) -> None:
    (tree / "loop").symlink_to("loop")
    patterns = [f"{tree}/loop/*.log", f"{tree}/loop/app.log", f"{tree}/app.txt/x.log"]
    found = find(patterns, [])
    assert {path: why.strerror for path, why in found.refused.items()} == {
        f"{tree}/loop": "Too many levels of symbolic links",
        f"{tree}/loop/app.log": "Too many levels of symbolic links",
    }
    assert find(patterns, [f"{tree}/loop", f"{tree}/loop/*"]).refused == {}


def test_a_directory_is_found_by_its_name_alone(tree: Path) -> None:
    assert find([f"{tree}/*", f"{tree}/a"], []).paths == [f"{tree}/a", f"{tree}/app.log", f"{tree}/app.txt"]
