"""What a stage's kind says of it, and the seam's round trips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import tiny

from hpsearch.objectives import kinds
from hpsearch.objectives.base import HeldOut, Uncertainty
from hpsearch.records import NewStage

SPACE = {**tiny.PLAIN["space"], "momentum": {"low": 0.1, "high": 0.9}, "optimizer": {"choices": ["adam", "momentum"]}}
STUDY = tiny.study(space=SPACE)
STAGE = NewStage("tiny", 1, "maximize", 0, STUDY.space, STUDY.to_dict(), sizes={"train": 40, "validation": 20})
OURS = replace(STAGE, imported={"file": "x.parquet"})
THEIRS = replace(OURS, study_file={"objective": {"metric": "auc"}})


def test_a_stage_with_a_study_file_is_the_network_s_and_can_be_run_here_wherever_it_was_run() -> None:
    for stage in (STAGE, OURS):
        assert (kinds.trainable(stage), kinds.foreign(stage), kinds.epochs(stage)) == (True, False, 3)
        assert kinds.settings(stage)["hidden"] == [8]
        assert kinds.parameters(stage)["momentum"].high == 1.0
        assert kinds.used(stage, {"lr": 0.1, "momentum": 0.5, "optimizer": "adam"}) == ["lr", "optimizer"]
        assert kinds.uncertainty(stage) == Uncertainty("hits", 20)


def test_of_a_stage_that_was_run_elsewhere_nothing_is_assumed() -> None:
    assert (kinds.trainable(THEIRS), kinds.foreign(THEIRS), kinds.epochs(THEIRS)) == (False, True, None)
    assert kinds.settings(THEIRS) == kinds.parameters(THEIRS) == {}
    assert kinds.used(THEIRS, {"momentum": 0.5, "optimizer": "adam"}) == ["momentum", "optimizer"]
    assert kinds.examples(THEIRS) is None


@pytest.mark.parametrize("changes", [{"sizes": {}}, {"study_file": {"objective": {"metric": "validation_loss"}}}])
def test_the_noise_of_a_loss_or_of_unknown_examples_is_unknown(changes: dict[str, Any]) -> None:
    assert kinds.uncertainty(replace(STAGE, **changes)) == Uncertainty("unknown")


def test_a_score_on_the_test_set_is_stored_and_read_back() -> None:
    score = HeldOut("accuracy", 0.9, 10, 9, 0.6, 0.98, 0.95)
    stored = kinds.DEFAULT.held_out_record(score)
    assert kinds.DEFAULT.held_out({"id": "x"} | stored) == score
    assert set(stored) == {"images", "hits", "accuracy", "interval", "level"}  # as in databases of 0.2
    assert kinds.DEFAULT.held_out({"id": "x"}) is None
