"""What a stage's kind says of it, and the seam's round trips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import pytest
import tiny

from hpsearch.objectives import kinds
from hpsearch.objectives.base import HeldOut, Kind
from hpsearch.objectives.sections import Section
from hpsearch.records import NewStage
from hpsearch.search import workflow
from hpsearch.study_file import parse, write_study

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
        assert kinds.examples(stage) == 20


def test_of_a_stage_that_was_run_elsewhere_nothing_is_assumed() -> None:
    assert (kinds.trainable(THEIRS), kinds.foreign(THEIRS), kinds.epochs(THEIRS)) == (False, True, None)
    assert kinds.settings(THEIRS) == kinds.parameters(THEIRS) == {}
    assert kinds.used(THEIRS, {"momentum": 0.5, "optimizer": "adam"}) == ["momentum", "optimizer"]
    assert kinds.examples(THEIRS) is None


@pytest.mark.parametrize("changes", [{"sizes": {}}, {"study_file": {"objective": {"metric": "validation_loss"}}}])
def test_the_noise_of_a_loss_or_of_unknown_examples_is_unknown(changes: dict[str, Any]) -> None:
    assert kinds.examples(replace(STAGE, **changes)) is None


def test_a_score_on_the_test_set_is_stored_and_read_back() -> None:
    score = HeldOut("accuracy", 0.9, 10, 9, 0.6, 0.98, 0.95)
    stored = kinds.DEFAULT.held_out_record(score)
    assert kinds.DEFAULT.held_out({"id": "x"} | stored) == score
    assert set(stored) == {"images", "hits", "accuracy", "interval", "level"}  # as in databases of 0.2
    assert kinds.DEFAULT.held_out({"id": "x"}) is None


class _Toy(Section):
    kind: Literal["toy"]


class _ToySections(Section):
    objective: _Toy
    settings: ClassVar[Mapping[str, Any]] = {}
    epochs: ClassVar[None] = None

    def check(self, space: object) -> None:
        pass


class _ToyKind:
    """A kind of open parameters, without fixed values and learning curves."""

    name, preload, parameters, evaluates, suggests = "toy", "toys", None, False, False
    also_called = curves = curve_bounds = cast(Mapping[str, Any], {})

    def sections(self) -> type[_ToySections]:
        return _ToySections

    def settings(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def trained_epochs(self, plain: Mapping[str, Any]) -> None:
        return None

    def uses(self, name: str, values: Mapping[str, Any]) -> bool:
        return name != "idle"

    def scored_at(self, plain: Mapping[str, Any]) -> None:
        return None

    def template(self, search: str, data: Mapping[str, Any] | None = None) -> str:
        return f"a toy {search}"


def test_a_second_kind_is_asked_in_the_network_s_stead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toy = cast(Kind, _ToyKind())
    monkeypatch.setitem(cast(dict[str, Kind], kinds.KINDS), toy.name, toy)
    for name in ("sections", "settings", "uses", "scored_at", "template", "preload"):
        monkeypatch.delattr(type(kinds.DEFAULT), name)
    space = {"size": {"type": "int", "low": 1, "high": 8}, "idle": {"choices": ["a", 2, True]}}
    study = parse({"name": "play", "objective": {"kind": "toy"}, "space": space}, source="a toy")
    kept = study.to_dict()
    assert (kinds.kind_of(kept), study.kind, parse(kept, source="kept")) == (toy, toy, study)
    assert (list(study.space), study.only_where("idle")) == (["size", "idle"], "")
    stage = NewStage("play", 1, "maximize", 0, study.space, kept, imported={"file": "x.parquet"})
    assert (kinds.trainable(stage), kinds.foreign(stage), kinds.scored_at(stage)) == (True, False, None)
    assert (kinds.settings(stage), kinds.parameters(stage)) == ({}, {})
    assert kinds.used(stage, {"size": 3, "idle": "a"}) == ["size"]
    assert write_study("play", folder=tmp_path, kind=toy).read_text() == "a toy play"

    def started(jobs: int, preload: str) -> None:
        raise RuntimeError(preload)

    monkeypatch.setattr(workflow, "find", lambda name: study)
    monkeypatch.setattr(workflow, "PoolExecutor", started)
    with pytest.raises(RuntimeError, match="toys"):
        workflow.run(workflow.Job(storage=str(tmp_path / "x.db"), study="play"))
