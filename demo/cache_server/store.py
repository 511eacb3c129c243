"""The cache itself: least recently used goes first, nothing outlives its time to live, memory is bounded.

No clock and no lock: `now` (seconds that never jump) is an argument, and one event loop owns the store.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

# What CPython spends on one entry beside the bytes of its key and value, rounded up.
ENTRY_OVERHEAD = 256


class Entry(NamedTuple):
    value: bytes
    expires: float

    def dead(self, now: float) -> bool:
        return now >= self.expires


class Store:
    """`used` never exceeds `max_bytes`. `evictions` counts by reason: "ttl" (too old), "lru" (no room)."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0
        self.evictions = {"ttl": 0, "lru": 0}
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        """Entries held, those included whose time is over and which nobody has met yet."""
        return len(self._entries)

    def get(self, key: str, now: float) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.dead(now):
            self._evict(key, "ttl")
            return None
        self._entries.move_to_end(key)
        return entry.value

    def set(self, key: str, value: bytes, ttl: float, now: float) -> bool:
        """False when the entry is larger than the whole store; the key is then absent, never stale."""
        self._remove(key)
        cost = self.cost(key, value)
        if cost > self.max_bytes:
            return False
        while self.used + cost > self.max_bytes:
            oldest = next(iter(self._entries))
            self._evict(oldest, "ttl" if self._entries[oldest].dead(now) else "lru")
        self._entries[key] = Entry(value, now + ttl)
        self.used += cost
        return True

    def delete(self, key: str, now: float) -> bool:
        """Whether there was a live entry."""
        entry = self._remove(key)
        return entry is not None and not entry.dead(now)

    def expire(self, now: float) -> None:
        """Drops everything whose time is over. Linear: the memory bound keeps it to some milliseconds."""
        for key in [key for key, entry in self._entries.items() if entry.dead(now)]:
            self._evict(key, "ttl")

    @staticmethod
    def cost(key: str, value: bytes) -> int:
        """Bytes that an entry is charged."""
        return len(key.encode()) + len(value) + ENTRY_OVERHEAD

    def _evict(self, key: str, reason: str) -> None:
        self._remove(key)
        self.evictions[reason] += 1

    def _remove(self, key: str) -> Entry | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used -= self.cost(key, entry.value)
        return entry
