"""The rows of a batch are those that Optuna leaves of the same trials, table by table."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from stored import claim, storage

from hpsearch.optuna_sampler import KeyedRandomSampler
from hpsearch.records import Completed, Failed, Outcome, Pruned, Report
from hpsearch.space import to_distribution
from hpsearch.store import NewStage, Owner, Store
from hpsearch.store.schema import OWNER, stage_attributes

OUTCOMES: tuple[Outcome, ...] = (
    Completed(0, 0.125, (0.5, 0.25, 0.125), {"validation_loss": 0.5, "curves": {"train_loss": [math.inf, math.nan]}}),
    Failed(1, "diverged", (0.25, math.nan, -math.inf), {"seconds": 0.5}),
    Pruned(2, 2, (0.25, 0.5), {"validation_loss": 0.75}),
    Pruned(3, 1, (math.nan,)),
    Completed(4, 1e-300, (math.inf, 1e-300)),
    Pruned(5, 2, (0.5, math.inf)),
)
_STATES = {Completed: TrialState.COMPLETE, Failed: TrialState.FAIL, Pruned: TrialState.PRUNED}
_OF_TRIALS = {
    "trial_params": "param_name, param_value, distribution_json",
    "trial_values": "objective, value, value_type",
    "trial_intermediate_values": "step, intermediate_value, intermediate_value_type",
    "trial_user_attributes": "key, value_json",
    "trial_system_attributes": "key, value_json",
}
_QUERIES = {
    "studies": "SELECT study_name FROM studies",
    "study_directions": "SELECT direction, objective FROM study_directions",
    "study_user_attributes": "SELECT key, value_json FROM study_user_attributes",
    "study_system_attributes": "SELECT key, value_json FROM study_system_attributes",
    "trials": "SELECT number, state, datetime_start IS NULL, datetime_complete IS NULL FROM trials",
    **{
        name: f"SELECT t.number, {columns} FROM {name} r JOIN trials t ON t.trial_id = r.trial_id"
        for name, columns in _OF_TRIALS.items()
    },
}


def in_a_batch(store: Store, new_stage: NewStage) -> None:
    me = Owner.current()
    stage = store.create_stage(new_stage)
    ids = claim(store, stage, me, until=7)
    store.report(stage, [Report(2, 1, 0.0), Report(6, 1, 0.5)], ids, owner=me)
    store.record(stage, OUTCOMES, ids, owner=me)


def one_by_one(store: Store, new_stage: NewStage) -> None:
    study = optuna.create_study(
        study_name=new_stage.name,
        storage=storage(store.url),
        direction=new_stage.direction,
        sampler=KeyedRandomSampler(new_stage.seed),
    )
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names([new_stage.metric])
    for key, value in stage_attributes(new_stage).items():
        study.set_user_attr(key, value)
    distributions = {name: to_distribution(parameter) for name, parameter in new_stage.space.items()}
    for outcome in OUTCOMES:
        trial = study.ask(distributions)
        for step, value in enumerate(outcome.intermediate, start=1):
            trial.report(value, step)
        reason = {"reason": outcome.reason} if isinstance(outcome, Failed) else {}
        for key, value in {**outcome.attributes, **reason}.items():
            trial.set_user_attr(key, value)
        study.tell(trial, outcome.score if isinstance(outcome, Completed) else None, state=_STATES[type(outcome)])
    study.ask(distributions).report(0.5, 1)


def rows(store: Store) -> dict[str, list[str]]:
    """All rows of Optuna's tables, trials by number; without times, and without what hpsearch alone writes."""
    with store.database.read() as connection:
        tables: dict[str, list[Any]] = {
            name: list(map(tuple, connection.execute(sqlalchemy.text(query)))) for name, query in _QUERIES.items()
        }
    return {name: sorted(repr(row) for row in found if OWNER not in row) for name, found in tables.items()}


def test_the_same_rows(store: Store, new_stage: NewStage) -> None:
    in_a_batch(store, new_stage)
    ours = rows(store)
    optuna.delete_study(study_name=new_stage.name, storage=storage(store.url))
    assert not any(rows(store).values())
    one_by_one(store, new_stage)
    optunas = rows(store)
    assert [len(ours[name]) for name in _OF_TRIALS] == [21, 4, 14, 5, 0]
    assert ours == optunas
