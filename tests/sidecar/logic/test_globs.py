"""Patterns mean what they mean in a shell."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.logic.globs import parse_exclude, parse_patterns, path_matches
from sidecar.logic.scalars import Invalid


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.log", "/var/log/app.log", True),
        ("*.log", "/var/log/.log", False),
        (".*", "/var/log/.hidden", True),
        ("/var/*.log", "/var/log/app.log", False),
        ("/var/*/*.log", "/var/log/app.log", True),
        ("/var/**/*.log", "/var/log/app.log", True),
        ("/var/**/*.log", "/var/a/b/c/app.log", True),
        ("/var/**/*.log", "/var/app.log", True),
        ("/var/**/b/*.log", "/var/a/b/b/app.log", True),
        ("/var/**", "/var/a/b", True),
        ("/var/**/*.log", "/var/.git/app.log", False),
        ("/var/app[0-9].log", "/var/app7.log", True),
        ("/var/app[!0-9].log", "/var/app7.log", False),
        ("/var/app.log", "/var/app_log", False),
    ],
)
def test_a_path_is_one_of_a_pattern(pattern: str, path: str, expected: bool) -> None:
    assert path_matches(pattern, path) is expected


def test_one_pattern_may_stand_without_a_list() -> None:
    assert parse_patterns("/var/log/*.log") == ("/var/log/*.log",)
    assert parse_patterns(["/a", "/b"]) == ("/a", "/b")
    assert parse_exclude("*.gz") == ("*.gz",)


@pytest.mark.parametrize("raw", ["app.log", "/", "", [], 7, ["/a", 7], "/a\0", "/" + "x" * 5000, ["/a"] * 101])
def test_a_pattern_is_absolute_and_bounded(raw: Any) -> None:
    with pytest.raises(Invalid):
        parse_patterns(raw)
    with pytest.raises(Invalid):
        parse_exclude("relative/path")


@pytest.mark.parametrize("raw", ["/var/log/{a,b}.log", "/var/log/{a", ["/a", "b}.log"]])
def test_braces_are_refused_instead_of_matching_nothing(raw: Any) -> None:
    for parse in (parse_patterns, parse_exclude):
        with pytest.raises(
            Invalid, match=r"has braces, which are not known: list the patterns, or write \[\{\] for one"
        ):
            parse(raw)


def test_a_brace_in_a_name_is_written_as_a_class() -> None:
    assert path_matches(*parse_patterns("/var/log/[{]a[}].log"), "/var/log/{a}.log")
