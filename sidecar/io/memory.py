"""Memory back to the system: glibc keeps what a large request used until it is asked."""

from __future__ import annotations


def release() -> bool:
    """`malloc_trim(0)`: a few milliseconds, any thread. False where the C library has none (musl), which is no loss."""
    import ctypes  # a megabyte that most sidecars never need

    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    trim(0)
    return True
