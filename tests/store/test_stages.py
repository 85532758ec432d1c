"""Stages, through either store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy.exc import IntegrityError

from hpsearch.errors import StageConflict
from hpsearch.records import Stage
from hpsearch.store import NewStage, Owner, Store
from hpsearch.store.writer import insert_stage

Opener = Callable[..., Store]


def test_every_field_comes_back(store: Store, stage: Stage, new_stage: NewStage) -> None:
    (found,) = store.stages()
    assert found == stage
    for field in fields(NewStage):
        assert getattr(found, field.name) == getattr(new_stage, field.name), field.name
    assert list(found.space) == list(new_stage.space)  # in the order of the study file too
    assert found.name == "mnist/stage-01"


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_optuna_sees_the_direction(store: Store, new_stage: NewStage, direction: str) -> None:
    stage = store.create_stage(replace(new_stage, direction=direction))  # type: ignore[arg-type]
    study = optuna.load_study(study_name=stage.name, storage=store.url)
    assert study.direction.name.lower() == direction == store.stages()[0].direction


def test_the_stage_that_is_there_holds(store: Store, stage: Stage, new_stage: NewStage) -> None:
    assert store.create_stage(replace(new_stage, seed=1, direction="minimize")) == stage
    assert store.stages() == [stage]


def test_an_empty_stage_can_be_replaced(store: Store, stage: Stage, new_stage: NewStage) -> None:
    other = store.create_stage(replace(new_stage, seed=1), replace=True)
    assert other.seed == 1
    assert store.stages() == [other]


def test_replacing_nothing_makes_it(store: Store, new_stage: NewStage) -> None:
    assert store.create_stage(new_stage, replace=True).seed == new_stage.seed


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"study_file": {"training": {"epochs": 99}}}, {"fingerprint": "other data"}]
)
def test_a_runner_of_a_stage_that_was_begun_anew_claims_nothing_of_the_new_one(
    store: Store, stage: Stage, new_stage: NewStage, me: Owner, other: dict[str, Any]
) -> None:
    """It has the same name, and where ids are used again the same id."""
    store.claim(stage, until=0, most=0, owner=me)
    new = store.create_stage(replace(new_stage, **other), replace=True)
    with pytest.raises(StageConflict, match="begun anew meanwhile; start again"):
        store.claim(replace(stage, study_id=new.study_id), until=2, most=2, owner=me)
    assert len(store.claim(new, until=2, most=2, owner=me).trials) == 2


@pytest.mark.parametrize("released", [False, True])
def test_a_stage_with_trials_is_not_replaced(
    store: Store, stage: Stage, new_stage: NewStage, me: Owner, released: bool
) -> None:
    store.claim(stage, until=1, most=1, owner=me)
    if released:
        store.release(stage, owner=me)
    with pytest.raises(StageConflict, match="has trials already"):
        store.create_stage(replace(new_stage, seed=1), replace=True)
    assert store.stages() == [stage]
    assert store.counts(stage).rows == 1


def test_stages_by_search_and_number(store: Store, new_stage: NewStage) -> None:
    for search, number in (("b", 2), ("a", 10), ("b", 1), ("a", 9)):
        store.create_stage(replace(new_stage, search=search, number=number))
    assert [(stage.search, stage.number) for stage in store.stages()] == [("a", 9), ("a", 10), ("b", 1), ("b", 2)]
    assert [stage.number for stage in store.stages("b")] == [1, 2]
    assert store.stages("c") == []


def test_other_peoples_studies_are_left_alone(store: Store, stage: Stage, new_stage: NewStage) -> None:
    url = store.url
    theirs = optuna.create_study(study_name="theirs", storage=url, directions=["minimize", "maximize"])
    theirs.set_user_attr("hpsearch:note", "not a stage")
    assert store.stages() == [stage]
    optuna.create_study(study_name="taken/stage-01", storage=url)
    with pytest.raises(StageConflict, match="taken/stage-01 that hpsearch did not make"):
        store.create_stage(replace(new_stage, search="taken"))


def test_stages_do_not_meet(store: Store, stage: Stage, new_stage: NewStage, me: Owner) -> None:
    second = store.create_stage(replace(new_stage, number=2))
    assert [t.number for t in store.claim(stage, until=2, most=2, owner=me).trials] == [0, 1]
    assert [t.number for t in store.claim(second, until=3, most=9, owner=me).trials] == [0, 1, 2]
    assert store.release(second, owner=me) == 3
    assert (store.counts(stage).running, store.counts(second).waiting) == (2, 3)


def test_the_first_of_two_makers_wins(
    file: Path, open_kind: Opener, new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a database has several writers, the loser's INSERT breaks the uniqueness of study names."""
    store = open_kind(file)
    first = store.create_stage(new_stage)

    def too_late(connection: object, new: NewStage) -> int:
        raise IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: studies.study_name"))

    monkeypatch.setattr(f"{insert_stage.__module__}.insert_stage", too_late)
    assert store.create_stage(replace(new_stage, seed=1), replace=True) == first
