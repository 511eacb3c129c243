"""From builders to the committed files, and back: what is written, and how the written differs."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from .fleet import fleet
from .service import service

GENERATED = Path(__file__).parent / "generated"


def dashboards() -> dict[str, str]:
    """File name -> JSON text. `id` is null: each Grafana gives its own, and links use the uid."""
    built = (fleet(), service())
    documents = [json.loads(JSONEncoder().encode(one)) | {"id": None} for one in built]
    return {f"{one['uid']}.json": json.dumps(one, indent=2, sort_keys=True) + "\n" for one in documents}


def write(folder: Path) -> None:
    """Leaves exactly the dashboards in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = dashboards()
    for old in folder.glob("*.json"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


def drift(folder: Path) -> str:
    """A unified diff from the files in `folder` to what the code builds; empty when they agree."""
    wanted = dashboards()
    found = {file.name: file.read_text() for file in folder.glob("*.json")}
    return "".join(
        line
        for name in sorted(wanted.keys() | found.keys())
        for line in difflib.unified_diff(
            found.get(name, "").splitlines(keepends=True),
            wanted.get(name, "").splitlines(keepends=True),
            f"generated/{name}",
            f"code/{name}",
        )
    )
