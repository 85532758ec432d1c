"""Stages, confirmations and attributes of studies."""

from __future__ import annotations

import threading
from dataclasses import fields, replace
from typing import Any

import optuna
import pytest
from stored import Opener, Rows, storage

from hpsearch.errors import StageConflict
from hpsearch.records import ConfirmationPlan, Direction, Setting, Stage, Trial
from hpsearch.store import NewStage, Owner, Store
from hpsearch.store.schema import PLAN_KEY, stage_from_attributes

SETTINGS = [
    Setting(4, {"lr": 1e-3, "batch_size": 40, "activation": "tanh"}, 0.75),
    Setting(1, {"lr": 0.1 + 0.2 - 0.3 + 1e-5, "batch_size": 200, "activation": "relu"}, 0.5),
]
EXPECTED = [(place, SETTINGS[place % 2].params, place // 2) for place in range(4)]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_every_field_comes_back(store: Store, new_stage: NewStage, direction: Direction) -> None:
    new_stage = replace(new_stage, direction=direction)
    stage = store.create_stage(new_stage, replace=True)
    assert store.stages() == [stage]
    for field in fields(NewStage):
        assert getattr(stage, field.name) == getattr(new_stage, field.name), field.name
    assert list(stage.space) == list(new_stage.space)  # in the order of the study file too
    study = optuna.load_study(study_name="mnist/stage-01", storage=storage(store.url))
    assert study.direction.name.lower() == direction


def test_the_stage_that_is_there_holds_unless_it_is_empty_and_to_be_replaced(
    store: Store, stage: Stage, new_stage: NewStage
) -> None:
    assert store.create_stage(replace(new_stage, seed=1, direction="minimize")) == stage
    assert store.stages() == [stage]
    other = store.create_stage(replace(new_stage, seed=1), replace=True)
    assert other.seed == 1
    assert store.stages() == [other]


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
    theirs = optuna.create_study(study_name="theirs", storage=storage(url), directions=["minimize", "maximize"])
    theirs.set_user_attr("hpsearch:note", "not a stage")
    assert store.stages() == [stage]
    optuna.create_study(study_name="taken/stage-01", storage=storage(url))
    with pytest.raises(StageConflict, match="taken/stage-01 that hpsearch did not make"):
        store.create_stage(replace(new_stage, search="taken"))


@pytest.fixture
def confirmation(store: Store, stage: Stage, new_stage: NewStage) -> Stage:
    """The confirmation of `stage`, with two repeats of two settings."""
    roster = ConfirmationPlan().grown(SETTINGS, 2)
    return store.create_stage(replace(new_stage, parent=stage.number, seed=5, plan=roster))


def claimed(trials: tuple[Trial, ...]) -> list[tuple[int, Any, int | None]]:
    return [(trial.number, trial.params, trial.repeat) for trial in trials]


def test_a_confirmation_is_no_stage_of_the_search(store: Store, stage: Stage, confirmation: Stage) -> None:
    assert confirmation.name == "mnist/confirm-01"
    assert store.stages() == [stage] == store.stages("mnist")
    assert store.confirmations() == [confirmation] == store.confirmations("mnist")
    assert store.confirmations("other") == []
    assert confirmation.number == stage.number


def test_an_hpsearch_that_knows_no_confirmations_sees_no_second_stage_1(confirmation: Stage, rows: Rows) -> None:
    keys = {row["key"] for row in rows("study_user_attributes") if row["study_id"] == confirmation.study_id}
    assert "hpsearch:number" not in keys
    assert {"hpsearch:kind", "hpsearch:parent", "hpsearch:roster"} <= keys
    assert stage_from_attributes(1, "maximize", {"hpsearch:search": "mnist", "hpsearch:ranges": {}}) is None


def test_claims_give_each_number_its_place(store: Store, stage: Stage, confirmation: Stage, me: Owner) -> None:
    store.claim(confirmation, until=4, most=3, owner=me)
    assert store.release(confirmation, owner=me) == 3
    first = store.claim(confirmation, until=4, most=2, owner=me).trials
    rest = store.claim(confirmation, until=4, most=9, owner=me).trials
    assert claimed(first + rest) == EXPECTED
    # What is stored is what was claimed.
    columns = store.columns(confirmation)
    assert columns["number"] == [0, 1, 2, 3]
    for name in confirmation.space:
        assert columns[f"param:{name}"] == [params[name] for _, params, _ in EXPECTED]
    assert (store.counts(stage).rows, store.counts(confirmation).running) == (0, 4)


def test_a_runner_that_knows_the_old_roster_understands_the_trials_of_the_grown_one(
    store: Store, confirmation: Stage, me: Owner
) -> None:
    plan = ConfirmationPlan().grown(SETTINGS, 2).grown(SETTINGS, 3)
    store.change_study_attribute(confirmation, PLAN_KEY, lambda _: plan.to_dict())
    other = replace(me, run="another")
    (grown,) = store.confirmations()
    assert grown.plan == plan
    assert len(store.claim(grown, until=6, most=6, owner=other).trials) == 6
    store.release(grown, owner=other)
    found = claimed(store.claim(confirmation, until=6, most=6, owner=me).trials)
    assert found == [*EXPECTED, (4, SETTINGS[0].params, 2), (5, SETTINGS[1].params, 2)]


def test_trials_of_others_in_the_study_are_noticed(store: Store, confirmation: Stage, me: Owner) -> None:
    study = optuna.load_study(study_name=confirmation.name, storage=storage(store.url))
    study.ask()
    assert len(store.claim(confirmation, until=4, most=3, owner=me).trials) == 3
    with pytest.raises(StageConflict, match="did not begin"):
        store.claim(confirmation, until=4, most=1, owner=me)


def test_a_study_s_attribute_is_changed_and_read(store: Store, stage: Stage) -> None:
    assert store.study_attribute(stage, "hpsearch:x") is None
    seen: list[Any] = []

    def change(before: Any | None) -> Any:
        seen.append(before)
        return [*(before or []), {"größe": 0.1}]

    assert store.change_study_attribute(stage, "hpsearch:x", change) == [{"größe": 0.1}]
    assert store.change_study_attribute(stage, "hpsearch:x", change) == [{"größe": 0.1}] * 2
    assert seen == [None, [{"größe": 0.1}]]
    with pytest.raises(ZeroDivisionError):  # comes out, and nothing is written
        store.change_study_attribute(stage, "hpsearch:x", lambda before: 1 / 0)
    assert store.study_attribute(stage, "hpsearch:x") == [{"größe": 0.1}] * 2
    assert store.change_study_attribute(stage, "hpsearch:x", lambda before: 2) == 2  # the database is free again


def test_changes_at_the_same_time_come_one_after_the_other(
    url: str, opener: Opener, store: Store, stage: Stage
) -> None:
    def count(mine: Store) -> None:
        for _ in range(5):
            mine.change_study_attribute(stage, "hpsearch:x", lambda before: (before or 0) + 1)

    threads = [threading.Thread(target=count, args=(opener(url),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.study_attribute(stage, "hpsearch:x") == 15
