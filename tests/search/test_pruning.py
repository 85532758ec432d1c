"""The rules by which trials stop early, as pure functions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import optuna
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from hpsearch.records import Direction
from hpsearch.search.pruning import Median, Plan, epochs_spent, halving_survivors, least_survivors, plan_of
from hpsearch.store import Counts

optuna.logging.set_verbosity(optuna.logging.WARNING)
VALUES = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5]) | st.floats(-9, 9), min_size=1, max_size=30)
HALVING, MEDIAN = Plan("halving", 4, (3, 12), 100, 5, 50), Plan("median", 2, (3, 6), 10, 5, 50)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


def plan(epochs: int, **pruning: Any) -> Plan | None:
    return plan_of(tiny.study(training={"epochs": epochs}, pruning=pruning))


def test_rungs_and_defaults() -> None:
    assert plan(50) is plan(50, rule="none") is None
    assert plan(50, rule="halving") == HALVING
    assert plan(50, rule="median") == Plan("median", 2, (3, 6, 12, 24), 20, 5, 50)
    assert plan(301, rule="halving") == Plan("halving", 4, (18, 72), 100, 5, 301)
    asked = plan(16, rule="median", reduction_factor=3, min_epochs=2, cohort=7, startup_trials=1)
    assert asked == Plan("median", 3, (2, 6), 7, 1, 16)
    assert plan(2, rule="halving") == Plan("halving", 4, (1,), 100, 5, 2)
    assert plan(1, rule="halving") is None  # stopping after the only epoch saves nothing


def test_cohorts() -> None:
    halving, median = replace(HALVING, cohort=10), MEDIAN
    assert [halving.cohort_of(number) for number in (0, 9, 10)] == [range(10), range(10), range(10, 20)]
    assert [halving.next_rung(0, epoch) for epoch in (0, 3, 4, 12)] == [3, 12, 12, None]
    assert [median.next_rung(number) for number in (0, 9, 10, 25)] == [None, None, 3, 3]


def test_what_a_stage_will_spend() -> None:
    halving, median = HALVING, MEDIAN
    assert epochs_spent(halving, 100) == 100 * 3 + 25 * 9 + 6 * 38
    assert epochs_spent(halving, 102) == epochs_spent(halving, 100) + 2 * 3 + 1 * 9 + 1 * 38
    assert [least_survivors(halving, trials, Counts()) for trials in (1, 8, 100, 102, 200)] == [1, 1, 6, 7, 12]
    # Of the cohort that has begun no more may come: its first half was decided without the second.
    begun = Counts(complete=3, pruned=47)
    assert [least_survivors(halving, trials, begun) for trials in (50, 100, 104, 200)] == [3, 3, 4, 9]
    assert epochs_spent(median, 20) == 10 * 50 + 10 * 3 + 5 * 3 + 2 * 44
    assert least_survivors(median, 20, Counts()) == 10


def test_halving_without_values_and_with_what_is_no_number() -> None:
    assert halving_survivors({}, 4, "maximize") == set()
    for direction in DIRECTIONS:
        assert halving_survivors({1: math.nan, 2: 0.5, 3: math.nan}, 3, direction) == {2}


@settings(max_examples=25)
@given(values=VALUES, factor=st.integers(2, 6), direction=st.sampled_from(DIRECTIONS))
def test_halving_is_optuna_s_rule_once_all_values_are_known(
    values: list[float], factor: int, direction: Direction
) -> None:
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
    kept = set()
    for number, score in enumerate(values):
        study = optuna.create_study(direction=direction)
        # What Optuna's pruner has of the others' values at a rung is this attribute of theirs.
        for other in (*values[:number], *values[number + 1 :]):
            study.add_trial(
                optuna.trial.create_trial(state=TrialState.PRUNED, system_attrs={"completed_rung_0": other})
            )
        trial = study.ask()
        trial.report(score, 1)
        if not pruner.prune(study, study.trials[-1]):
            kept.add(number)
    assert kept == halving_survivors(dict(enumerate(values)), factor, direction)


CURVES = st.lists(st.lists(st.floats(-9, 9), min_size=4, max_size=4), max_size=8)


@given(
    curves=CURVES,
    asked=st.lists(st.floats(-9, 9), min_size=1, max_size=4),
    startup=st.integers(1, 6),
    direction=st.sampled_from(DIRECTIONS),
)
def test_the_median_is_optuna_s_own_in_a_study(
    curves: list[list[float]], asked: list[float], startup: int, direction: Direction
) -> None:
    study = optuna.create_study(direction=direction, pruner=optuna.pruners.MedianPruner(n_startup_trials=startup))
    rule = Median(startup, direction)
    for curve in curves:
        trial = study.ask()
        for step, score in enumerate(curve, start=1):
            trial.report(score, step)
        study.tell(trial, curve[-1])
        rule.add(dict(enumerate(curve, start=1)))
    trial = study.ask()
    for step, score in enumerate(asked, start=1):
        trial.report(score, step)
    assert rule.prunes(asked) is trial.should_prune()
