"""Stages that were run elsewhere, whole or not at all, and the same to every reader."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import optuna
import pytest
from stored import storage

from hpsearch.errors import StageConflict
from hpsearch.records import PastTrials
from hpsearch.store import Counts, NewStage, Owner, Store

T = [datetime(2026, 1, 2, 3, 4, second, 567_000 * (second > 0)) for second in range(6)]
POINTS = [(0, 1, 0.1), (0, 2, 0.3), (1, 1, math.nan), (1, 7, math.inf), (2, 1, -math.inf), (2, 2, 5e-324)]
ATTRIBUTES: list[tuple[int, str, Any]] = [
    (2, "curves", {"train_loss": [1.0, math.nan]}),
    (0, "validation_loss", 0.1 + 0.2),
    (0, "größe", "ü"),
    (1, "reason", "=diverged"),
    (0, "curves", {"train_loss": [0.5, 0.25]}),
]


def past(attributes: Any = ATTRIBUTES) -> PastTrials:
    """A trial in every state that there may be, with something in every field."""
    number, step, value = zip(*POINTS, strict=True)
    return PastTrials(
        states=["COMPLETE", "FAIL", "PRUNED", "WAITING", "COMPLETE"],
        scores=[0.1, None, 5e-324, None, math.inf],
        started=[T[0], T[1], T[2], None, T[3]],
        finished=[T[1], T[2], T[3], None, T[4]],
        params={
            "lr": [0.1 + 0.2, 1e-6, 1e-2, None, 1e-3],
            "batch_size": [20, 40, 200, None, 60],
            "activation": ["sigmoid", "relu", "tanh", None, "relu"],
        },
        points=(np.array(number), np.array(step), np.array(value)),
        attributes=attributes,
    )


def test_everything_is_there(store: Store, new_stage: NewStage) -> None:
    about = {"from": "results.csv", "notes": ["größe"]}
    empty = replace(new_stage, number=2, imported=about)
    stage, second = store.import_stages([(new_stage, past()), (empty, past(()))])
    assert store.stages() == [stage, second]
    assert second.imported == about
    assert replace(stage, study_id=0) == replace(second, number=1, study_id=0, imported=new_stage.imported)
    assert store.counts(stage) == store.counts(second) == Counts(complete=2, pruned=1, failed=1, waiting=1)
    columns = store.columns(stage)
    wanted = past()
    assert columns["number"] == [0, 1, 2, 3, 4]
    assert columns["state"] == wanted.states
    assert columns["score"] == wanted.scores
    assert columns["validation_loss"] == [0.1 + 0.2, None, None, None, None]
    assert columns["reason"] == [None, "=diverged", "stopped after epoch 2", None, None]
    assert columns["started"] == wanted.started
    assert columns["finished"] == wanted.finished
    for name, values in wanted.params.items():
        assert columns[f"param:{name}"] == values
    assert store.scores(stage)["number"].tolist() == [0]
    assert repr(list(store.curves(stage).itertuples(index=False, name=None))) == repr(POINTS)
    assert store.attribute(stage, range(5), "größe") == {0: "ü"}
    assert repr(dict(sorted(store.attributes(stage, "curves")))) == repr({0: ATTRIBUTES[4][2], 2: ATTRIBUTES[0][2]})
    assert list(store.attributes(stage, "none")) == []


def test_a_trial_that_waited_runs_with_the_values_it_had(store: Store, new_stage: NewStage, me: Owner) -> None:
    waiting = replace(past(), params={**past().params, "lr": [1e-3] * 5})
    (stage,) = store.import_stages([(new_stage, waiting)])
    first, *others = store.claim(stage, until=6, most=9, owner=me).trials
    assert (first.number, first.params["lr"]) == (3, 1e-3)
    assert [trial.number for trial in others] == [5]


@pytest.mark.parametrize("of_optuna", [False, True])
def test_a_name_that_is_taken_is_refused_and_nothing_written(
    store: Store, new_stage: NewStage, of_optuna: bool
) -> None:
    if of_optuna:
        optuna.create_study(study_name=new_stage.name, storage=storage(store.url))
    else:
        store.create_stage(new_stage)
    before = store.stages()
    with pytest.raises(StageConflict, match=r"mnist/stage-01 is in .* already"):
        store.import_stages([(replace(new_stage, number=2), past()), (new_stage, past())])
    assert store.stages() == before
    assert optuna.get_all_study_names(storage(store.url)) == [new_stage.name]


def test_what_breaks_in_the_middle_leaves_nothing(store: Store, new_stage: NewStage) -> None:
    def breaking() -> Iterator[tuple[int, str, Any]]:
        yield ATTRIBUTES[0]
        raise RuntimeError("the file ends here")

    second = replace(new_stage, number=2)
    with pytest.raises(RuntimeError, match="ends here"):
        store.import_stages([(new_stage, past()), (second, past(breaking()))])
    assert store.stages() == []
    assert optuna.get_all_study_names(storage(store.url)) == []
    assert len(store.import_stages([(new_stage, past())])) == 1
