"""What becomes of freed memory. glibc gives back the end of its heap after each large request, for the kernel to clear it anew
for the next one; and of what a very large request used it keeps all, in case that comes again.

All functions are for any thread, and do nothing where the C library has no such call (musl gives memory back by itself).
"""

from __future__ import annotations

from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
MAPPED = 2 << 20
"""Above what is sent at once, so that the usual traffic does without mappings."""
KEPT = 4 << 20


@cache
def map_large_blocks() -> bool:
    """Blocks of `MAPPED` bytes and more get a mapping of their own from now on: they grow without a copy, and are gone from our
    memory when they are freed. Without this glibc moves that limit up to 32 MiB after the first such block."""
    return _call("mallopt", M_MMAP_THRESHOLD, MAPPED)


@cache
def keep_room() -> bool:
    """For blocks that come and go by the second: up to `KEPT` bytes stay free at the end of the heap from now on."""
    return map_large_blocks() and _call("mallopt", M_TRIM_THRESHOLD, KEPT)


def release() -> bool:
    """What is free goes back: a few milliseconds."""
    return _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> bool:
    import ctypes  # a megabyte that most sidecars never need

    try:
        function = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return False
    function(*arguments)
    return True
