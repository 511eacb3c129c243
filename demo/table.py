"""The demo's table: the collector's answer as lines of text. Pure: `now` and width are arguments."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from sidecar.model.health import State

from .traffic import Rates

# A sign and a word beside the colour, so that nothing hangs on the colour alone.
SIGNS = {State.PASS: "●", State.WARN: "▲", State.FAIL: "✖", State.UNKNOWN: "?"}
COLOURS = {State.PASS: "32", State.WARN: "33", State.FAIL: "31;1", State.UNKNOWN: "35"}
HEAD = ("SERVICE", "INSTANCE", "STATUS", "SINCE", "WHY")
ROOM_FOR_AGES = 100
"""Columns. On fewer the age is left out: the reason would be cut to a few words."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One instance. `since` is unix seconds of its last change, 0 when nobody knows; `why` keeps it from `pass`."""

    service: str
    instance: str
    status: State
    since: float
    why: str = ""


def table(rows: Iterable[Row], now: float, *, width: int = 100, colour: bool = False) -> list[str]:
    """Head and one line per row, by service; the service is named once. Lines are cut to `width`."""
    ordered = sorted(rows, key=lambda row: (row.service, row.instance))
    when = since if width >= ROOM_FOR_AGES else began
    cells = [
        (row.service, row.instance, f"{SIGNS[row.status]} {row.status}", when(row.since, now), row.why)
        for row in ordered
    ]
    # As wide as what these columns will hold some time, so that nothing jumps when it does.
    least = ("", "", "? unknown", when(now - 59 * 60 - 59, now), "")
    widths = [max(len(line[column]) for line in [least, HEAD, *cells]) for column in range(len(HEAD))]
    lines = [paint(laid(HEAD, widths, width), "1", colour)]
    last = ""
    for row, cell in zip(ordered, cells, strict=True):
        shown = ("" if cell[0] == last else cell[0], *cell[1:])
        last = cell[0]
        line = laid(shown, widths, width)
        start = sum(widths[:2]) + 4
        sign = line[start : start + len(cell[2])]
        lines.append(line[:start] + paint(sign, COLOURS[row.status], colour) + line[start + len(sign) :])
    return lines


def laid(cells: tuple[str, ...], widths: list[int], width: int) -> str:
    line = "  ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True)).rstrip()
    return line if len(line) <= width else line[: width - 1] + "…"


def paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text


def since(at: float, now: float) -> str:
    """`08:31:15 (2m 5s)`, local time; empty for 0."""
    if at <= 0:
        return ""
    return f"{clock(at)} ({ago(now - at)})"


def began(at: float, _: float) -> str:
    """`08:31:15`, local time; empty for 0."""
    return clock(at) if at > 0 else ""


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def ago(seconds: float) -> str:
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s" if minutes else f"{rest}s"


def change(row: Row, before: State | None, now: float) -> str:
    """One line for a log: `08:31:15  cache-server-1  ✖ pass → fail  live: connection refused`"""
    turn = str(row.status) if before is None else f"{before} → {row.status}"
    return f"{clock(row.since or now)}  {row.instance}  {SIGNS[row.status]} {turn}  {row.why}".rstrip()


def traffic(rates: Rates | None) -> str:
    """The line under the table."""
    if rates is None:
        return "traffic: starting"
    hits = "-" if rates.cache_hit_ratio is None else f"{rates.cache_hit_ratio * 100:.0f} %"
    return (
        f"traffic: {rates.requests_per_second:.1f} req/s, {rates.errors} errors, p95 {rates.p95_ms:.0f} ms, "
        f"cache hits {hits} (last 5 s)"
    )
