"""Confirmations and attributes of studies, through either store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest

from hpsearch.errors import StageConflict
from hpsearch.records import Completed, ConfirmationPlan, Setting, Stage, Trial
from hpsearch.store import NewStage, Owner, Store
from hpsearch.store.stages import ROSTER, stage_from_attributes

Opener = Callable[..., Store]
SETTINGS = [
    Setting(4, {"lr": 1e-3, "batch_size": 40, "activation": "tanh"}, 0.75),
    Setting(1, {"lr": 0.1 + 0.2 - 0.3 + 1e-5, "batch_size": 200, "activation": "relu"}, 0.5),
]


@pytest.fixture
def confirmation(store: Store, stage: Stage, new_stage: NewStage) -> Stage:
    """The confirmation of `stage`, with two repeats of two settings."""
    roster = ConfirmationPlan().grown(SETTINGS, 2)
    return store.create_stage(replace(new_stage, parent=stage.number, seed=5, plan=roster))


def grow(store: Store, confirmation: Stage, repeats: int) -> None:
    store.change_study_attribute(
        confirmation, ROSTER, lambda plain: ConfirmationPlan.from_dict(plain or {}).grown(SETTINGS, repeats).to_dict()
    )


def claimed(trials: tuple[Trial, ...]) -> list[tuple[int, Any, int | None]]:
    return [(trial.number, trial.params, trial.repeat) for trial in trials]


EXPECTED = [
    (0, SETTINGS[0].params, 0),
    (1, SETTINGS[1].params, 0),
    (2, SETTINGS[0].params, 1),
    (3, SETTINGS[1].params, 1),
]


def test_a_confirmation_is_no_stage_of_the_search(store: Store, stage: Stage, confirmation: Stage) -> None:
    assert confirmation.name == "mnist/confirm-01"
    assert store.stages() == [stage] == store.stages("mnist")
    assert store.confirmations() == [confirmation] == store.confirmations("mnist")
    assert store.confirmations("other") == []
    assert confirmation.number == stage.number


def test_an_hpsearch_that_knows_no_confirmations_sees_no_second_stage_1(
    confirmation: Stage, rows: Callable[[str], list[dict[str, Any]]]
) -> None:
    keys = {row["key"] for row in rows("study_user_attributes") if row["study_id"] == confirmation.study_id}
    assert "hpsearch:number" not in keys
    assert {"hpsearch:kind", "hpsearch:parent", "hpsearch:roster"} <= keys
    assert stage_from_attributes(1, "maximize", {"hpsearch:search": "mnist", "hpsearch:ranges": {}}) is None


def test_claims_give_each_number_its_place(store: Store, confirmation: Stage, me: Owner) -> None:
    first = store.claim(confirmation, until=4, most=3, owner=me).trials
    rest = store.claim(confirmation, until=4, most=9, owner=me).trials
    assert claimed(first + rest) == EXPECTED
    # What is stored is what was claimed.
    columns = store.columns(confirmation)
    assert columns["number"] == [0, 1, 2, 3]
    for name in confirmation.space:
        assert columns[f"param:{name}"] == [params[name] for _, params, _ in EXPECTED]


def test_a_trial_that_was_given_back_keeps_its_place(store: Store, confirmation: Stage, me: Owner) -> None:
    store.claim(confirmation, until=4, most=3, owner=me)
    assert store.release(confirmation, owner=me) == 3
    assert claimed(store.claim(confirmation, until=4, most=9, owner=me).trials) == EXPECTED


def test_a_runner_that_knows_the_old_roster_understands_the_trials_of_the_grown_one(
    store: Store, confirmation: Stage, me: Owner
) -> None:
    grow(store, confirmation, 3)
    other = replace(me, run="another")
    (grown,) = store.confirmations()
    assert grown.plan is not None
    assert grown.plan.size == 6
    assert len(store.claim(grown, until=6, most=6, owner=other).trials) == 6
    store.release(grown, owner=other)
    found = claimed(store.claim(confirmation, until=6, most=6, owner=me).trials)
    assert found == [*EXPECTED, (4, SETTINGS[0].params, 2), (5, SETTINGS[1].params, 2)]


def test_trials_of_others_in_the_study_are_noticed(store: Store, confirmation: Stage, me: Owner) -> None:
    study = optuna.load_study(study_name=confirmation.name, storage=store.url)
    study.ask()
    assert len(store.claim(confirmation, until=4, most=3, owner=me).trials) == 3
    with pytest.raises(StageConflict, match="did not begin"):
        store.claim(confirmation, until=4, most=1, owner=me)


def test_confirmations_do_not_meet_their_stage(store: Store, stage: Stage, confirmation: Stage, me: Owner) -> None:
    (trial, *_) = store.claim(confirmation, until=4, most=4, owner=me).trials
    store.record(confirmation, [Completed(0, 0.5)], {0: trial.trial_id}, owner=me)
    assert store.counts(stage).rows == 0
    assert store.counts(confirmation).complete == 1


def test_a_study_s_attribute_is_changed_and_read(store: Store, stage: Stage) -> None:
    assert store.study_attribute(stage, "hpsearch:x") is None
    seen: list[Any] = []

    def change(before: Any | None) -> Any:
        seen.append(before)
        return [*(before or []), {"größe": 0.1}]

    assert store.change_study_attribute(stage, "hpsearch:x", change) == [{"größe": 0.1}]
    assert store.change_study_attribute(stage, "hpsearch:x", change) == [{"größe": 0.1}] * 2
    assert seen == [None, [{"größe": 0.1}]]
    assert store.study_attribute(stage, "hpsearch:x") == [{"größe": 0.1}] * 2
    assert store.stages() == [stage]


def test_what_a_change_raises_comes_out_and_nothing_is_written(store: Store, stage: Stage) -> None:
    store.change_study_attribute(stage, "hpsearch:x", lambda before: 1)

    def refuse(before: Any | None) -> Any:
        raise StageConflict("no")

    with pytest.raises(StageConflict, match="no"):
        store.change_study_attribute(stage, "hpsearch:x", refuse)
    assert store.study_attribute(stage, "hpsearch:x") == 1
    # And the database is free again.
    assert store.change_study_attribute(stage, "hpsearch:x", lambda before: 2) == 2


def test_changes_at_the_same_time_come_one_after_the_other(
    url: str, kind: str, open_kind: Opener, store: Store, stage: Stage
) -> None:
    def count(mine: Store) -> None:
        for _ in range(5):
            mine.change_study_attribute(stage, "hpsearch:x", lambda before: (before or 0) + 1)

    threads = [threading.Thread(target=count, args=(open_kind(url, kind),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.study_attribute(stage, "hpsearch:x") == 15
