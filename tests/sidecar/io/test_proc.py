from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.io.proc import Proc, Stat

STAT = "{pid} ({name}) {state} {parent} 1 1 0 -1 4194560 {minor} 0 {major} 0 5 3 0 0 20 0 1 0 {started} 1000 10"
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1
"""
TCP6 = """  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4713 1 0
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4714 1 0
"""


class Tree:
    """A /proc made by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = Proc(str(root))

    def add(self, pid: int, parent: int = 1, name: str = "app", state: str = "S", children: str | None = "") -> Path:
        folder = self.root / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True)
        text = STAT.format(pid=pid, name=name, state=state, parent=parent, minor=7, major=2, started=pid * 10)
        (folder / "stat").write_text(text)
        if children is not None:
            (folder / "task" / str(pid) / "children").write_text(children)
        return folder


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_name_may_hold_spaces_and_parentheses(tree: Tree) -> None:
    tree.add(12, name="a) R (b", state="T")
    assert tree.proc.stat(12) == Stat(12, "a) R (b", "stopped", 1, 7, 2, 120)


def test_processes_are_listed_without_the_kernels_threads(tree: Tree) -> None:
    for pid, parent, name in [(1, 0, "init"), (2, 0, "kthreadd"), (3, 2, "kworker"), (40, 1, "app")]:
        tree.add(pid, parent, name)
    (tree.root / "self").mkdir()
    (tree.root / "41").mkdir()  # ended while we looked
    assert sorted(tree.proc.stats()) == [1, 40]


def test_in_a_container_pid_2_is_a_process_like_any_other(tree: Tree) -> None:
    tree.add(1, 0)
    tree.add(2, 1)
    assert sorted(tree.proc.stats()) == [1, 2]


def test_children_come_from_every_thread(tree: Tree) -> None:
    folder = tree.add(10, children="11 12 ")
    (folder / "task" / "15").mkdir()
    (folder / "task" / "15" / "children").write_text("13 ")
    (folder / "task" / "16").mkdir()  # a thread that has just ended
    for pid in (11, 12, 13):
        tree.add(pid, 10)
    assert sorted(tree.proc.children(10)) == [11, 12, 13]


def test_kernels_without_the_children_file_cost_a_scan(tree: Tree) -> None:
    for pid, parent in [(10, 1), (11, 10), (12, 10), (13, 12)]:
        tree.add(pid, parent, children=None)
    assert tree.proc.children(10) == [11, 12]
    assert tree.proc.tree(10) == [10, 11, 12, 13]


def test_ports_are_listened_on_by_sockets_of_both_families(tree: Tree) -> None:
    net = tree.add(10) / "net"
    net.mkdir()
    (net / "tcp").write_text(TCP)
    assert tree.proc.listeners(10) == {8080: {4711}}  # a kernel without IPv6
    (net / "tcp6").write_text(TCP6)
    assert tree.proc.listeners(10) == {8080: {4711, 4713}, 80: {4714}}


def test_sockets_are_found_among_the_file_descriptors(tree: Tree) -> None:
    fds = tree.add(10) / "fd"
    fds.mkdir()
    for number, target in enumerate(["/dev/null", "socket:[4711]", "pipe:[4712]", "socket:[4713]"]):
        (fds / str(number)).symlink_to(target)
    assert tree.proc.socket_inodes(10) == {4711, 4713}


def test_the_effective_uid_is_in_status(tree: Tree) -> None:
    (tree.add(10) / "status").write_text("Name:\tapp\nUid:\t0\t33\t33\t33\nGid:\t0\t0\t0\t0\n")
    assert tree.proc.uid(10) == 33


def test_arguments_are_separated_by_zeros(tree: Tree) -> None:
    (tree.add(10) / "cmdline").write_bytes(b"nginx\0-g\0daemon off;\0")
    assert tree.proc.cmdline(10) == ["nginx", "-g", "daemon off;"]


def test_what_is_gone_is_said_in_one_way(tree: Tree) -> None:
    for ask in (tree.proc.stat, tree.proc.children, tree.proc.fd_count, tree.proc.socket_inodes, tree.proc.listeners):
        with pytest.raises(ProcessLookupError):
            ask(99)
    assert tree.proc.net_namespace(99) is None


def test_the_real_proc_knows_this_process() -> None:
    proc, me = Proc(), os.getpid()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert proc.listeners(me)[port] == {os.fstat(listener.fileno()).st_ino}
        assert os.fstat(listener.fileno()).st_ino in proc.socket_inodes(me)
    assert proc.stat(me).parent == os.getppid()
    assert proc.uid(me) == os.geteuid()
    assert proc.net_namespace(me) == os.readlink("/proc/self/ns/net")
    with open(os.devnull):
        assert proc.fd_count(me) == len(os.listdir("/proc/self/fd")) - 1  # that of the listing


def test_the_real_tree_holds_grandchildren_parents_first() -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert Proc().tree(child.pid) == [child.pid, grandchild]
        os.kill(grandchild, 9)
        child.kill()


def test_the_file_that_a_process_writes_its_output_to_is_known_and_a_pipe_is_none(tmp_path: Path) -> None:
    sleeps = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    log = tmp_path / "out.log"
    with log.open("wb") as output, subprocess.Popen(sleeps, stdin=subprocess.PIPE, stdout=output) as into_a_file:
        assert Proc().output_file(into_a_file.pid) == str(log)
        into_a_file.communicate()
    with subprocess.Popen(sleeps, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as into_a_pipe:
        assert Proc().output_file(into_a_pipe.pid) == ""
        into_a_pipe.communicate()
    with pytest.raises(ProcessLookupError):
        Proc().output_file(into_a_pipe.pid)
