"""Memory back to the system. glibc keeps what a large request used, in case it comes again; a sidecar has no use for that.

Both functions are for any thread, and do nothing where the C library has no such call (musl gives memory back by itself).
"""

from __future__ import annotations

M_MMAP_THRESHOLD = -3  # malloc.h


def map_blocks_from(size: int) -> bool:
    """Blocks of `size` bytes and more get a mapping of their own from now on: they grow without a copy, and are gone from our
    memory when they are freed. Without this glibc moves that limit up to 32 MiB after the first such block."""
    return _call("mallopt", M_MMAP_THRESHOLD, size)


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
