"""The floors hold: imports point down, and packages of one floor never import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = {
    "version": 0,
    "model": 0,
    "logic": 1,
    "io": 2,
    "probes": 3,
    "logs": 3,
    "metrics": 3,
    "otlp": 3,
    "export": 3,
    "config": 4,
    "monitor": 4,
    "parcel": 4,
    "telemetry": 4,
    "lane": 4,
    "relay": 4,
    "relay_status": 4,
    "daemon": 4,
    "launched": 4,
    "api": 5,
    "spool_command": 5,
    "launcher": 5,
    "cli": 5,
    "__main__": 6,
}
# On the upper floors each file may use those before it: the daemon assembles, the command opens the API over it.
ORDER = [name for name, floor in FLOORS.items() if floor in (4, 5)]
COLLECTOR_MAY = {"version", "model", "logic", "io", "otlp"}
PURE = {"model", "logic"}
NOT_PURE = {
    "asyncio",
    "os",
    "socket",
    "time",
    "threading",
    "subprocess",
    "pathlib",
    "sqlite3",
    "random",
    "psutil",
    "aiohttp",
}
NEVER = {"grpc", "google", "pydantic", "rich", "kubernetes"}


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """Absolute dotted names of what `file` imports, and whether at the top of the module."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(file.read_text())
    inner = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in inner
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{stem}.{alias.name}", node not in inner


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def room(dotted: str) -> str:
    """`sidecar.logic.wire.walk` -> `logic`."""
    return dotted.split(".")[1] if "." in dotted else ""


def violations(file: Path) -> list[str]:
    where = file.relative_to(ROOT).with_suffix("").parts
    me = where[1]
    bad = []
    for name, top in imports(file):
        first = name.split(".")[0]
        if first in NEVER:
            bad.append(f"imports {name}, which may never be in the sidecar's process")
        if me in PURE and first in NOT_PURE:
            bad.append(f"imports {name}; {me} does no I/O and knows no clock")
        if me == "model" and first not in {"sidecar", "msgspec", "__future__"} and first not in _stdlib():
            bad.append(f"imports {name}; model needs only the standard library and msgspec")
        if first in {"collector", "demo"} and (me not in {"cli", "__main__"} or top):
            bad.append(f"imports {name}; only the command does, inside functions")
        if first != "sidecar" or me == "__init__" or room(name) in {"", me}:
            continue
        other = room(name)
        if other not in FLOORS:
            bad.append(f"imports {name}, which has no floor")
        elif FLOORS[other] > FLOORS[me]:
            bad.append(f"imports {name}, upwards")
        elif FLOORS[other] == FLOORS[me] >= 4:
            if ORDER.index(other) > ORDER.index(me):
                bad.append(f"imports {name}, which comes after it on floor {FLOORS[me]}")
        elif FLOORS[other] == FLOORS[me] and other != "version":
            bad.append(f"imports {name}, its neighbour on floor {FLOORS[me]}")
    return bad


def _stdlib() -> frozenset[str]:
    import sys

    return sys.stdlib_module_names


@pytest.mark.parametrize("file", sources("sidecar"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_sidecar_imports_down_only(file: Path) -> None:
    assert violations(file) == []


@pytest.mark.parametrize("file", sources("collector"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_collector_takes_only_the_lower_floors_of_the_sidecar(file: Path) -> None:
    taken = {room(n) for n, _ in imports(file) if n.split(".")[0] == "sidecar"} - {""}
    assert taken <= COLLECTOR_MAY
    assert not [n for n, _ in imports(file) if n.split(".")[0] in {"demo", "dashboards"}]


@pytest.mark.parametrize("service", ["fastjson_api", "cache_server"])
def test_the_demo_services_import_nothing_of_ours(service: str) -> None:
    ours = {"sidecar", "collector", "dashboards"}
    for file in sources(f"demo/{service}"):
        assert not {n.split(".")[0] for n, _ in imports(file)} & ours, file


def test_a_wrong_import_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself can fail: logic that imports io, and probes that import export."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    for name, text in {
        "logic/a.py": "from ..io import clock\nimport time\n",
        "probes/b.py": "from sidecar.export import otlp_http\n",
        "io/c.py": "def f():\n    import collector\n",
    }.items():
        file = tmp_path / "sidecar" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    assert violations(tmp_path / "sidecar/logic/a.py") == [
        "imports sidecar.io.clock, upwards",
        "imports time; logic does no I/O and knows no clock",
    ]
    assert violations(tmp_path / "sidecar/probes/b.py") == [
        "imports sidecar.export.otlp_http, its neighbour on floor 3"
    ]
    assert violations(tmp_path / "sidecar/io/c.py") == ["imports collector; only the command does, inside functions"]
