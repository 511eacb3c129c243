"""Each test plays producers against a `Gathering`, with an upstream that answers a flight after a time of its own."""

from __future__ import annotations

import random

import pytest

from sidecar.logic.gathering import LONGEST, Gathering

TRIP = 0.0003


def flights(arrivals: list[float]) -> list[list[float]]:
    """Open loop: requests come at given times, whatever becomes of them. The waits of each flight's requests."""
    left, made, state, last = 0.0, [], Gathering(), 0.0
    at = 0
    while at < len(arrivals):
        first = max(arrivals[at], left)  # one flight at a time
        count = sum(1 for when in arrivals[at : at + 500] if when <= first)
        until = max(first, arrivals[at] + state.wait(count))
        while count < state.wanted and at + count < len(arrivals) and arrivals[at + count] <= until:
            count += 1
        leaves = max(first, arrivals[at + count - 1]) if count >= state.wanted else until
        made.append([leaves - when for when in arrivals[at : at + count]])
        state = state.step(count, leaves - last, leaves - arrivals[at + count - 1])
        last, left, at = leaves, leaves + TRIP, at + count
    return made


def closed(producers: int, rounds: int = 2000) -> tuple[float, float]:
    """Each producer sends its next request right after its answer: requests a flight, and seconds a round, at the end."""
    state, now, last = Gathering(), 0.0, 0.0
    sizes: list[int] = []
    began = 0.0
    for number in range(rounds):
        if number == rounds // 2:
            sizes, began = [], now
        leaves = now + state.wait(producers)
        state = state.step(producers, leaves - last, leaves - now)
        sizes.append(producers)
        last, now = leaves, leaves + TRIP
    return sum(sizes) / len(sizes), (now - began) / len(sizes)


def test_where_requests_are_rare_none_is_held_back() -> None:
    waits = [wait for flight in flights([n * 0.05 for n in range(200)]) for wait in flight]
    assert waits == [0.0] * 200


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_a_second_leave_some_at_a_time_and_none_waits_longer_than_the_longest(seed: int) -> None:
    rng, now, arrivals = random.Random(seed), 0.0, []
    for _ in range(5000):
        now += rng.expovariate(1000)
        arrivals.append(now)
    made = flights(arrivals)[100:]
    assert sum(map(len, made)) / len(made) > 2
    assert max(wait for flight in made for wait in flight) <= LONGEST + TRIP


@pytest.mark.parametrize("producers", [1, 4, 64])
def test_for_producers_that_wait_for_their_answers_a_wait_in_vain_is_seldom(producers: int) -> None:
    size, seconds = closed(producers)
    assert size == producers
    assert seconds < TRIP * 1.2


def test_after_a_rush_it_is_quiet_again_at_once() -> None:
    state = Gathering()
    for _ in range(100):
        state = state.step(state.wanted, 0.0005 * state.wanted, 0.0)
    assert state.wait(1) > 0
    for _ in range(3):
        state = state.step(1, 1.0, 0.0)
    assert state.wait(0) == 0.0
