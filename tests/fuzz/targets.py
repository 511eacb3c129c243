"""What the fuzz consists of: every property of these test modules, by target."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import msgspec

from tests.fuzz import test_memory
from tests.sidecar.logic import (
    test_gzip_body,
    test_http2_client,
    test_http2_fuzz,
    test_http2_headers,
    test_http2_hpack,
    test_json_split,
    test_otlp_json,
    test_otlp_split,
    test_otlp_wire,
)
from tests.sidecar.logs.formats import test_every

TARGETS: Mapping[str, Sequence[ModuleType]] = {
    "frames": [test_http2_fuzz, test_http2_client],
    "header blocks": [test_http2_hpack, test_http2_headers],
    "walk, splice, split": [test_otlp_wire, test_otlp_split],
    "json": [test_otlp_json, test_json_split],
    "gzip": [test_gzip_body],
    "log lines": [test_every],
    "memory": [test_memory],
}


class Property(msgspec.Struct, frozen=True):
    """A test of hypothesis, with what pytest would hand to it."""

    target: str
    test: Callable[..., None]
    given: dict[str, Any]

    @property
    def name(self) -> str:
        values = ", ".join(f"{key}={value}" for key, value in self.given.items())
        return f"{self.test.__module__}.{self.test.__name__}" + (f"[{values}]" if values else "")


def properties(targets: Mapping[str, Sequence[ModuleType]]) -> Iterator[Property]:
    for target, modules in targets.items():
        for module in modules:
            for test in vars(module).values():
                if getattr(test, "is_hypothesis_test", False):
                    for given in _given(test):
                        yield Property(target, test, given)


def _given(test: Any) -> Iterator[dict[str, Any]]:
    """Every combination of what `pytest.mark.parametrize` says."""
    choices: list[list[dict[str, Any]]] = []
    for mark in getattr(test, "pytestmark", []):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
        rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
        choices.append([dict(zip((name.strip() for name in names), row, strict=True)) for row in rows])
    for chosen in itertools.product(*choices):
        yield {name: value for one in chosen for name, value in one.items()}
