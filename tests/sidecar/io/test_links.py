"""Links lead on only where whoever made them might read what they lead to, or needs no leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.io.links import UntrustedLink, open_trusted, resolve


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    (tmp_path / "absolute").symlink_to(tmp_path / "a/file")
    (tmp_path / "directory").symlink_to("a/../a/.")
    (tmp_path / "chain").symlink_to("directory/file")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("nothing")
    return tmp_path


@pytest.mark.parametrize("name", ["a/file", "absolute", "directory/file", "chain", "a//./../chain"])
def test_a_path_leads_where_the_kernel_leads_it(tree: Path, name: str) -> None:
    path, found = resolve(f"{tree}/{name}")
    assert path == f"{os.path.realpath(tree)}/a/file"
    assert found.st_ino == (tree / "a/file").stat().st_ino


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("loop", "Too many levels of symbolic links"),
        ("nowhere", "No such file or directory"),
        ("a/file/x", "Not a directory"),
    ],
)
def test_what_leads_nowhere_is_refused_as_the_kernel_does(tree: Path, name: str, error: str) -> None:
    with pytest.raises(OSError, match=error):
        resolve(f"{tree}/{name}")


def test_the_kernels_own_links_are_followed(tree: Path) -> None:
    with (tree / "a/file").open() as file:
        assert resolve(f"/proc/self/fd/{file.fileno()}")[0] == f"{os.path.realpath(tree)}/a/file"


def test_no_descriptor_is_left(tree: Path) -> None:
    before = os.listdir("/proc/self/fd")
    resolve(f"{tree}/chain")
    for name in ("loop", "nowhere", "a/file/x"):
        with pytest.raises(OSError, match=r"Too many|No such|Not a"):
            resolve(f"{tree}/{name}")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("theirs", "trusted"),
    [
        ((), True),
        (("chain",), False),
        (("directory",), False),
        (("chain", "a/file"), True),
        (("a/file",), True),
    ],
)
def test_a_link_is_roots_our_own_or_of_the_owner_of_the_file(
    tree: Path, theirs: tuple[str, ...], trusted: bool
) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    for name in theirs:
        os.lchown(tree / name, 4711, 4711)
    if trusted:
        assert resolve(f"{tree}/chain")[0] == f"{os.path.realpath(tree)}/a/file"
    else:
        with pytest.raises(UntrustedLink, match="a link of user 4711 to a file of user 0 is not followed"):
            resolve(f"{tree}/chain")


def test_what_is_opened_is_what_the_walk_has_found(tree: Path) -> None:
    (tree / "a/file").write_text("one")
    with open(open_trusted(f"{tree}/chain", os.O_RDONLY)) as file:
        assert file.read() == "one"
    before = os.listdir("/proc/self/fd")
    assert open_trusted(f"{tree}/a", os.O_RDONLY) == -1
    with pytest.raises(FileNotFoundError):
        open_trusted(f"{tree}/nowhere", os.O_RDONLY)
    assert os.listdir("/proc/self/fd") == before


def test_nothing_is_opened_behind_a_link_of_somebody_else(tree: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    before = os.listdir("/proc/self/fd")
    for link in ("chain", "directory"):
        os.lchown(tree / link, 4711, 4711)
    for name in ("chain", "directory/file"):
        with pytest.raises(UntrustedLink, match="a link of user 4711 to a file of user 0 is not followed"):
            open_trusted(f"{tree}/{name}", os.O_RDONLY)
    assert os.listdir("/proc/self/fd") == before
