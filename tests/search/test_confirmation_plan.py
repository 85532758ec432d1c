"""Which setting and repeat a confirmation's trial is: for ever the same, however the confirmation grows."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.records import ConfirmationPlan, Setting


def settings(*trials: int) -> list[Setting]:
    return [Setting(trial, {"lr": 0.1 * trial}, trial / 100) for trial in trials]


def places(roster: ConfirmationPlan) -> list[tuple[int, int]]:
    """The trial that is repeated, and the repeat, by number."""
    found = [roster.place(number) for number in range(roster.size)]
    return [(roster.settings[index].trial, repeat) for index, repeat in found]


Growths = st.lists(
    st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True), st.integers(1, 6)), max_size=6
)


@given(Growths)
def test_growing_in_any_direction_keeps_every_number_and_gives_what_was_asked(
    growths: list[tuple[list[int], int]],
) -> None:
    roster, asked = ConfirmationPlan(), set()
    for trials, repeats in growths:
        before = places(roster)
        roster = roster.grown(settings(*trials), repeats)
        after = places(roster)
        assert after[: len(before)] == before
        asked |= {(trial, repeat) for trial in trials for repeat in range(repeats)}
        # Nothing twice, nothing that nobody asked for.
        assert Counter(after) == Counter(asked)
        # As soon as all numbers below the end are there, so is what was asked.
        end = roster.end(trials, repeats)
        wanted = {(trial, repeat) for trial in trials for repeat in range(repeats)}
        assert wanted <= set(after[:end])
        assert not wanted <= set(after[: end - 1])
        assert roster.grown(settings(*trials), repeats) == roster
    assert ConfirmationPlan.from_dict(json.loads(json.dumps(roster.to_dict()))) == roster


def test_a_stopped_run_has_trained_all_settings_about_equally_often() -> None:
    roster = ConfirmationPlan().grown(settings(7, 3, 5), 4)
    for stop in range(1, roster.size):
        many = Counter(trial for trial, _ in places(roster)[:stop])
        assert max(many.values()) - min(many.get(trial, 0) for trial in (7, 3, 5)) <= 1


def test_latecomers_are_brought_level_first() -> None:
    roster = ConfirmationPlan().grown(settings(7), 2).grown(settings(7, 3), 3)
    assert places(roster) == [(7, 0), (7, 1), (3, 0), (3, 1), (7, 2), (3, 2)]


def test_a_number_without_a_place_is_no_trial() -> None:
    with pytest.raises(IndexError):
        ConfirmationPlan().grown(settings(7), 2).place(2)
