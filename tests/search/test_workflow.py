"""`hpsearch start` without its door: what a job makes of a database."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from hpsearch.errors import BadInput, BadStudyFile, Interrupted, StageConflict
from hpsearch.executors.inline import InlineExecutor
from hpsearch.objectives.network import runtime
from hpsearch.records import Stage
from hpsearch.search import workflow
from hpsearch.search.narrowing import NextStage, narrow_stage
from hpsearch.search.runner import Summary, Tick
from hpsearch.search.workflow import Job, Listener, run
from hpsearch.store import Store, open_store

pytestmark = pytest.mark.usefixtures("folder")


class Heard(Listener):
    """A listener that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[int] = []
        self.recorded: list[int] = []
        self.narrowings: list[NextStage] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        self.stages.append(stage.number)

    def tick(self, tick: Tick) -> None:
        pass

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        self.recorded.append(summary.recorded)

    def narrowed(self, narrowed: NextStage) -> None:
        self.narrowings.append(narrowed)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    (tmp_path / "studies").mkdir()
    tiny.write(tmp_path / "studies")
    return tmp_path


def start(**options: Any) -> Heard:
    heard = Heard()
    run(Job(**{"storage": "studies.db", "study": "tiny", "engine": "inline", **options}), heard)
    return heard


@pytest.fixture
def reopened() -> Iterator[Callable[[], Store]]:
    """Opens the jobs' database."""
    opened: list[Store] = []

    def reopen() -> Store:
        opened.append(open_store("studies.db"))
        return opened[-1]

    yield reopen
    for store in opened:
        store.close()


def test_a_job_brings_the_stage_to_the_study_s_count_once(reopened: Callable[[], Store]) -> None:
    first, second, third = start(), start(), start(trials=8)
    assert (first.recorded, second.recorded, third.recorded) == ([6], [0], [2])
    assert first.notes == second.notes == third.notes == []
    store = reopened()
    (stage,) = store.stages()
    assert store.counts(stage).complete == 8
    assert stage.fingerprint == tiny.split().fingerprint


@pytest.mark.parametrize("fails", [False, True])
def test_workers_are_let_go_whatever_happens(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    closed: list[bool] = []

    class Closed(InlineExecutor):  # type: ignore[misc]  # final, but for this
        def close(self, *, kill: bool = False) -> None:
            closed.append(kill)
            super().close(kill=kill)

    monkeypatch.setattr(workflow, "InlineExecutor", Closed)
    if fails:
        with pytest.raises(BadInput):
            start(stage=7)
    else:
        start()
    assert closed == [fails]  # after a failure batches may be under way, and nobody waits for them


def test_the_data_are_made_ready_once_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    make = runtime.objective

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(options["space"])
        return make(*arguments, **options)

    monkeypatch.setattr(runtime, "objective", counted)
    start(stages=2, top=3)
    assert len(made) == 2


def test_three_stages_and_nothing_more_the_second_time(reopened: Callable[[], Store]) -> None:
    first = start(stages=3, top=3)
    assert (first.stages, first.recorded) == ([1, 2, 3], [6, 6, 6])
    assert [narrowed.parent.number for narrowed in first.narrowings] == [1, 2]
    store = reopened()
    stages = store.stages()
    assert [(stage.number, stage.parent) for stage in stages] == [(1, None), (2, 1), (3, 2)]
    assert [store.counts(stage).complete for stage in stages] == [6, 6, 6]
    assert len({stage.fingerprint for stage in stages}) == 1
    again = start(stages=3, top=3)
    assert (again.stages, again.recorded, again.narrowings) == ([3], [0], [])
    assert store.stages() == stages


def test_a_stage_narrowed_by_hand_is_the_next_one(reopened: Callable[[], Store]) -> None:
    start()
    start(stage=1, stages=2, top=2)
    by_hand = reopened().stages()
    whole = start(stage=1, stages=3, top=3)
    assert (whole.stages, whole.recorded) == ([1, 2, 3], [0, 0, 6])
    assert reopened().stages()[:2] == by_hand


def test_an_edited_study_file_is_noticed_and_the_stage_goes_on_as_it_was(
    folder: Path, reopened: Callable[[], Store]
) -> None:
    start(trials=2)
    tiny.write(folder / "studies", training={"epochs": 5}, trials={"count": 3})
    heard = start()
    (note,) = heard.notes
    assert "training.epochs: 3 -> 5" in note
    assert "count" not in note
    assert heard.recorded == [1]
    store = reopened()
    (stage,) = store.stages()
    assert store.curves(stage, range(3)).groupby("number")["step"].max().tolist() == [3, 3, 3]


def test_a_search_goes_on_without_its_file_but_not_with_a_broken_one(folder: Path) -> None:
    start(trials=2)
    file = folder / "studies" / "tiny.toml"
    whole = file.read_text()
    file.write_text("name = ")
    with pytest.raises(BadStudyFile, match=r"tiny\.toml is not valid TOML"):
        start()
    file.unlink()
    assert start(trials=3).recorded == [1]
    file.write_text(whole)
    with pytest.raises(BadStudyFile, match="no study file"):
        start(study="other")


def test_other_data_under_the_same_name_are_refused(folder: Path) -> None:
    start(trials=2)
    with sqlite3.connect("studies.db") as connection:
        ((text,),) = connection.execute(
            "SELECT value_json FROM study_user_attributes WHERE key = 'hpsearch:study_file'"
        ).fetchall()
        kept = json.loads(text)
        kept["data"]["seed"] = 1
        connection.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = 'hpsearch:study_file'", [json.dumps(kept)]
        )
    connection.close()
    with pytest.raises(StageConflict, match=r"the data of tiny/stage-01 have changed"):
        start(trials=3)


def test_a_changed_data_file_is_refused(folder: Path, reopened: Callable[[], Store]) -> None:
    def save(offset: int) -> None:
        x = (np.arange(80 * 6).reshape(80, 6) + offset).astype(np.uint8)
        np.savez("own.npz", x=x, y=np.arange(80) % 4)

    save(0)
    section = {"name": None, "path": "own.npz", "test": 0}
    tiny.write(folder / "studies", "own", data=section)
    start(study="own", trials=2)
    save(0)
    assert start(study="own", trials=3).recorded == [1]
    save(1)
    with pytest.raises(StageConflict, match="the data of own/stage-01 have changed"):
        start(study="own", trials=4)
    store = reopened()
    assert store.counts(store.stages()[0]).rows == 3


def test_another_seed_is_refused_and_the_same_one_is_not() -> None:
    start(trials=2, seed=9)
    assert start(trials=3, seed=9).recorded == [1]
    assert start(trials=4).recorded == [1]
    with pytest.raises(StageConflict, match="seed=8: tiny/stage-01 was begun with seed 9"):
        start(trials=5, seed=8)


@pytest.mark.parametrize("option", ["trials", "stages", "jobs", "lanes"])
def test_counts_begin_at_one(option: str, folder: Path) -> None:
    with pytest.raises(BadInput, match=f"{option}=0: give a number from 1"):
        start(**{option: 0})
    assert not (folder / "studies.db").exists()


def test_a_stopped_run_says_how_far_it_came(reopened: Callable[[], Store]) -> None:
    class Stops(Heard):
        def tick(self, tick: Tick) -> None:
            if tick.recorded:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="tiny/stage-01 has 2 of 6 trials, all recorded; 2 that had begun were given"):
        run(Job(storage="studies.db", study="tiny", engine="inline", lanes=2), Stops())
    store = reopened()
    counts = store.counts(store.stages()[0])
    assert (counts.complete, counts.running, counts.waiting) == (2, 0, 2)


PRUNED: dict[str, Any] = {"training": {"epochs": 8}, "pruning": {"cohort": 6, "reduction_factor": 2}}


def test_pruning_is_said_when_a_stage_begins_and_goes_on_in_the_next(
    folder: Path, reopened: Callable[[], Store]
) -> None:
    tiny.write(folder / "studies", **PRUNED)
    heard = start(stages=2, top=2, trials=12, pruner="halving")
    assert heard.recorded == [12, 12]
    store = reopened()
    stages = store.stages()
    assert [stage.study_file["pruning"]["rule"] for stage in stages] == ["halving", "halving"]
    for stage in stages:
        counts = store.counts(stage)
        assert counts.finished == 12
        assert counts.pruned >= 6
    (narrowed,) = heard.narrowings
    assert (narrowed.finished, narrowed.pruned) == (12, store.counts(stages[0]).pruned)
    # Said again, or not said, it goes on; the file's own rule is another, and that is told.
    assert start(trials=12, pruner="halving").notes == []
    (note,) = start(trials=12).notes
    assert note == "tiny/stage-02 goes on with pruning by halving, as it was begun; the study file says none"


def test_another_rule_is_refused_once_a_stage_has_trials(folder: Path, reopened: Callable[[], Store]) -> None:
    tiny.write(folder / "studies", **PRUNED)
    start()
    with pytest.raises(StageConflict, match="pruner=median: tiny/stage-01 was begun with pruning rule none, and"):
        start(pruner="median")
    start(stages=2, top=2, trials=6, stage=1)  # narrowed and run
    with pytest.raises(StageConflict, match="pruner=halving: tiny/stage-02 was begun with pruning rule none"):
        start(pruner="halving", trials=9)
    assert {stage.study_file["pruning"]["rule"] for stage in reopened().stages()} == {"none"}


def test_a_narrowed_stage_without_trials_may_begin_with_another_rule(
    folder: Path, reopened: Callable[[], Store]
) -> None:
    tiny.write(folder / "studies", **PRUNED)
    start(pruner="halving", trials=12)
    store = open_store("studies.db", write=True)
    narrow_stage(store, store.stages(), top=2)
    store.close()
    start(pruner="none")
    store = reopened()
    assert [store.counts(stage).pruned > 0 for stage in store.stages()] == [True, False]


def test_a_rule_that_there_is_not(folder: Path) -> None:
    with pytest.raises(BadInput, match="pruner=halvin: no such rule; did you mean 'halving'"):
        start(pruner="halvin")
    assert not (folder / "studies.db").exists()


def test_more_best_trials_than_pruning_leaves_are_refused_before_anything_is_trained(folder: Path) -> None:
    tiny.write(folder / "studies", **PRUNED)
    with pytest.raises(BadInput, match="top=3: of 12 trials a stage, pruning by halving may leave only 2 complete"):
        start(stages=2, top=3, trials=12, pruner="halving")
    assert not (folder / "studies.db").exists()
