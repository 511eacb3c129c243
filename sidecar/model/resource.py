"""Who the telemetry is about: OpenTelemetry resource attributes of the neighbour."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Attributes: TypeAlias = dict[str, str]


class Resource(msgspec.Struct, frozen=True):
    """Attributes by their semantic-convention names; `service.name` and `service.instance.id` are always there."""

    attributes: Attributes

    @property
    def service(self) -> str:
        return self.attributes["service.name"]

    @property
    def instance(self) -> str:
        return self.attributes["service.instance.id"]
