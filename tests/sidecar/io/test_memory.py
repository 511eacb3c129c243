from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="musl gives memory back by itself")
def test_memory_of_many_blocks_goes_back_to_the_system() -> None:
    given_back = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True).stdout
    assert int(given_back) > 20_000_000
