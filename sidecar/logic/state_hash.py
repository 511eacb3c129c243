"""One hash over the state of all checks: sidecar and collector compare it to notice that they disagree."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from ..model.health import Check


def state_hash(checks: Iterable[Check]) -> str:
    """16 hex digits over sorted (name, state, flags). Outputs and observed values do not count: they change always."""
    digest = blake2b(digest_size=8)
    for check in sorted(checks, key=lambda check: check.name):
        for part in (check.name, check.state, *sorted(check.flags)):
            digest.update(part.encode() + b"\0")
        digest.update(b"\n")
    return digest.hexdigest()
