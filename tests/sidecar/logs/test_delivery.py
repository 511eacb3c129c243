"""Marks pass to their streams in the order in which records were put, and never past one that is not settled."""

from __future__ import annotations

import asyncio
import random

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from sidecar.logic.otlp_http import OK, Reply, refusal
from sidecar.logic.otlp_logs import Frame, Packer, observed_at
from sidecar.logs.delivery import FULL, MOST, Delivery
from sidecar.model.logs import LogRecord
from sidecar.model.signals import Batch
from tests.fakes import FakeClock, settle, until


class Stream:
    def __init__(self) -> None:
        self.marks: list[int] = []
        self.packer = Packer(b"0" * 16, {})

    def settled(self, mark: int) -> None:
        self.marks.append(mark)

    def put(self, delivery: Delivery, body: bytes, mark: int) -> None:
        parts: list[bytes] = []
        size = self.packer.pack([LogRecord(body)], [mark], observed_at(1), parts)
        delivery.put(self, parts, size, 1, mark)


class Relay:
    """Keeps what it is given; the test answers."""

    def __init__(self) -> None:
        self.taken: list[Batch] = []
        self.answers: list[asyncio.Future[Reply]] = []

    def take(self, batch: Batch) -> asyncio.Future[Reply]:
        self.taken.append(batch)
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def bodies(self, n: int) -> list[str]:
        request = ExportLogsServiceRequest.FromString(self.taken[n].body)
        return [r.body.string_value for logs in request.resource_logs for s in logs.scope_logs for r in s.log_records]


def made(relay: Relay, clock: FakeClock | None = None) -> Delivery:
    return Delivery(relay.take, Frame({"service.name": "x"}, "outrider", "1"), clock or FakeClock(), random.Random(1))


BIG = b"x" * FULL


async def test_records_of_several_streams_leave_together() -> None:
    relay, one, two = Relay(), Stream(), Stream()
    delivery = made(relay)
    one.put(delivery, b"a", 1)
    two.put(delivery, b"b", 5)
    one.put(delivery, b"c", 2)
    await until(lambda: relay.taken)
    assert (relay.bodies(0), relay.taken[0].items) == (["a", "b", "c"], 3)
    assert one.marks == []
    relay.answers[0].set_result(OK)
    await delivery.flush()
    assert (one.marks, two.marks) == ([2], [5])


async def test_a_later_parcel_that_is_accepted_first_waits_for_the_earlier_one() -> None:
    relay, stream = Relay(), Stream()
    delivery = made(relay)
    for mark in (1, 2):
        stream.put(delivery, BIG, mark)
    await settle()
    relay.answers[1].set_result(OK)
    await settle()
    assert stream.marks == []
    relay.answers[0].set_result(OK)
    await settle()
    assert stream.marks == [1, 2]


async def test_there_is_no_room_while_so_many_parcels_wait_for_their_answer() -> None:
    relay, stream, clock = Relay(), Stream(), FakeClock(start=100.0)
    delivery = made(relay, clock)
    for mark in range(MOST):
        await delivery.room()
        assert delivery.full_since is None
        stream.put(delivery, BIG, mark)
    more = asyncio.create_task(delivery.room())
    await clock.advance(9.0)
    assert (more.done(), delivery.full_since) == (False, 100.0)
    relay.answers[0].set_result(OK)
    await until(more.done)
    assert delivery.full_since is None


async def test_a_refused_parcel_is_offered_again_until_it_is_taken() -> None:
    relay, stream, clock = Relay(), Stream(), FakeClock()
    delivery = made(relay, clock)
    stream.put(delivery, BIG, 9)
    for n in range(12):
        await until(lambda n=n: len(relay.answers) > n)  # type: ignore[misc]
        relay.answers[n].set_result(refusal(503, "down", 1))
        await clock.advance(5.0)
    assert (delivery.why, stream.marks) == ("down", [])
    await until(lambda: len(relay.answers) > 12)
    relay.answers[12].set_result(OK)
    await delivery.flush()
    assert (delivery.why, stream.marks) == ("", [9])


async def test_offers_of_a_refused_parcel_become_rarer_whatever_wait_is_asked_for() -> None:
    """One of several upstreams may take it each time."""
    relay, stream, clock = Relay(), Stream(), FakeClock()
    delivery = made(relay, clock)
    stream.put(delivery, BIG, 9)
    for n in range(4):
        await until(lambda n=n: len(relay.answers) > n)  # type: ignore[misc]
        relay.answers[n].set_result(refusal(503, "down", 1))
        await clock.advance(5.0)
    await until(lambda: len(relay.answers) > 4)
    relay.answers[4].set_result(refusal(503, "down", 1))
    await clock.advance(2.4)
    assert len(relay.answers) == 5
    await clock.advance(2.6)
    assert len(relay.answers) == 6
    await delivery.close()


async def test_a_relay_that_breaks_on_a_bug_is_shown_and_asked_again() -> None:
    relay, stream, clock = Relay(), Stream(), FakeClock()
    bugs = [ZeroDivisionError("bug")]

    def take(batch: Batch) -> asyncio.Future[Reply]:
        if bugs:
            raise bugs.pop()
        return relay.take(batch)

    delivery = Delivery(take, Frame({}, "outrider", "1"), clock, random.Random(1))
    stream.put(delivery, BIG, 9)
    await settle()
    assert delivery.why == "broken: ZeroDivisionError: bug"
    await clock.advance(1.0)
    relay.answers[0].set_result(OK)
    await delivery.flush()
    assert (delivery.why, stream.marks) == ("", [9])


async def test_what_is_rejected_is_settled_and_not_offered_again() -> None:
    relay, stream = Relay(), Stream()
    delivery = made(relay)
    stream.put(delivery, BIG, 9)
    await settle()
    relay.answers[0].set_result(refusal(400, "no"))
    await delivery.flush()
    assert (len(relay.answers), stream.marks, delivery.why) == (1, [9], "no")


async def test_lines_of_which_nothing_is_kept_are_settled_behind_what_was_put_before() -> None:
    relay, stream = Relay(), Stream()
    delivery = made(relay)
    stream.put(delivery, BIG, 1)
    delivery.put(stream, [], 0, 0, 2)
    flushed = asyncio.create_task(delivery.flush())
    await settle()
    assert stream.marks == []
    relay.answers[0].set_result(OK)
    await flushed
    assert stream.marks == [1, 2]


async def test_with_nowhere_to_send_everything_is_settled() -> None:
    stream = Stream()
    delivery = Delivery(None, Frame({}, "outrider", "1"), FakeClock(), random.Random(1))
    stream.put(delivery, b"a", 1)
    await delivery.flush()
    assert stream.marks == [1]


async def test_what_is_not_settled_when_it_closes_is_not_said_to_be() -> None:
    relay, stream = Relay(), Stream()
    delivery = made(relay)
    stream.put(delivery, BIG, 1)
    await settle()
    await delivery.close()
    assert stream.marks == []
