from __future__ import annotations

import pytest

from sidecar.logic.json_pointer import NotThere, resolve

# RFC 6901, section 5
DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, " ": 7}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/m~0n", 8), ("/ ", 7)],
)
def test_the_examples_of_the_rfc(pointer: str, value: object) -> None:
    assert resolve(DOCUMENT, pointer) == value


def test_the_empty_pointer_is_the_whole_document() -> None:
    assert resolve(DOCUMENT, "") is DOCUMENT


@pytest.mark.parametrize("pointer", ["/bar", "/foo/2", "/foo/00", "/foo/-", "/foo/-1", "/foo/0/x", "/a/b", "/foo/²"])
def test_what_is_not_there_is_said(pointer: str) -> None:
    with pytest.raises(NotThere, match=pointer):
        resolve(DOCUMENT, pointer)
