"""Writes docs/reference/ from the code: configuration, command line, metrics. `--check` fails where a page has drifted.

The collector's API description is written the same way, by `collector.openapi`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import collector.app  # noqa: E402 - the checkout first
import demo.run  # noqa: E402
from sidecar.cli import HEALTHCHECK_USAGE, parser  # noqa: E402
from sidecar.config import Config  # noqa: E402
from sidecar.logic.layers import variables  # noqa: E402
from sidecar.logic.schema import bare, hints, join, optional_of, rules_of, scalar_of, shorthand_of, table_of  # noqa: E402
from sidecar.metrics.exposition import prometheus_name  # noqa: E402
from sidecar.metrics.tree import DECLARED as PROCESS  # noqa: E402
from sidecar.model.signals import Declared  # noqa: E402
from sidecar.probes import PROBES  # noqa: E402
from sidecar.probes.base import CheckConfig  # noqa: E402
from sidecar.telemetry import DECLARED  # noqa: E402


def configuration() -> str:
    """Every key with what it takes, its default and its environment variable."""
    names = dict(variables(Config))
    lines = [
        "# Configuration",
        "",
        "One YAML file (`--config FILE`, `OUTRIDER_CONFIG`, else `/etc/outrider/outrider.yaml` if it is there), environment",
        "variables and flags; flags win over the environment, it over the file, that over what is detected, and that over",
        "the defaults. `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_*` and",
        "`OTEL_METRIC_EXPORT_INTERVAL` have their OpenTelemetry meaning. `outrider config` shows the result with the origin",
        "of each value, `outrider validate` checks it. `otlp.grpc: ADDRESS` is short for `otlp.grpc: {listen: ADDRESS}`; `off`",
        "switches that port off. Each file (token, certificate, key) is read again when it changes. `OUTRIDER_LOGS` and `--logs`",
        "take patterns of log files with commas between them.",
        "",
        *_table(_rows(Config, "", names)),
        "",
        "## Checks",
        "",
        "Every entry of `probes` has a `kind` and these keys:",
        "",
        *_table(_rows(CheckConfig, "", {})),
    ]
    common = set(CheckConfig.__struct_fields__)
    for kind, made in PROBES.items():
        own = [row for row in _rows(made.config, "", {}) if row[0].strip("`").split(".")[0] not in common]
        lines += ["", f"### kind: {kind}", "", _first(made.config), ""]
        lines += _table(own) if own else ["No keys of its own."]
    return "\n".join(lines) + "\n"


Row = tuple[str, str, str, str]


def _rows(kind: type, path: str, names: dict[str, str]) -> Iterator[Row]:
    defaults = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, annotation in hints(kind).items():
        at, inner = join(path, name), optional_of(annotation) or annotation
        if shorthand_of(inner) is not None:
            inner = inner.__origin__
        origin = typing.get_origin(inner) or inner
        if table_of(inner) is not None:
            continue
        if scalar_of(inner) is None and isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            yield from _rows(origin, at, names)
        elif scalar_of(inner) is None and origin is dict and table_of(typing.get_args(inner)[1]) is not None:
            yield f"`{at}.NAME`", "a check, see below", "", ""
        elif scalar_of(inner) is None and origin in (tuple, list) and _is_struct(typing.get_args(inner)[0]):
            yield from _rows(typing.get_args(inner)[0], f"{at}[]", {})
        else:
            yield (
                f"`{at}`",
                _takes(inner),
                _default(defaults[name], inner),
                f"`{names[at]}`" if at in names else "",
            )


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _takes(kind: Any) -> str:
    return "; ".join([_type(kind), *(rule.expected for rule in rules_of(kind))])


def _type(kind: Any) -> str:
    scalar = scalar_of(kind)
    if scalar is not None:
        return re.sub(r"\w+://[^\s,]+", r"`\g<0>`", scalar.expected)
    kind = bare(kind)
    origin, args = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is dict:
        return f"a mapping to {_takes(args[1])}"
    if origin in (tuple, list):
        return f"a list of {_takes(args[0])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    return {str: "text", int: "a whole number", float: "a number", bool: "`true` or `false`"}.get(kind, "any value")


def _default(field: msgspec.structs.FieldInfo, kind: Any) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else None
    if value in (None, "", (), {}, []):
        return ""
    scalar = scalar_of(kind)
    if scalar is not None:
        return f"`{scalar.show(value)}`"
    return f"`{value.value if isinstance(value, Enum) else str(value).lower()}`"


def _table(rows: typing.Iterable[Row]) -> list[str]:
    """A key and its variable share a cell: side by side they leave no room for the rest."""
    rows = list(rows)
    head = "key, environment" if any(row[3] for row in rows) else "key"
    lines = [f"| {head} | takes | default |", "|---|---|---|"]
    return lines + [
        f"| {'<br>'.join(filter(None, (key, variable)))} | {takes} | {default} |"
        for key, takes, default, variable in rows
    ]


def _first(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def command_line() -> str:
    """The help of every command, as it is printed."""
    # argparse wraps at the terminal's width.
    os.environ["COLUMNS"] = "100"
    top = parser()
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    helps = {name: made.format_help() for name, made in commands.choices.items() if made.add_help}
    lines = ["# Command line", "", "```text", top.format_help().rstrip(), "```"]
    helps["healthcheck"] = HEALTHCHECK_USAGE
    helps |= {"collector": collector.app.parser().format_help(), "demo": demo.run.parser().format_help()}
    for name, text in helps.items():
        lines += ["", f"## outrider {name}", "", "```text", text.rstrip(), "```"]
    lines += [
        "",
        "Exit codes: `check` 0 pass, 1 warn, 2 fail, 3 unknown; 78 where the configuration is bad; `healthcheck` 0 or 1.",
    ]
    return "\n".join(lines) + "\n"


def metrics() -> str:
    """Every metric, by its OpenTelemetry and its Prometheus name."""
    lines = [
        "# Metrics",
        "",
        "The same metrics leave by OTLP, under the first name, and are read at `/metrics`, under the second.",
        "",
        "## The service's process",
        "",
        "Sums over the whole process tree, looked at every 5 s or more often: a process that starts and ends between two",
        "looks, such as one for each request, is not in them. Names and units are OpenTelemetry's semantic conventions.",
        "",
        *_metric_table(PROCESS),
        "",
        "## Health and the sidecar itself",
        "",
        *_metric_table(DECLARED),
    ]
    return "\n".join(lines) + "\n"


def _metric_table(declared: typing.Iterable[Declared]) -> Iterator[str]:
    yield "| metric | kind, unit | attributes | meaning |"
    yield "|---|---|---|---|"
    for d in declared:
        attributes = "<br>".join(f"`{name}`" for name in d.attributes)
        prometheus = prometheus_name(d.name, d.unit, d.kind)
        yield f"| `{d.name}`<br>`{prometheus}` | {d.kind}<br>{d.unit} | {attributes} | {d.description} |"


PAGES = {"configuration.md": configuration, "cli.md": command_line, "metrics.md": metrics}


def main() -> int:
    """Write every page, or with `--check` compare."""
    check = sys.argv[1:] == ["--check"]
    drifted = []
    for name, make in PAGES.items():
        page, text = ROOT / "docs" / "reference" / name, make()
        if check and (not page.exists() or page.read_text() != text):
            drifted.append(name)
        if not check:
            page.write_text(text)
    for name in drifted:
        print(f"docs/reference/{name} is not what the code says: run `make reference`", file=sys.stderr)
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
