from __future__ import annotations

import platform
import subprocess
import sys

import pytest

GIVEN_BACK = """
from sidecar.io import memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
memory.release()
kept = [b"x" * 100_000 for _ in range(300)]  # below the size that malloc maps by itself
last = bytes(100_000)  # keeps the top of the heap
full = resident()
del kept
assert memory.release()
print(full - resident())
"""
KEPT = """
import resource
from sidecar.io import memory
assert memory.keep_room()
def come_and_go(rounds):
    for _ in range(rounds):
        blocks = [b"x" * 600_000 for _ in range(4)]
come_and_go(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
come_and_go(50)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="musl gives memory back by itself")


def number_of(program: str) -> int:
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)


def test_memory_of_many_blocks_goes_back_to_the_system() -> None:
    assert number_of(GIVEN_BACK) > 20_000_000


def test_pages_of_blocks_that_come_and_go_are_not_asked_for_anew() -> None:
    """Without it, some fourteen thousand."""
    assert number_of(KEPT) < 4000
