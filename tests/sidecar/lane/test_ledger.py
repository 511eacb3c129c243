"""A parcel is opened once and closed once, and its producer hears of it once."""

from __future__ import annotations

import asyncio
import random

import pytest

from sidecar.lane.ledger import Ledger
from sidecar.logic.otlp_http import OK
from sidecar.model.signals import Accepted, Batch, Hold, Outcome, PartlyAccepted, Rejected, RetryLater, Signal, Split
from sidecar.parcel import Parcel, Request


def opened(ledger: Ledger, *, keep: bool = False, own: bool = False, request: Request | None = None) -> Parcel:
    parcel = Parcel(Batch(Signal.LOGS, b"body", 10), request, 8.0, keep=keep, own=own)
    ledger.open(parcel)
    return parcel


@pytest.mark.parametrize(
    ("outcome", "keep", "own", "counted"),
    [
        (Accepted(), False, False, {"accepted": 10}),
        (PartlyAccepted(3, "old"), False, False, {"rejected": 3, "accepted": 7}),
        (Rejected("no"), False, False, {"rejected": 10}),
        (Split("large"), False, False, {"too_large": 10}),
        (RetryLater(None, "down"), False, False, {"refused": 10}),
        (Hold("HTTP 401"), True, False, {"evicted": 10}),
        (Hold("HTTP 401"), False, True, {"dropped": 10}),
    ],
)
def test_items_are_counted_by_what_became_of_them(
    outcome: Outcome, keep: bool, own: bool, counted: dict[str, int]
) -> None:
    ledger = Ledger("up", random.Random(1), None)
    parcel = opened(ledger, keep=keep, own=own)
    assert (ledger.bytes, ledger.own, ledger.counters.taken_items) == (4, 4 * own, 10)
    for _ in range(2):
        ledger.settle(parcel, outcome, alone=True)
    assert (ledger.bytes, ledger.own, ledger.counters.by_outcome()) == (0, 0, counted)


async def test_a_flight_that_arrives_closes_all_that_are_open_and_answers_them() -> None:
    ledger = Ledger("up", random.Random(1), None)
    answer = asyncio.get_running_loop().create_future()
    parcels = [opened(ledger, request=Request(answer, 1)), opened(ledger, own=True), opened(ledger)]
    ledger.settle(parcels[2], RetryLater(None, "stopping"), alone=True)
    ledger.arrived(parcels, Accepted())
    assert answer.result() == OK
    assert (ledger.bytes, ledger.own, ledger.counters.by_outcome()) == (0, 0, {"accepted": 20, "refused": 10})


def test_of_a_joined_batch_no_more_items_are_rejected_than_it_had() -> None:
    ledger = Ledger("up", random.Random(1), None)
    parcels = [opened(ledger), opened(ledger)]
    ledger.partly(parcels, 1000)
    for parcel in parcels:
        ledger.settle(parcel, PartlyAccepted(1000, "old"), alone=False)
    assert ledger.counters.by_outcome() == {"rejected": 20, "accepted": 0}


def test_what_is_read_again_is_claimed_until_the_spool_has_it_back() -> None:
    ledger = Ledger("up", random.Random(1), None)
    parcel = Parcel(Batch(Signal.LOGS, b"body", 10), None, 8.0, number=7)
    ledger.reopen(parcel)
    assert (ledger.bytes, ledger.claimed, ledger.counters.taken_items) == (4, {7}, 0)
    ledger.forget(parcel)
    assert (ledger.bytes, ledger.claimed) == (0, set())
