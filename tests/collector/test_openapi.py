"""The committed description is the one that the code makes, and hangs together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from collector.api import ROUTES
from collector.openapi import document, text

COMMITTED = Path(__file__).parents[2] / "docs/reference/openapi.json"


def test_the_committed_copy_is_current() -> None:
    assert COMMITTED.read_text() == text(ROUTES), "python -m collector.openapi > docs/reference/openapi.json"


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    schemas: dict[str, Any] = document(ROUTES)["components"]["schemas"]
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', text(ROUTES)))
    assert referred == set(schemas)


def test_every_route_is_described_with_its_parameters() -> None:
    described = document(ROUTES)["paths"]
    assert {(path, method) for path, found in described.items() for method in found} == {
        (route.path, route.method.lower()) for route in ROUTES
    }
    gate = described["/v1/services/{service}/health"]["get"]
    assert [p["name"] for p in gate["parameters"]] == ["service", "fail_on", "probe"]
    assert sorted(gate["responses"]) == ["200", "400", "404", "503"]


def test_operations_have_names_of_their_own() -> None:
    names = [found["operationId"] for path in document(ROUTES)["paths"].values() for found in path.values()]
    assert len(set(names)) == len(names)
