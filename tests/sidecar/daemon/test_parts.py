"""The parts of a sidecar, made out of its configuration."""

from __future__ import annotations

import random

from sidecar.daemon.parts import Parts
from sidecar.io.descriptors import connections
from tests.sidecar.daemon.running import Events, Hurried, settings


async def test_connections_are_as_many_as_descriptors_allow() -> None:
    log, loaded = Events().log, settings({"OUTRIDER_OTLP_MAX_CONNECTIONS": "100"})
    few, many = (Parts(loaded, Hurried(), random.Random(1), log, connections(n), (), None) for n in (64, 1024))
    assert (few.receiver.config.max_connections, many.receiver.config.max_connections) == (24, 100)
