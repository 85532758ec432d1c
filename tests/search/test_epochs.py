"""Trials of another length: epochs per stage, and which scores compare."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny

from hpsearch import Search
from hpsearch.errors import BadArgument, StageConflict
from hpsearch.objectives import kinds
from hpsearch.records import NewStage, Stage
from hpsearch.search.stage import best_among, compares
from hpsearch.store import open_store
from hpsearch.study_file import parse

FUNCTION: dict[str, Any] = {
    "name": "own",
    "objective": {"function": "train.py:score", "direction": "maximize"},
    "space": {"lr": {"low": 1e-3, "high": 1.0, "log": True}},
}


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """The tiny study, of 3 epochs, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    tiny.write(tmp_path)
    return Search("tiny.toml", storage="studies.db")


def test_a_stage_made_with_epochs_trains_for_them_and_its_scores_alone_are_compared(search: Search) -> None:
    search.start(engine="inline")
    made = search.narrow(top=4, epochs=5).stage
    assert made is not None
    assert search.best.stage == "tiny/stage-01"  # the longer stage has no score yet
    assert search.best.left_out is None
    search.start(2, engine="inline")
    curves = search.trials(stage=2, curves=True).curves
    assert curves is not None
    assert {len(curve) for curve in curves.values()} == {5}
    best = search.best
    assert (best.stage, best.trials) == ("tiny/stage-02", 2)
    words = "the scores of tiny/stage-01 are left out: they are after 3 epochs, and those of tiny/stage-02 after 5"
    assert best.left_out == words
    third = search.narrow(top=2).stage
    assert third is not None
    assert kinds.trained_epochs(third) == 5  # as long as its parent
    assert compares(made, third)
    with closing(open_store("studies.db")) as store:
        assert not compares(store.stages()[0], made)


def test_epochs_of_a_run_hold_for_a_stage_without_trials(search: Search) -> None:
    (first,) = search.start(2, engine="inline", epochs=2)
    assert kinds.trained_epochs(first[0]) == 2
    (again,) = search.start(3, engine="inline")
    assert kinds.trained_epochs(again[0]) == 2
    search.start(3, engine="inline", epochs=2)
    with pytest.raises(StageConflict, match=r"was begun with 2 epochs.*narrow\(stage=1, epochs=4\)"):
        search.start(4, engine="inline", epochs=4)
    search.narrow(top=2)
    (second,) = search.start(2, engine="inline", epochs=4)
    assert (second[0].number, kinds.trained_epochs(second[0])) == (2, 4)


def test_a_length_that_pruning_does_not_allow_is_refused(search: Search, tmp_path: Path) -> None:
    tiny.write(tmp_path, training={"epochs": 8}, pruning={"rule": "halving", "min_epochs": 4})
    with pytest.raises(BadArgument, match=r"epochs=7: .*min_epochs = 4 is more than half of the 7 epochs"):
        search.start(2, engine="inline", epochs=7)
    with pytest.raises(BadArgument, match="epochs=0: give a number from 1"):
        search.start(2, engine="inline", epochs=0)


def test_an_objective_of_one_s_own_is_given_its_epochs_as_a_fixed_parameter() -> None:
    without = parse(FUNCTION, source="own")
    with pytest.raises(BadArgument, match="no fixed parameter epochs"):
        without.with_epochs(9)
    study = parse({**FUNCTION, "fixed": {"epochs": 4}}, source="own").with_epochs(9)
    assert (study.settings, study.epochs) == ({"epochs": 9}, None)
    curves = {**FUNCTION, "fixed": {"epochs": 4}, "objective": {**FUNCTION["objective"], "epochs": 4}}
    study = parse(curves, source="own").with_epochs(9)
    assert (study.settings, study.epochs) == ({"epochs": 9}, 9)
    stage = NewStage("own", 1, "maximize", 0, study.space, study.to_dict())
    assert kinds.trained_epochs(stage) == 9
    assert kinds.trained_epochs(replace(stage, study_file=without.to_dict())) is None
    # The length of its curves is no number of epochs that it could be given.
    of_curves = {**FUNCTION, "objective": {**FUNCTION["objective"], "epochs": 30}}
    assert kinds.trained_epochs(replace(stage, study_file=parse(of_curves, source="own").to_dict())) is None


def test_the_longest_trials_go_first_whatever_their_scores() -> None:
    plain = {**FUNCTION, "fixed": {"epochs": 4}}
    stages = [Stage("own", 1, "maximize", 0, {}, {**plain, "fixed": {"epochs": n}}, study_id=n) for n in (4, 9, 9)]
    scored: list[dict[str, list[Any]]]
    scored = [{"number": [0], "score": [score], "validation_loss": [None]} for score in (0.9, 0.5, 0.6)]
    nothing: dict[str, list[Any]] = {"number": [], "score": [], "validation_loss": []}
    best = best_among(list(zip(stages, scored, strict=True)))
    assert best is not None
    assert best[0] is stages[2]
    best = best_among([(stages[0], scored[0]), (stages[1], nothing)])
    assert best is not None
    assert best[0] is stages[0]
