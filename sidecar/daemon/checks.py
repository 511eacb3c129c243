"""Every configured check with its probe."""

from __future__ import annotations

import random
from collections.abc import Callable

from ..config import Config, kind_of
from ..io.clock import Clock
from ..io.resolver import Resolver
from ..logic.log_watch import LogWatch
from ..model.process import ProcessSample
from ..monitor import Monitor, Watched
from ..probes import PROBES, http, tcp
from ..probes.base import CheckConfig, Context
from ..version import VERSION

USER_AGENT = f"outrider/{VERSION}"


def monitor_of(
    config: Config,
    clock: Clock,
    rng: random.Random,
    resolver: Resolver,
    process: Callable[[], ProcessSample],
    watch: Callable[[LogWatch], None],
) -> Monitor:
    """Checks on logs are given to `watch`."""
    context = Context(USER_AGENT, resolver, config.target.url, process, rng, clock.now, watch)
    watched = {
        name: Watched(kind_of(check), check, PROBES[kind_of(check)].probe(check, context), _looks_at_target(check))
        for name, check in config.probes.items()
    }
    return Monitor(watched, clock, rng, trouble=lambda: process().trouble)


def _looks_at_target(check: CheckConfig) -> bool:
    match check:
        case http.Config(url=url):
            return url is None or "://" not in url
        case tcp.Config(address=address):
            return address is None
        case _:
            return False
