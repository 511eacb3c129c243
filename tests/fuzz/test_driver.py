"""The driver of the long form: it runs every property, and a property that fails ends it with the seed."""

from __future__ import annotations

import time
import types
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import __main__ as driver
from tests.fuzz.targets import TARGETS, properties


@pytest.mark.parametrize("limit", [10, 300])
@settings(max_examples=50, database=None)
@given(number=st.integers(0, 1000))
def below(limit: int, number: int) -> None:
    assert number < limit + 100


@settings(max_examples=5, database=None, deadline=None)
@given(st.none())
def hangs(_: None) -> None:
    while True:
        pass


@settings(max_examples=5, database=None, deadline=None)
@given(st.none())
def waits(_: None) -> None:
    time.sleep(0.3)


def module(*tests: object) -> types.ModuleType:
    made = types.ModuleType("made")
    for number, test in enumerate(tests):
        setattr(made, f"test_{number}", test)
    return made


def test_every_target_has_properties_and_each_combination_of_its_parameters_is_one() -> None:
    found = list(properties(TARGETS))
    assert {each.target for each in found} == set(TARGETS)
    survives = [
        each.given for each in found if each.name.startswith("tests.sidecar.logic.test_otlp_json.test_any_message")
    ]
    assert len(survives) == 6
    assert {(each["signal"], each["piece"]) for each in survives} == {
        (signal, piece) for signal in ("traces", "metrics", "logs") for piece in (0, 64 << 10)
    }


def test_a_property_that_fails_is_named_with_the_seed_that_finds_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    found = list(properties({"numbers": [module(below)]}))
    assert driver.fuzz(found, 30.0, 7, counts) is False
    said = capsys.readouterr()
    assert "below[limit=10] fails; again: make fuzz FUZZ_SECONDS=0 FUZZ_SEED=7" in said.out
    assert "number=110," in said.err
    assert counts["numbers"] > 1


def test_an_example_that_never_ends_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "HANG", 0.1)
    assert driver.fuzz(list(properties({"loop": [module(hangs)]})), 0.0, 1, Counter()) is False
    assert "Hung" in capsys.readouterr().err


def test_an_example_that_has_to_wait_for_the_machine_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "HANG", 0.1)
    assert driver.fuzz(list(properties({"stop": [module(waits)]})), 0.0, 1, Counter())
