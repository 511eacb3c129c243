"""Hundreds of random sequences, each from its seed; a failure prints the shortest form that still fails and how to repeat it.

Always the same ones, because no landing should fail for what it did not do; OUTRIDER_MODEL_SEED sets another first seed, and
`python -m tests.model` plays new ones each time. Where a process is killed only the actions are always the same: what it was
doing then is up to the system, so a failure also prints when each kill came, and may take several tries to repeat.
"""

from __future__ import annotations

import os

import pytest

from tests.model.search import search

SEED = int(os.environ.get("OUTRIDER_MODEL_SEED", "1"))


async def test_no_line_is_lost_that_could_be_read_and_none_comes_again_that_was_remembered() -> None:
    if found := await search(SEED, 400):
        pytest.fail(found)


async def test_the_same_holds_for_a_process_that_is_killed_by_the_system() -> None:
    if found := await search(SEED, 4, child=True):
        pytest.fail(found)
