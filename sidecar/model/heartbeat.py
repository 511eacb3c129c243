"""The contract between sidecar and collector: `POST /v1/heartbeats`, JSON.

`epoch` is new with each start of a sidecar (unix nanoseconds), `seq` rises by one with each heartbeat inside it: a pair
that is not greater than the last one seen is late or repeated and changes nothing. `full` says that `checks` holds
every check; otherwise it holds those that changed, and `removed` those that are gone. `state_hash` covers
(name, state, flags) of *all* checks, so that a collector which disagrees asks for a full one (`resync`).
Unknown fields are ignored on both sides: old and new talk.
"""

from __future__ import annotations

import msgspec

from .health import Check
from .resource import Attributes

HEARTBEAT_VERSION = 1
HEARTBEAT_PATH = "/v1/heartbeats"
LEASE_INTERVALS = 3


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """Calls from this instance to a peer since the last heartbeat."""

    peer: str
    kind: str
    calls: int
    errors: int
    p50_ms: float
    p95_ms: float


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen around a transition: a log line or an error's trace id."""

    at: float
    kind: str
    value: str


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    v: int = HEARTBEAT_VERSION
    instance: str
    epoch: int
    seq: int
    interval_s: float
    state_hash: str
    full: bool
    resource: Attributes = {}
    checks: tuple[Check, ...] = ()
    removed: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    leaving: bool = False
    """The sidecar is stopping in order: silence after this is expected."""


class HeartbeatReply(msgspec.Struct, frozen=True, kw_only=True):
    """`revision` is the collector's, `resync` asks for a full heartbeat, `next_s` for another interval (0: keep)."""

    revision: int
    resync: bool = False
    next_s: float = 0.0
