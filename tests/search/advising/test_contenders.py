"""The best trial of a search among its rivals: ties, the corrected score, and honesty where hits are missing."""

from __future__ import annotations

from collections.abc import Mapping

import hit_stages
import numpy as np
import pytest

from hpsearch.records import HITS, VALIDATION_LOSS, Completed
from hpsearch.search.best import MOST, best_trial, hits_of, ties_of
from hpsearch.space import Value
from hpsearch.statistics import wilson
from hpsearch.statistics.hits import pack
from hpsearch.store import Owner, Store


def test_before_any_trial_there_is_no_best(store: Store) -> None:
    assert best_trial(store, [hit_stages.make(store, [], trials=0)]) is None


def test_the_best_of_equals_has_rivals_and_luck(store: Store) -> None:
    accuracies = np.random.default_rng(0).normal(0.8, 0.04, 100).clip(0.6, 0.95).tolist()
    found = best_trial(store, [hit_stages.make(store, accuracies, shared=0.6)])
    assert found is not None
    best = found.best
    assert best.score == pytest.approx(max(accuracies), abs=0.01)
    assert best.images == 100
    assert best.interval == wilson(round(best.score * 100), 100)
    assert best.corrected is not None
    assert best.corrected < best.score - 0.02
    assert best.corrected_interval is not None
    assert best.corrected_interval.low < best.corrected < best.corrected_interval.high < best.interval.high
    assert found.paired
    assert len(found.tied_numbers) > 20
    assert found.tied_numbers == tuple(found.columns["number"][1:][: len(found.tied_numbers)])


def test_a_clear_winner_ties_with_nobody_and_keeps_its_score(store: Store) -> None:
    found = best_trial(store, [hit_stages.make(store, [0.95, *[0.3] * 49], trials=50)])
    assert found is not None
    assert (found.best.trial, found.tied_numbers, found.known) == (0, (), True)
    assert found.best.corrected == pytest.approx(0.95, abs=0.01)
    assert found.ties_sentence() == "no other trial of made/stage-01 ties with it"


def test_the_same_database_gives_the_same_words(store: Store) -> None:
    stage = hit_stages.make(store, np.linspace(0.6, 0.9, 40).tolist(), trials=40)
    assert best_trial(store, [stage]) == best_trial(store, [stage])


def test_without_hits_there_is_an_interval_and_no_correction(store: Store) -> None:
    accuracies = np.linspace(0.4, 0.9, 60).tolist()
    with_hits = best_trial(store, [hit_stages.make(store, accuracies, trials=60)])
    found = best_trial(store, [hit_stages.make(store, accuracies, trials=60, number=2, hits=False)])
    assert found is not None
    assert with_hits is not None
    assert found.best.interval == with_hits.best.interval
    assert (found.best.corrected, found.best.corrected_interval, found.paired) == (None, None, False)
    # What is compared as if on images of its own is told apart less often.
    assert len(found.tied_numbers) > len(with_hits.tied_numbers)
    assert "not all have their hits" in found.ties_sentence()


def test_a_loss_has_no_interval_and_its_ties_are_not_known(store: Store) -> None:
    stage = hit_stages.make(store, [0.5, 0.6, 0.7], trials=3, metric="validation_loss")
    found = best_trial(store, [stage])
    assert found is not None
    assert (found.best.trial, found.best.metric) == (2, "validation_loss")
    assert (found.best.interval, found.best.corrected, found.known) == (None, None, False)
    assert ties_of(store, stage, store.columns(stage, top=3, hits=True)) == (None, None)


def test_all_stages_on_the_same_images_take_part_in_the_selection(store: Store) -> None:
    rng = np.random.default_rng(1)
    first, second = (rng.normal(0.8, 0.03, 60).clip(0.6, 0.89).tolist() for _ in range(2))
    second[5] = 0.9
    stages = [hit_stages.make(store, a, trials=60, number=i + 1) for i, a in enumerate((first, second))]
    both, alone = best_trial(store, stages), best_trial(store, stages[1:])
    assert both is not None
    assert alone is not None
    assert (both.best.stage, both.best.trial) == (alone.best.stage, alone.best.trial) == ("made/stage-02", 5)
    assert (both.trials, alone.trials) == (120, 60)
    assert both.best.corrected != alone.best.corrected
    assert set(alone.tied_numbers) <= set(both.tied_numbers)  # among more trials more tie


def test_hits_that_do_not_belong_to_the_score_are_left_out(store: Store) -> None:
    right = np.arange(24) < 12
    columns: dict[str, list[Value | None]] = {
        "number": [1, 2, 3, 4, 5],
        "score": [0.5, 0.5, 0.5, 0.75, 0.5],
        HITS: [pack(right), None, "no base64!", pack(right), pack(right[:16])],
    }
    assert hits_of(columns, 24) == {1: 0xFFF000}


def test_only_the_nearest_are_looked_at(store: Store) -> None:
    found = best_trial(store, [hit_stages.make(store, [0.8] * 150, trials=150)])
    assert found is not None
    assert len(found.tied) == MOST - 1
    assert found.open_ended
    assert f"{MOST - 1} or more trials" in found.ties_sentence()


def test_ties_of_the_shown_are_those_of_all(store: Store) -> None:
    stage = hit_stages.make(store, np.linspace(0.3, 0.9, 80).tolist(), trials=80)
    found = best_trial(store, [stage])
    assert found is not None
    for top in (1, 2, 10, 80):
        assert ties_of(store, stage, store.columns(stage, top=top, hits=True)) == found.tied[: top - 1]


def test_a_score_from_elsewhere_is_not_taken_for_a_share(store: Store) -> None:
    stage = hit_stages.make(store, [0.5], trials=1)
    owner = Owner.current()
    (trial,) = store.claim(stage, until=2, most=1, owner=owner).trials
    scores: Mapping[str, float] = {VALIDATION_LOSS: 1.0}
    store.record(stage, [Completed(trial.number, 73.0, (), scores)], {trial.number: trial.trial_id}, owner=owner)
    found = best_trial(store, [stage])
    assert found is not None
    assert (found.best.score, found.best.interval, found.best.corrected) == (73.0, None, None)
