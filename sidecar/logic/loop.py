"""Telemetry that comes back to an Outrider is refused there: it would go round for ever.

Each Outrider adds its name to `outrider-via` of what it sends on. Who finds its own name there answers 508, and whoever is
answered 508 holds that upstream and answers 508 too, so all round the circle hear of it with the first request. Nobody needs to
know addresses: it holds through DNS, proxies, published ports and over both protocols.

`outrider-hop` only counts, which bounds what names cannot show: a joined batch carries the names of its longest way, and rows in
a spool carry none.
"""

from __future__ import annotations

import re

MAX_VIA = 512
"""Bytes of names: above what `MAX_HOPS` Outriders give themselves. More was not written by one."""

_NAMES = re.compile(r"[!-~]+(?: [!-~]+)*")


def name_of(instance: str, bits: int) -> str:
    """For people the instance; 32 random `bits` because two may have the same."""
    return f"{re.sub('[^!-~]', '', instance)[:64]}~{bits:08x}"


def via_of(value: bytes) -> str:
    """The header's names, oldest first; empty where it is none of ours."""
    if not value:
        return ""
    text = value[: MAX_VIA + 1].decode("latin-1")
    return text if len(text) <= MAX_VIA and _NAMES.fullmatch(text) else ""


def via_with(via: str, name: str) -> str:
    """What `name` sends on."""
    return f"{via} {name}".strip()


def comes_back(via: str, name: str) -> str:
    """What to say of a request that has come to `name` this way; empty where it has not been there before."""
    names = via.split(" ")
    if name not in names:
        return ""
    if names[-1] == name:
        return f"this upstream is this sidecar's own listener ({name})"
    return f"the upstreams form a loop: {' -> '.join([*names[names.index(name) :], name])}"
