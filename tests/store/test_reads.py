"""Reads: trials as columns, rows and arrays, curves, and what whoever watches asks for; and what that costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from stored import Opener, claim, plans, storage, watched

from hpsearch.records import HITS, Completed, Direction, Failed, Outcome, Pruned, Stage
from hpsearch.space import Float, Space
from hpsearch.statistics.hits import pack
from hpsearch.store import NewStage, Owner, Store, arrays, queries


def scored(number: int, score: float, loss: float | None) -> Completed:
    return Completed(number, score, (score,), {} if loss is None else {"validation_loss": loss})


def fill(store: Store, stage: Stage, outcomes: list[Outcome], owner: Owner) -> None:
    """Have trials end so; those before and between them run."""
    most = max(outcome.number for outcome in outcomes) + 1
    store.record(stage, outcomes, claim(store, stage, owner, until=most), owner=owner)


def test_columns(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    fill(store, stage, [Completed(1, 0.5, (), {"validation_loss": 0.25, "seconds": 1.5}), Failed(2, "a reason")], me)
    trials = study.trials
    columns = store.columns(stage)
    assert columns == {
        "number": [0, 1, 2],
        "state": ["RUNNING", "COMPLETE", "FAIL"],
        "score": [None, 0.5, None],
        "validation_loss": [None, 0.25, None],
        "seconds": [None, 1.5, None],
        "reason": [None, None, "a reason"],
        "started": [trial.datetime_start for trial in trials],
        "finished": [trial.datetime_complete for trial in trials],
        **{f"param:{name}": [trial.params[name] for trial in trials] for name in stage.space},
    }
    frame = store.trials(stage)
    assert list(frame.columns) == list(columns)
    assert frame["finished"].isna().tolist() == [True, False, False]
    assert [frame[name].dtype.kind for name in ("score", "param:batch_size", "started")] == ["f", "i", "M"]


def test_states(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    fill(store, stage, [Completed(1, 0.5), Failed(2, "no")], me)
    study.tell(study.ask(), state=TrialState.PRUNED)
    study.enqueue_trial({"lr": 0.005})
    every = store.columns(stage)["state"]
    assert every == ["RUNNING", "COMPLETE", "FAIL", "PRUNED", "WAITING"]
    for states in ((), ("COMPLETE",), {"RUNNING"}, ("FAIL", "PRUNED"), ("WAITING",)):
        assert store.columns(stage, states=states)["number"] == [n for n, state in enumerate(every) if state in states]
    assert store.columns(stage, states=("WAITING",))["param:lr"] == [None]  # enqueued, not sampled yet


def test_a_pruned_trial_says_when_it_was_stopped(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    pruned = [Pruned(1, 3, (0.1, 0.2, 0.3)), Pruned(3, 12, ())]
    fill(store, stage, [Completed(0, 0.5, (0.1, 0.5)), Failed(2, "no", (0.1,)), *pruned], me)
    theirs = study.ask()
    theirs.report(0.5, 7)
    study.tell(theirs, state=TrialState.PRUNED)
    assert store.columns(stage)["reason"] == [None, "stopped after epoch 3", "no", None, "stopped after epoch 7"]


def test_an_attribute_of_the_trials_asked_for(store: Store, stage: Stage, me: Owner) -> None:
    kept: list[dict[str, Any]] = [{"curves": {"train_loss": [n / 8]}} if n < 3 else {} for n in range(4)]
    fill(store, stage, [Completed(n, 0.5, (), attributes) for n, attributes in enumerate(kept)], me)
    curves = store.attribute(stage, [3, 2, 0, 77], "curves")
    assert curves == {0: {"train_loss": [0.0]}, 2: {"train_loss": [0.25]}}
    assert store.attribute(stage, list(np.array([3, 2, 0, 77])), "curves") == curves
    assert store.attribute(stage, [0], "other") == store.attribute(stage, [], "curves") == {}


def test_scores_are_the_completed_trials_that_have_one(store: Store, new_stage: NewStage, me: Owner) -> None:
    """Of a space with more parameters than one statement joins, and than SQLite joins at all."""
    space: Space = {**new_stage.space, **{f"p{n}": Float(0.0, 1.0) for n in range(70)}}
    stage = store.create_stage(replace(new_stage, space=space))
    study = optuna.load_study(study_name=stage.name, storage=storage(store.url))
    study.tell(study.ask(), math.inf)
    study.tell(study.ask(), 0.125)  # somebody's own, with none of our parameters
    failed = Failed(4, "no", (), {"validation_loss": 0.5})  # whose loss is not its neighbour's
    fill(store, stage, [scored(2, 0.5, 0.1), scored(3, 0.5, None), failed, scored(5, 0.25, math.nan)], me)
    store.claim(stage, until=7, most=1, owner=me)
    frame = pd.DataFrame(store.scores(stage))
    assert frame["number"].tolist() == [1, 2, 3, 5]
    assert frame["validation_loss"].isna().tolist() == [True, False, True, True]
    of_trials = store.trials(stage, states=("COMPLETE",)).drop(index=0).reset_index(drop=True)
    of_trials = of_trials.drop(columns=["state", "seconds", "reason", "started", "finished"])
    pd.testing.assert_frame_equal(frame, of_trials, check_exact=True)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_losses_of_the_best_are_read_whoever_else_is_asked_about(
    store: Store, new_stage: NewStage, me: Owner, direction: Direction
) -> None:
    stage = store.create_stage(replace(new_stage, direction=direction))
    scores = [0.1, 0.4, 0.2, 0.4, 0.9, 0.3, 0.4, 0.8, 0.5, 0.2, 0.7, 0.6]
    fill(store, stage, [scored(n, score, n / 16) for n, score in enumerate(scores)], me)
    every = pd.DataFrame(store.scores(stage))
    order = np.argsort([-score if direction == "maximize" else score for score in scores], kind="stable")
    for wanted in (0, 1, 3, 5, 12):
        some = pd.DataFrame(store.scores(stage, ranked=lambda n: wanted))  # noqa: B023 - called at once
        pd.testing.assert_frame_equal(every.drop(columns="validation_loss"), some.drop(columns="validation_loss"))
        last = scores[order[wanted - 1]] if wanted else None
        for number in order[:wanted].tolist() + [n for n, score in enumerate(scores) if score == last]:
            assert some["validation_loss"][number] == every["validation_loss"][number] == number / 16, wanted


def test_curves_of_some_trials_and_of_whole_stages(
    store: Store, stage: Stage, study: optuna.Study, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = (0.1, math.nan, math.inf, -math.inf, 5e-324, 0.3)
    fill(store, stage, [Completed(n, 0.5, tuple(value * (n + 1) for value in odd[n:])) for n in range(5)], me)
    whole = store.curves(stage)
    assert list(whole.columns) == ["number", "step", "value"]
    for trial in study.trials:
        values = whole["value"][whole["number"] == trial.number].tolist()
        assert repr(values) == repr(list(trial.intermediate_values.values()))
    some = whole[whole["number"].isin([1, 3])].reset_index(drop=True)
    for chunk in (500, 1):
        monkeypatch.setattr(arrays, "CHUNK", chunk)
        pd.testing.assert_frame_equal(store.curves(stage, range(5)), whole, check_exact=True)
        pd.testing.assert_frame_equal(store.curves(stage, list(np.array([3, 1, 77]))), some, check_exact=True)
        assert store.curves(stage, []).empty
    points = store.points(stage, list(np.array([3, 1, 77])))
    assert repr(points) == repr({n: tuple(some["value"][some["number"] == n].tolist()) for n in (1, 3)})


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_by_score_then_loss_then_number_however_many_tie(
    store: Store, new_stage: NewStage, me: Owner, monkeypatch: pytest.MonkeyPatch, direction: Direction
) -> None:
    """A loss that is not finite, or not known, is the worst; a score that is not finite is never the best."""
    stage = store.create_stage(replace(new_stage, direction=direction))
    study = optuna.load_study(study_name=stage.name, storage=storage(store.url))
    study.tell(study.ask(), math.inf)  # hpsearch records none; somebody's own `tell` may
    study.tell(study.ask(), -math.inf)
    rng = np.random.default_rng(0)
    scores = dict(enumerate((rng.integers(0, 3, 20) / 4).tolist(), start=2))
    losses = {n: [10.0, 9.0, 1e-7, math.nan, math.inf, None][loss] for n, loss in enumerate(rng.integers(0, 6, 20), 2)}
    unranked: list[Outcome] = [Failed(22, "diverged", (), {"validation_loss": 0.0}), Pruned(23, 1, (0.25,))]
    fill(store, stage, [*(scored(number, scores[number], losses[number]) for number in scores), *unranked], me)
    sign = -1 if direction == "maximize" else 1
    known = {n: math.inf if loss is None or not math.isfinite(loss) else loss for n, loss in losses.items()}
    order = sorted(scores, key=lambda n: (sign * scores[n], known[n], n))
    for beyond in (1, 3, 1000):
        monkeypatch.setattr(queries, "_BEYOND", beyond)
        for top in (0, 1, 2, 5, 19, 20, 99):
            assert store.columns(stage, top=top)["number"] == order[:top]
    assert store.trials(stage)["score"].tolist()[:2] == [math.inf, -math.inf]


@given(numbers=st.lists(st.floats(0, 1e9, allow_subnormal=True), min_size=12, max_size=12))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_come_back_to_the_bit(store: Store, new_stage: NewStage, numbers: list[float]) -> None:
    """SQLite's own reading of decimal digits may be off by a bit."""
    stage = store.create_stage(replace(new_stage, number=len(store.stages()) + 1))
    seconds, losses, scores = numbers[:4], numbers[4:8], numbers[8:]
    outcomes: list[Outcome] = [
        Completed(n, scores[n], (scores[n],), {"seconds": seconds[n], "validation_loss": losses[n]}) for n in range(4)
    ]
    fill(store, stage, outcomes, Owner.current())
    for frame in (store.trials(stage), store.trials(stage, top=4).sort_values("number")):
        assert [frame[name].tolist() for name in ("seconds", "validation_loss", "score")] == [seconds, losses, scores]
    arrays = store.scores(stage)
    assert [arrays["validation_loss"].tolist(), arrays["score"].tolist()] == [losses, scores]
    assert store.curves(stage)["value"].tolist() == scores


def test_the_last_that_finished_come_first(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    ids = claim(store, stage, me, until=6)
    assert store.latest(stage, 3)["number"] == []
    pair: list[Outcome] = [Failed(0, "no"), Pruned(2, 1, (0.5,))]
    batches: Iterable[list[Outcome]] = [[Completed(4, 0.5)], pair, [Completed(3, 1.0)]]
    for outcomes in batches:
        store.record(stage, outcomes, ids, owner=me)
    assert store.latest(stage, 9)["number"] == [3, 2, 0, 4]  # of one batch the later one first
    assert store.latest(stage, 1) == store.columns(stage, top=1)
    study.tell(study.ask(), state=TrialState.FAIL)
    assert store.latest(stage, 2)["number"] == [6, 3]
    assert store.latest(stage, 0)["number"] == []


def test_who_runs_what(store: Store, stage: Stage, study: optuna.Study, me: Owner, gone: Owner) -> None:
    assert store.runners(stage) == {}
    assert store.sampled(stage) == 0
    mine, theirs = claim(store, stage, me, until=2), claim(store, stage, gone, until=5)
    study.ask()  # somebody with Optuna alone says nothing of himself
    assert list(store.runners(stage).items()) == [(gone, 3), (me, 2)]
    store.record(stage, [Completed(number, 0.5) for number in list(theirs)[:2]], theirs, owner=gone)
    assert list(store.runners(stage).items()) == [(me, 2), (gone, 1)]
    store.release(stage, owner=me)
    assert store.runners(stage) == {gone: 1}
    assert (len(mine), store.sampled(stage)) == (2, 6)  # whatever became of them


def test_what_is_shown_is_read_and_no_more(
    file: Path, opener: Opener, new_stage: NewStage, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes through all of a stage's trials: not even to find the last ones."""
    monkeypatch.setattr(queries, "LATEST_AMONG", 4)
    store = opener(file)
    stage = store.create_stage(new_stage)
    ids = claim(store, stage, me, until=20)
    store.record(stage, [Completed(number, 0.5, (0.5,)) for number in ids], ids, owner=me)
    store.counts(stage)
    with watched(store) as statements:
        assert store.latest(stage, 9)["number"] == [19, 18, 17, 16]
        store.points(stage, [3])
        store.runners(stage)
    for step in plans(store, statements):
        assert step.startswith(("SEARCH", "LIST SUBQUERY", "CORRELATED")), (step, statements)


def test_hits_come_with_the_columns_where_they_are_asked_for(store: Store, stage: Stage, me: Owner) -> None:
    right = np.array([True, False, True])
    with_hits = Completed(0, 2 / 3, (), {HITS: pack(right)})
    fill(store, stage, [with_hits, Completed(1, 0.5, (), {}), Failed(2, "diverged")], me)
    assert store.columns(stage, top=5, hits=True)[HITS] == [pack(right), None]
    assert store.columns(stage, hits=True)[HITS] == [pack(right), None, None]
    assert HITS not in store.columns(stage, top=5)
