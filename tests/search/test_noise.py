"""The noise of scores by what trials report: folds, standard errors, repeats, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import made_stages
import numpy as np
import pytest

from hpsearch import Search
from hpsearch.records import FOLDS, REPEATS, STD_ERROR, Completed, Stage
from hpsearch.reports.report import gather
from hpsearch.reports.sections import best_trials
from hpsearch.reports.tables import status_table
from hpsearch.search.best import BestTrial, best_trial, ties_of
from hpsearch.search.checklist import checklist
from hpsearch.search.confirmation import assess, best_settings, planned
from hpsearch.search.progress import Watcher
from hpsearch.statistics.folds import corrected_error, error_interval
from hpsearch.store import NewStage, Store

Facts = Callable[[int], tuple[float, Mapping[str, Any]]]  # of a trial's number: its score and what it reports
HARD = np.random.default_rng(9).normal(0, 0.1, 5)  # how hard the folds are


def reported(store: Store, facts: Facts, *, trials: int = 40, number: int = 1, **options: Any) -> Stage:
    """Make a stage of a user's function whose trials report these facts."""
    metric, direction = options.get("metric", "score"), options.get("direction", "maximize")
    objective = {options.get("kind", "function"): "mine:score", "metric": metric, "direction": direction}
    new = NewStage(
        options.get("name", "mine"),
        number,
        direction,
        number,
        made_stages.SPACE,
        {"name": "mine", "objective": objective},
        fingerprint=options.get("fingerprint", ""),
    )
    stage = store.create_stage(new)

    def outcome(trial: Any) -> Completed:
        score, attributes = facts(trial.number)
        return Completed(trial.number, score, (), dict(attributes))

    made_stages.finish(store, stage, trials, outcome)
    return stage


def folds(trial: int, *, spread: float = 0.002, winner: float = 0.9) -> tuple[float, Mapping[str, Any]]:
    """Trial 0 scores ``winner``, the others 0.7; the folds are hard and easy for all of them."""
    own = np.random.default_rng(trial).normal(0, spread, 5)
    scores = (winner if trial == 0 else 0.7) + HARD + own
    return float(scores.mean()), {FOLDS: scores.tolist()}


def errors(trial: int) -> tuple[float, Mapping[str, Any]]:
    return 0.9 - 0.01 * trial, {STD_ERROR: 0.02}


def nothing(trial: int) -> tuple[float, Mapping[str, Any]]:
    return 0.9 - 0.01 * trial, {}


def best_of(store: Store, facts: Facts, **options: Any) -> BestTrial:
    best = best_trial(store, [reported(store, facts, **options)])
    assert best is not None
    return best


def test_folds_pair_trials_though_they_differ_more_than_trials_do(store: Store) -> None:
    best = best_of(store, folds)
    _, facts = folds(0)
    error = corrected_error(facts[FOLDS], 1 / 4)
    assert best.error == error
    assert error > 0.05  # by itself, of hard folds and easy ones
    assert best.interval == error_interval(best.score, error, 4)
    assert (best.trial, best.tied, best.known, best.paired) == (0, (), True, True)


def test_trials_as_good_as_the_best_on_each_fold_are_tied_with_it_and_it_is_corrected(store: Store) -> None:
    best = best_of(store, lambda trial: folds(trial, spread=0.05, winner=0.7))
    assert len(best.tied) == 38
    assert best.corrected is not None
    assert best.corrected < best.score - 0.01
    assert best.corrected_interval is not None
    assert ties_of(store, best.of, store.columns(best.of, top=40, hits=True)) == best.ties


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_standard_errors_make_intervals_and_ties(store: Store, direction: str) -> None:
    sign = 1 if direction == "maximize" else -1
    best = best_of(store, lambda trial: (sign * errors(trial)[0], errors(trial)[1]), direction=direction)
    assert (best.trial, best.error, best.paired, best.corrected) == (0, 0.02, False, None)
    assert best.interval is not None
    assert best.interval.high - best.interval.low == pytest.approx(2 * 1.96 * 0.02, rel=0.01)
    # 3.2 standard errors of a difference for 39 comparisons at 5 %: z = 3.02, 8.5 hundredths
    assert best.tied == tuple(range(1, 9))


def test_the_error_of_few_repeats_is_not_taken_for_a_known_one(store: Store) -> None:
    few = best_of(store, lambda trial: (errors(trial)[0], {**errors(trial)[1], REPEATS: [1.0, 1.1, 1.2]}))
    assert len(few.tied) == 18  # Welch: 4 degrees of freedom, t = 6.7


@pytest.mark.parametrize(
    ("kind", "metric", "high"),
    [
        ("function", "f1_macro", 1.0),
        ("estimator", "score", 1.0),
        ("estimator", "neg_log_loss", None),  # of a score that cannot be, the bound is not believed
        ("function", "score", None),
    ],
)
def test_an_interval_ends_where_the_metric_does(store: Store, kind: str, metric: str, high: float | None) -> None:
    best = best_of(store, folds, kind=kind, metric=metric, trials=12)
    whole = error_interval(best.score, *best.noise[best.stage].errors[0])  # type: ignore[union-attr]
    assert whole.high > 1.0
    assert best.interval is not None
    assert best.interval.high == (whole.high if high is None else high)
    assert best.corrected_interval is not None
    assert (best.corrected_interval.high <= 1.0) is (high is not None)


def test_trials_without_a_report_are_left_out_where_enough_have_one(store: Store) -> None:
    best = best_of(store, lambda trial: folds(trial) if trial != 7 else nothing(20), number=1)
    assert (best.known, best.ties.count(None), best.corrected is None) == (True, 1, False)
    (said,) = [str(text) for text in checklist(store, [best.of]).advice if "differs significantly" in str(text)]
    assert (
        said == "trial 0 differs significantly from every other trial on 5 folds "
        "(1 of the others without, as they report no noise)"
    )
    few = best_of(store, lambda trial: folds(trial) if trial < 4 else nothing(20), number=2)
    assert (few.known, few.tied, few.corrected) == (False, (), None)
    assert few.interval is not None
    assert "noise unknown: the best trials report neither" in " ".join(map(str, checklist(store, [few.of]).advice))


def test_of_unequal_facts_each_pair_is_compared_by_what_both_have(store: Store) -> None:
    def facts(trial: int) -> tuple[float, Mapping[str, Any]]:
        return folds(trial) if trial < 20 else (folds(trial)[0], {STD_ERROR: 0.001})

    best = best_of(store, facts)
    assert (best.known, best.paired, best.corrected) == (True, False, None)
    numbers = dict(zip(best.columns["number"][1:], best.ties, strict=True))
    assert not any(numbers[trial] for trial in range(1, 20))
    assert all(numbers[trial] for trial in range(20, 40))  # by the error over hard folds and easy ones


@pytest.mark.parametrize(
    "of", [[0.1, 0.2], [0.9], "0.9", [0.8, None, 1.0], [0.8, float("nan"), 1.0], [True, 0.9]], ids=str
)
def test_folds_that_do_not_make_the_score_are_none(store: Store, of: object) -> None:
    best = best_of(store, lambda trial: (0.9, {FOLDS: of}), trials=3)
    assert (best.interval, best.known, best.noise) == (None, False, {})


@pytest.mark.parametrize("error", [-0.1, "0.1", None, float("inf")])
def test_a_standard_error_that_is_none_is_not_taken_for_one(store: Store, error: object) -> None:
    assert best_of(store, lambda trial: (0.9, {STD_ERROR: error}), trials=3).noise == {}


def test_without_a_report_nothing_is_said_of_noise_but_how_to_measure_it(store: Store) -> None:
    stage = reported(store, nothing)
    best = best_trial(store, [stage])
    assert best is not None
    assert (best.error, best.interval, best.corrected, best.tied, best.known) == (None, None, None, (), False)
    seen = checklist(store, [stage])
    said = [str(sentence) for sentence in seen.advice]
    assert sum("noise unknown" in text and "confirm()" in text for text in said) == 1
    assert not any("tied" in text or "expect about" in text for text in said)
    assert seen.next.step == "confirm" or seen.ranges


def test_the_checklist_says_by_what_trials_are_compared(store: Store) -> None:
    of_folds = checklist(store, [reported(store, lambda trial: folds(trial, spread=0.05, winner=0.7))])
    said = " ".join(str(sentence) for sentence in of_folds.advice)
    assert "38 other trials are statistically tied with the best on 5 folds" in said
    assert "trained again, they are expected to reach" in said
    of_errors = checklist(store, [reported(store, errors, number=2)])
    assert "tied with the best by their standard errors" in " ".join(map(str, of_errors.advice))


@pytest.mark.parametrize("known", [True, False])
def test_a_confirmation_with_folds_covers_other_examples_too(store: Store, known: bool) -> None:
    stage = reported(store, nothing)
    made = planned(store, stage, best_settings(store, stage, 2), 6)
    assert made.plan is not None
    place = made.plan.place

    def outcome(trial: Any) -> Completed:
        index, repeat = place(trial.number)
        of = 0.9 + HARD - 0.0001 * repeat - 0.05 * index + np.random.default_rng(trial.number).normal(0, 0.001, 5)
        return Completed(trial.number, float(of.mean()), (), {FOLDS: of.tolist()} if known else {})

    made_stages.finish(store, made, 12, outcome)
    first, second = assess(store, made).ranking
    assert first.interval is not None
    assert second.p is not None
    assert second.p < 0.001  # the same folds are hard for both
    assert {first.covers, second.compared} == {"seeds and examples" if known else "seeds"}
    assert (first.interval.high - first.interval.low > 0.1) is known


def test_the_report_gives_each_trial_the_interval_of_its_own_noise(store: Store) -> None:
    reported(store, errors)
    section = best_trials(gather(store, "mine"))
    assert section is not None
    columns = section.tables[0].columns
    assert columns["score"][:2] == [0.9, 0.89]
    assert columns["95 % interval"][:2] == ["0.86 to 0.94", "0.85 to 0.93"]


def test_status_and_watch_show_the_error_of_the_best_score(store: Store) -> None:
    stage = reported(store, errors)
    (status,) = Search("mine", storage=store.where).status()
    assert (status.best, status.error) == (0.9, 0.02)
    assert status_table([(stage, status.counts, status.best, status.error)])["best"] == ["0.9 +- 0.02"]
    assert Watcher(store, "mine").read().shown.error == 0.02
