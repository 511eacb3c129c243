"""What happened in the fleet, as values: written by the registry, kept by the store, shown by the API."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from sidecar.model.health import State


class Moment(NamedTuple):
    """Now, twice: `unix` seconds are shown and stored and may jump; `monotonic` seconds measure leases."""

    unix: float
    monotonic: float


class EventKind(StrEnum):
    STATUS = "status"
    """A service, an instance or a check changed its status."""
    JOINED = "joined"
    RESTARTED = "restarted"
    """The sidecar of the instance started anew."""
    SHARED = "shared"
    """Two sidecars that both live report as this instance."""
    LEFT = "left"
    """Its sidecar said goodbye; of a service: its last instance is gone."""
    FORGOTTEN = "forgotten"
    """Silent for so long that it is no longer counted."""


class Standing(msgspec.Struct, frozen=True):
    """A status and the unix second at which it began."""

    status: State
    since: float


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is the collector's clock; `since` is when the new status began, as far as is known.

    An empty `check` means the instance as a whole, an empty `instance` the service.
    """

    at: float
    kind: EventKind
    service: str
    instance: str = ""
    check: str = ""
    before: State | None = None
    after: State | None = None
    since: float | None = None
    output: str = ""


class Restored(msgspec.Struct, frozen=True):
    """The last recorded standing of a service, an instance or a check, named as in `Event`."""

    service: str
    instance: str
    check: str
    standing: Standing
