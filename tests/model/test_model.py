"""Hundreds of random sequences, each from its seed; a failure prints the shortest form that still fails and how to repeat it.

OUTRIDER_MODEL_SEED sets the first seed; the failure names the one that it needs.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.model.search import search

SEED = int(os.environ.get("OUTRIDER_MODEL_SEED", str(random.SystemRandom().randrange(1 << 32))))


async def test_no_line_is_lost_that_could_be_read_and_none_comes_again_that_was_remembered() -> None:
    if found := await search(SEED, 400):
        pytest.fail(found)


async def test_the_same_holds_for_a_process_that_is_killed_by_the_system() -> None:
    if found := await search(SEED, 4, child=True):
        pytest.fail(found)
