"""Under CI a test of a language whose toolchain the machine lacks is left out, and the reason printed."""

from __future__ import annotations

import os

import pytest

from tests.e2e import foreign


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("CI") != "true" or not (absent := foreign.missing()):
        return
    without = [item for item in items if isinstance(item, pytest.Function) and _language(item) in absent]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def pytest_report_collectionfinish() -> list[str]:
    return list(foreign.missing().values())


def _language(item: pytest.Function) -> object:
    return item.callspec.params.get("language") if hasattr(item, "callspec") else None
