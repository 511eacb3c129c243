"""Output is passed on unchanged, whatever becomes of its copy; what the copy loses is counted in lines."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sidecar.launcher.passing import BACKLOG, Copy, Stream
from sidecar.logic.launch import CONTINUES, HEADER, LARGEST, LAST
from tests.e2e.processes import eventually


class Rig:
    """One stream: `write` is the command's end, `out` collects what is passed on, `copy` is where frames arrive."""

    def __init__(self, keep: ExitStack, reader: bool = True) -> None:
        source, self.write = os.pipe()
        target_read, target = os.pipe()
        stopped, self.stop = os.pipe()
        ours, self.copy = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, self.copy):
            keep.callback(end.close)
        self.out = bytearray()
        self.reader = threading.Thread(target=self._read, args=(target_read,), daemon=True)
        if reader:
            self.reader.start()
        else:
            os.close(target_read)
        self.sender = Copy(ours)
        self.stream = Stream(1, source, target, self.sender, stopped)
        self.target = target
        self.ours = ours
        keep.callback(os.close, stopped)

    def _read(self, target: int) -> None:
        with open(target, "rb", buffering=0) as file:
            while chunk := file.read(1 << 16):
                self.out += chunk

    def end(self) -> None:
        """The command closes its output; everything is passed on."""
        os.close(self.write)
        os.close(self.stop)
        self.stream.thread.join(20)
        assert not self.stream.thread.is_alive()
        os.close(self.target)
        if self.reader.is_alive():
            self.reader.join(20)

    def frames(self) -> tuple[int, list[bytes]]:
        """How many lines were lost, and those that came."""
        self.copy.settimeout(20)
        lost, flags, whole = 0, 0, b""
        while not flags & LAST:
            frame = self.copy.recv(LARGEST)
            _, flags, missing, _, _ = HEADER.unpack_from(frame)
            lost += missing
            data = frame[HEADER.size :]
            if not flags & CONTINUES:
                whole = whole[: whole.rfind(b"\n") + 1]
            whole += data
        return lost, whole.splitlines()


@pytest.fixture
def keep() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_copy_that_nobody_takes_holds_up_nothing_and_loses_whole_lines(keep: ExitStack) -> None:
    rig = Rig(keep)
    lines = [b"%07d" % number + b"x" * 92 for number in range(4 * BACKLOG // 100)]
    text = b"\n".join(lines) + b"\n"
    with open(os.dup(rig.write), "wb") as out:
        out.write(text)
    rig.end()
    assert bytes(rig.out) == text
    lost, came = rig.frames()
    assert lost + len(came) == len(lines)
    assert BACKLOG // 100 - 1 <= len(came) < len(lines), "the backlog, and what the socket holds by then"
    assert came == sorted(set(came))
    assert set(came) <= set(lines)


def test_pieces_that_wait_are_joined(keep: ExitStack) -> None:
    rig = Rig(keep)
    count = 3000
    for number in range(count):
        os.write(rig.write, b"%d\n" % number)
    rig.end()
    assert rig.frames() == (0, [b"%d" % number for number in range(count)])


def test_when_nobody_reads_what_is_passed_on_the_command_is_told(keep: ExitStack) -> None:
    rig = Rig(keep, reader=False)
    os.write(rig.write, b"x\n")
    rig.stream.thread.join(20)
    with pytest.raises(BrokenPipeError):
        os.write(rig.write, b"x\n")
    os.close(rig.write)
    os.close(rig.stop)
    os.close(rig.target)
    assert rig.frames() == (0, [])


def test_a_copy_that_is_finished_goes_on_as_long_as_somebody_reads_and_then_ends(keep: ExitStack) -> None:
    """Also for a reader that comes late, as one that was stopped."""
    rig = Rig(keep)
    lines = [b"%07d" % number + b"x" * 92 for number in range(BACKLOG // 100)]
    with open(os.dup(rig.write), "wb") as out:
        out.write(b"\n".join(lines))
    rig.end()
    rig.sender.finish()
    lost, came = rig.frames()
    assert (lost, came) == (0, lines)
    assert rig.stream.lost == 0
    assert rig.copy.recv(LARGEST) == b""


def test_what_is_put_after_the_end_does_not_keep_it_from_ending(keep: ExitStack) -> None:
    """As by a stream whose reader takes its time, where somebody is in a hurry."""
    rig = Rig(keep)
    lines = BACKLOG // 2 // 100
    with open(os.dup(rig.write), "wb") as out:
        out.write((b"x" * 99 + b"\n") * lines)  # more than the socket holds
    eventually(lambda: len(rig.out) == 100 * lines)
    rig.sender.finish()
    os.write(rig.write, b"late\n")
    rig.end()
    rig.copy.settimeout(20)
    while rig.copy.recv(LARGEST):
        pass
