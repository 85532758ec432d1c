"""The best trial of a search among its rivals, and the values that are chosen."""

from __future__ import annotations

from typing import Any

import made_stages
import numpy as np
import pytest
from made_stages import edgeless

from hpsearch.errors import BadInput
from hpsearch.records import HITS, VALIDATION_LOSS, Completed
from hpsearch.search.best import MOST, BestTrial, best_trial, ties_of
from hpsearch.search.by_example import by_example
from hpsearch.search.noise import hits_of
from hpsearch.search.recommendation import choose
from hpsearch.space import Value
from hpsearch.statistics import wilson
from hpsearch.statistics.hits import pack
from hpsearch.store import Store


def best_of(store: Store, scores: list[float], **options: Any) -> BestTrial:
    stage = made_stages.make(store, scores, **{"trials": len(scores), **options})
    best = best_trial(store, [stage])
    assert best is not None
    return best


def test_before_any_trial_there_is_no_best(store: Store) -> None:
    assert best_trial(store, [made_stages.make(store, [], trials=0)]) is None


def test_the_best_of_equals_has_rivals_and_is_corrected_for_selection(store: Store) -> None:
    scores = np.random.default_rng(0).normal(0.8, 0.04, 100).clip(0.6, 0.95).tolist()
    best = best_of(store, scores, shared=0.6)
    assert best.score == pytest.approx(max(scores), abs=0.01)
    assert best.examples == 100
    assert best.interval == wilson(round(best.score * 100), 100)
    assert best.corrected is not None
    assert best.corrected < best.score - 0.02
    assert best.corrected_interval is not None
    assert best.corrected_interval.low < best.corrected < best.corrected_interval.high < best.interval.high
    assert best.paired
    assert len(best.tied) > 20
    assert best.tied == tuple(best.columns["number"][1:][: len(best.tied)])
    assert best_trial(store, [best.of]) == best  # the same database, the same words


def test_a_clear_winner_has_no_ties_and_keeps_its_score(store: Store) -> None:
    best = best_of(store, [0.95, *[0.3] * 49])
    assert (best.trial, best.tied, best.known) == (0, (), True)
    assert best.corrected == pytest.approx(0.95, abs=0.01)
    assert best.ties_sentence() == "no other trial of made/stage-01 is statistically tied with it"


def test_without_hits_there_is_an_interval_and_no_correction(store: Store) -> None:
    scores = np.linspace(0.4, 0.9, 60).tolist()
    with_hits, best = best_of(store, scores), best_of(store, scores, number=2, hits=False)
    assert best.interval == with_hits.interval
    assert (best.corrected, best.corrected_interval, best.paired) == (None, None, False)
    # A comparison as if on examples of its own separates less.
    assert len(best.tied) > len(with_hits.tied)
    assert "not all have their hits" in best.ties_sentence()


def test_a_loss_has_no_interval_and_its_ties_are_not_known(store: Store) -> None:
    best = best_of(store, [0.5, 0.6, 0.7], metric="validation_loss")
    assert (best.trial, best.metric) == (2, "validation_loss")
    assert (best.interval, best.corrected, best.known) == (None, None, False)
    assert ties_of(store, best.of, store.columns(best.of, top=3, hits=True)) == (None, None)


def test_a_score_from_elsewhere_is_not_taken_for_a_share(store: Store) -> None:
    stage = made_stages.make(store, [0.5], trials=1)
    made_stages.finish(store, stage, 2, lambda trial: Completed(trial.number, 73.0, (), {VALIDATION_LOSS: 1.0}))
    best = best_trial(store, [stage])
    assert best is not None
    assert (best.score, best.interval, best.corrected) == (73.0, None, None)


def test_all_stages_on_the_same_examples_take_part_in_the_selection(store: Store) -> None:
    rng = np.random.default_rng(1)
    first, second = (rng.normal(0.8, 0.03, 60).clip(0.6, 0.89).tolist() for _ in range(2))
    second[5] = 0.9
    stages = [made_stages.make(store, a, trials=60, number=i + 1) for i, a in enumerate((first, second))]
    both, alone = best_trial(store, stages), best_trial(store, stages[1:])
    assert both is not None
    assert alone is not None
    assert (both.stage, both.trial) == (alone.stage, alone.trial) == ("made/stage-02", 5)
    assert (both.trials, alone.trials) == (120, 60)
    assert both.corrected != alone.corrected
    assert set(alone.tied) <= set(both.tied)  # among more trials more tie


def test_hits_that_do_not_belong_to_the_score_are_left_out() -> None:
    right = np.arange(24) < 12
    columns: dict[str, list[Value | None]] = {
        "number": [1, 2, 3, 4, 5],
        "score": [0.5, 0.5, 0.5, 0.75, 0.5],
        HITS: [pack(right), None, "no base64!", pack(right), pack(right[:16])],
    }
    assert hits_of(columns, 24) == {1: 0xFFF000}


def test_only_the_nearest_are_compared(store: Store) -> None:
    best = best_of(store, [0.8] * 150)
    assert len(best.ties) == MOST - 1
    assert best.open_ended
    assert f"{MOST - 1} or more trials" in best.ties_sentence()


def test_ties_of_the_shown_are_those_of_all(store: Store) -> None:
    best = best_of(store, np.linspace(0.3, 0.9, 80).tolist())
    for top in (1, 2, 10, 80):
        assert ties_of(store, best.of, store.columns(best.of, top=top, hits=True)) == best.ties[: top - 1]


def test_confirmed_values_are_chosen_though_another_stage_s_confirmation_is_not_complete(store: Store) -> None:
    first, second = (made_stages.make(store, edgeless, trials=40, number=number) for number in (1, 2))
    made_stages.confirm(store, first, [0.86, 0.85])
    made_stages.confirm(store, second, [0.9, 0.8], run=3)
    chosen = choose(store, store.stages(), by="confirmed")
    assert chosen.stage.name == "made/stage-01"
    with pytest.raises(BadInput, match=r"`confirm\(stage=2, top=2\)` to complete it, or use by=best"):
        choose(store, store.stages(), by="confirmed", number=2)


def test_values_of_which_a_repeat_failed_are_below_all_others_of_any_stage(store: Store) -> None:
    for number, mean in ((1, 0.86), (2, None)):
        made_stages.confirm(store, made_stages.make(store, edgeless, trials=40, number=number), [mean])
    assert choose(store, store.stages(), by="confirmed").stage.name == "made/stage-01"


def test_what_belongs_to_another_score_is_not_read_by_example(store: Store) -> None:
    stage = made_stages.make(store, edgeless, trials=4)
    columns = store.columns(stage)
    scores = dict(zip(columns["number"], columns["score"], strict=True))
    known, ratio = by_example(store, stage, {**scores, 2: scores[2] + 0.1})
    assert sorted(known) == [0, 1, 3]
    assert all(known[number].mean() == pytest.approx(scores[number]) for number in known)
    assert ratio == 0


def test_where_every_trial_was_compared_none_is_beyond_them(store: Store) -> None:
    best = best_of(store, [0.8] * MOST)
    assert not best.open_ended
    assert best.ties_sentence().startswith(f"all {MOST - 1} others of the stage are statistically tied with it")
