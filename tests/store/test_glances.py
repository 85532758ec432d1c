"""What whoever watches reads, through either store, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from hpsearch.records import Completed, Failed, Outcome, Pruned, Stage
from hpsearch.store import NewStage, Owner, Store, glances

Opener = Callable[..., Store]
Ids = dict[int, int]


def claim(store: Store, stage: Stage, most: int, owner: Owner) -> Ids:
    trials = store.claim(stage, until=1000, most=most, owner=owner).trials
    return {trial.number: trial.trial_id for trial in trials}


def test_points_of_the_trials_asked_for(store: Store, stage: Stage, me: Owner) -> None:
    ids = claim(store, stage, 5, me)
    curves = {0: (0.5, 0.25), 1: (math.nan, math.inf, 1.0), 2: (), 3: (0.125,)}
    store.record(stage, [Completed(number, 0.5, curve) for number, curve in curves.items()], ids, owner=me)
    assert repr(store.points(stage, [3, 1, 0, 2, 4, 77])) == repr({0: curves[0], 1: curves[1], 3: curves[3]})
    assert store.points(stage, list(np.array([3]))) == {3: (0.125,)}
    assert store.points(stage, []) == {}


def test_the_last_that_finished_come_first(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    ids = claim(store, stage, 6, me)
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


def test_who_runs_what(store: Store, stage: Stage, study: optuna.Study, me: Owner, gone: Callable[[], Owner]) -> None:
    assert store.runners(stage) == {}
    other = gone()
    mine, theirs = claim(store, stage, 2, me), claim(store, stage, 3, other)
    study.ask()  # somebody with Optuna alone says nothing of himself
    assert list(store.runners(stage).items()) == [(other, 3), (me, 2)]
    store.record(stage, [Completed(number, 0.5) for number in list(theirs)[:2]], theirs, owner=other)
    assert list(store.runners(stage).items()) == [(me, 2), (other, 1)]
    store.release(stage, owner=me)
    assert store.runners(stage) == {other: 1}
    assert len(mine) == 2


def test_what_is_shown_is_read_and_no_more(
    file: Path, open_kind: Opener, new_stage: NewStage, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes through all of a stage's trials: not even to find the last ones."""
    monkeypatch.setattr(glances, "LATEST_AMONG", 4)
    store = open_kind(file)
    stage = store.create_stage(new_stage)
    ids = claim(store, stage, 20, me)
    store.record(stage, [Completed(number, 0.5, (0.5,)) for number in ids], ids, owner=me)
    said: list[str] = []
    engine: Any = store.database.engine  # type: ignore[attr-defined]
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
    store.counts(stage)
    driver.set_trace_callback(said.append)
    assert store.latest(stage, 9)["number"] == [19, 18, 17, 16]
    store.points(stage, [3])
    store.runners(stage)
    driver.set_trace_callback(None)
    plain = sqlalchemy.create_engine(store.url)
    with plain.connect() as connection:
        for text in (one for one in said if one.startswith("SELECT")):
            plan = [step.detail for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
            assert all(step.startswith(("SEARCH", "LIST SUBQUERY", "CORRELATED")) for step in plan), (text, plan)
    plain.dispose()
