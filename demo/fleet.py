"""The demo's questions to the collector, and what it learns from its own traffic."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import aiohttp
import msgspec

from sidecar.model.health import State

from .plan import Plan
from .table import Row
from .traffic import Rates

TIMEOUT = aiohttp.ClientTimeout(total=1)


class Told(msgspec.Struct, frozen=True):
    """What we read of an instance in the collector's answer."""

    instance: str
    service: str
    status: State
    since: datetime
    reasons: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    instances: tuple[Told, ...]


class Fleet:
    """Asks the collector as anybody would, by HTTP."""

    def __init__(self, session: aiohttp.ClientSession, plan: Plan) -> None:
        self.session = session
        self.plan = plan

    async def rows(self) -> list[Row]:
        """One row per planned instance; `unknown` where the collector has none or does not answer."""
        try:
            async with self.session.get(f"{self.plan.collector}/v1/instances", timeout=TIMEOUT) as answer:
                answer.raise_for_status()
                heard = parse(await answer.read())
            why = "not heard yet"
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            heard, why = {}, f"the collector does not answer: {error or type(error).__name__}"
        return [
            heard.get(i.name) or Row(service=i.service, instance=i.name, status=State.UNKNOWN, since=0.0, why=why)
            for i in self.plan.instances
        ]


def parse(body: bytes) -> dict[str, Row]:
    """The rows of `GET /v1/instances` by instance. Raises `msgspec.MsgspecError`."""
    return {
        told.instance: Row(
            service=told.service,
            instance=told.instance,
            status=told.status,
            since=told.since.timestamp(),
            why="; ".join(told.reasons),
        )
        for told in msgspec.json.decode(body, type=Answer).instances
    }


def last_rates(log: Path) -> Rates | None:
    """What traffic printed last; None before the first second."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 1024))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            return msgspec.json.decode(line, type=Rates)
        except msgspec.DecodeError:
            continue  # half a line, or a traceback
    return None
