"""The cache's store against the simplest model of it: a list in order of use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from demo.cache_server.store import ENTRY_OVERHEAD, Store

KEYS = st.sampled_from(["a", "b", "c", "dd", "é"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("set"), KEYS, st.integers(0, 700), st.integers(1, 9)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("expire")),
        st.tuples(st.just("pass"), st.integers(1, 5)),
    ),
    max_size=60,
)
ROOM = 3 * ENTRY_OVERHEAD


class Naive:
    """Least recently used first: [key, value, expires]."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes, float]] = []

    def find(self, key: str) -> tuple[str, bytes, float] | None:
        return next((e for e in self.entries if e[0] == key), None)

    def size(self) -> int:
        return sum(len(k.encode()) + len(v) + ENTRY_OVERHEAD for k, v, _ in self.entries)

    def get(self, key: str, now: float) -> bytes | None:
        found = self.find(key)
        if found is None:
            return None
        self.entries.remove(found)
        if found[2] <= now:
            return None
        self.entries.append(found)
        return found[1]

    def set(self, key: str, value: bytes, ttl: float, now: float) -> bool:
        self.entries = [e for e in self.entries if e[0] != key]
        self.entries.append((key, value, now + ttl))
        while self.size() > ROOM and len(self.entries) > 1:
            if len(key.encode()) + len(value) + ENTRY_OVERHEAD > ROOM:
                break
            self.entries.pop(0)
        if self.size() > ROOM:
            self.entries.pop()
            return False
        return True

    def delete(self, key: str, now: float) -> bool:
        found = self.find(key)
        if found is not None:
            self.entries.remove(found)
        return found is not None and found[2] > now

    def expire(self, now: float) -> None:
        self.entries = [e for e in self.entries if e[2] > now]


@given(STEPS)
def test_the_store_does_what_a_list_in_order_of_use_does(steps: list[tuple[object, ...]]) -> None:
    store, naive, now = Store(ROOM), Naive(), 0.0
    for step in steps:
        match step:
            case "get", str(key):
                assert store.get(key, now) == naive.get(key, now)
            case "set", str(key), int(size), int(ttl):
                assert store.set(key, b"x" * size, ttl, now) == naive.set(key, b"x" * size, ttl, now)
            case "delete", str(key):
                assert store.delete(key, now) == naive.delete(key, now)
            case ("expire",):
                store.expire(now)
                naive.expire(now)
            case "pass", int(seconds):
                now += seconds
        assert len(store) == len(naive.entries)
        assert store.used == naive.size() <= ROOM


def test_a_read_saves_an_entry_from_eviction_and_the_reason_of_each_is_counted() -> None:
    store = Store(2 * (ENTRY_OVERHEAD + 2))
    store.set("a", b"1", 10, 0)
    store.set("b", b"2", 100, 0)
    assert store.get("a", 1) == b"1"
    store.set("c", b"3", 100, 2)
    assert [store.get(k, 3) for k in "abc"] == [b"1", None, b"3"]
    assert store.evictions == {"ttl": 0, "lru": 1}
    store.expire(10)
    assert [store.get(k, 10) for k in "abc"] == [None, None, b"3"]
    assert store.evictions == {"ttl": 1, "lru": 1}


def test_an_entry_ends_with_the_last_moment_of_its_ttl() -> None:
    store = Store(10_000)
    store.set("a", b"1", 5, 100)
    assert store.get("a", 104.999) == b"1"
    assert store.get("a", 105) is None


def test_a_value_larger_than_the_store_is_refused_and_the_old_one_is_gone() -> None:
    store = Store(1000)
    store.set("a", b"old", 5, 0)
    assert not store.set("a", b"x" * 1000, 5, 0)
    assert store.get("a", 0) is None
    assert store.used == 0
