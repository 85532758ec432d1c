"""The staged workflow, without its command: the work of a job in a database, and signals on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import tiny

from hpsearch.errors import BadInput, BadStudyFile, StageConflict
from hpsearch.executors.base import InlineExecutor
from hpsearch.objectives.network import runtime
from hpsearch.records import Sentence, Stage
from hpsearch.search import workflow
from hpsearch.search.narrowing import NextStage, narrow_stage
from hpsearch.search.runner import Summary
from hpsearch.search.workflow import Job, Listener, run, stopping
from hpsearch.store import Counts, Store, open_store


class Heard(Listener):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[int] = []
        self.recorded: list[int] = []
        self.narrowings: list[NextStage] = []

    def note(self, text: str | Sentence) -> None:
        self.notes.append(str(text))

    def began(self, stage: Stage, *_: Any, **__: Any) -> None:
        self.stages.append(stage.number)

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        self.recorded.append(summary.recorded)

    def narrowed(self, narrowed: NextStage) -> None:
        self.narrowings.append(narrowed)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the tiny study in ``studies``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    (tmp_path / "studies").mkdir()
    tiny.write(tmp_path / "studies")
    return tmp_path


def start(heard: Heard | None = None, **options: Any) -> Heard:
    heard = heard or Heard()
    run(Job(**{"storage": "studies.db", "study": "tiny", "engine": "inline", **options}), heard)
    return heard


def stages_and_counts() -> tuple[list[Stage], list[Counts]]:
    """All that the jobs left in their database."""
    with closing(open_store("studies.db")) as store:
        return (stages := store.stages()), [store.counts(stage) for stage in stages]


def test_a_job_brings_the_stage_to_its_count_once(folder: Path) -> None:
    first, second, third = start(seed=9), start(), start(trials=8, seed=9)
    assert (first.recorded, second.recorded, third.recorded) == ([6], [0], [2])
    with pytest.raises(StageConflict, match="seed=8: tiny/stage-01 was begun with seed 9"):
        start(trials=9, seed=8)
    assert (first.notes, second.notes, third.notes) == (["784 numbers from 0 to 255: divided by 255"], [], [])
    (stage,), (counts,) = stages_and_counts()
    assert counts.complete == 8
    assert stage.fingerprint == tiny.split().fingerprint


@pytest.mark.parametrize("fails", [False, True])
def test_workers_are_let_go_whatever_happens(folder: Path, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    closed: list[bool] = []

    class Closed(InlineExecutor):  # type: ignore[misc]  # final, but for this
        def close(self, *, kill: bool = False) -> None:
            closed.append(kill)
            super().close(kill=kill)

    monkeypatch.setattr(workflow, "InlineExecutor", Closed)
    with pytest.raises(BadInput) if fails else nullcontext():
        start(stage=7 if fails else None, trials=1)
    assert closed == [fails]  # after a failure batches may be under way, and nobody waits for them


def test_three_stages_and_nothing_more_the_second_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(wraps=runtime.objective)
    monkeypatch.setattr(runtime, "objective", made)
    first = start(stages=3, top=3)
    assert (first.stages, first.recorded) == ([1, 2, 3], [6, 6, 6])
    assert made.call_count == 3  # the data are made ready once a stage
    assert [narrowed.parent.number for narrowed in first.narrowings] == [1, 2]
    stages, counts = stages_and_counts()
    assert [(stage.number, stage.parent) for stage in stages] == [(1, None), (2, 1), (3, 2)]
    assert [of.complete for of in counts] == [6, 6, 6]
    assert len({stage.fingerprint for stage in stages}) == 1
    again = start(stages=3, top=3)
    assert (again.stages, again.recorded, again.narrowings) == ([3], [0], [])
    # Stages that are there already, made by hand or by an earlier run, are taken as they are.
    whole = start(stage=1, stages=4, top=2)
    assert (whole.stages, whole.recorded) == ([1, 2, 3, 4], [0, 0, 0, 6])
    assert stages_and_counts()[0][:3] == stages


def test_an_edited_study_file_is_noticed_and_the_stage_goes_on_as_it_was(folder: Path) -> None:
    start(trials=2)
    tiny.write(folder / "studies", training={"epochs": 5}, trials={"count": 3})
    heard = start()
    (note,) = heard.notes
    assert "goes on with trials of 3 epochs, as it was begun; the study file says 5" in note
    assert "count" not in note
    assert heard.recorded == [1]
    with closing(open_store("studies.db")) as store:
        steps = store.curves(store.stages()[0], range(3)).groupby("number")["step"].max().tolist()
    assert steps == [3, 3, 3]


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
    for storage in ("studies.db", "nowhere.db"):
        with pytest.raises(BadStudyFile, match="no study file"):
            start(study="other", storage=storage)


def test_changed_data_are_refused(folder: Path) -> None:
    def save(offset: int) -> None:
        x = (np.arange(80 * 6).reshape(80, 6) + offset).astype(np.uint8)
        np.savez("own.npz", x=x, y=np.arange(80) % 4)

    save(0)
    tiny.write(folder / "studies", "own", data={"name": None, "path": "own.npz", "test": 0})
    start(study="own", trials=2)
    save(0)
    assert start(study="own", trials=3).recorded == [1]
    save(1)
    with pytest.raises(StageConflict, match="the data of own/stage-01 have changed"):
        start(study="own", trials=4)
    assert stages_and_counts()[1][0].rows == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        *(({name: 0}, f"{name}=0: give a number from 1") for name in ("trials", "stages", "jobs", "lanes")),
        ({"seed": -1}, "seed=-1: give a whole number from 0"),
        ({"pruner": "halvin"}, "pruner=halvin: no such rule; did you mean 'halving'"),
        ({"engine": "polo"}, "engine=polo: no such engine; did you mean 'pool'"),
        ({"scheduler": "tcp://x:1"}, "scheduler=tcp://x:1 with engine=inline: use engine=dask"),
        ({"expand": True}, "expand needs stages"),
        ({"stages": 2, "top": 7}, "top=7: a stage has 6 trials"),
        (
            {"stages": 2, "top": 3, "trials": 12, "pruner": "halving"},
            "top=3: of 12 trials a stage, pruning by halving may leave only 2 complete",
        ),
    ],
)
def test_a_job_that_cannot_be_done_leaves_nothing_behind(folder: Path, options: dict[str, Any], says: str) -> None:
    tiny.write(folder / "studies", **PRUNED)
    with pytest.raises(BadInput, match=says):
        start(**options)
    assert not (folder / "studies.db").exists()


PRUNED: dict[str, Any] = {"training": {"epochs": 8}, "pruning": {"cohort": 6, "reduction_factor": 2}}


def test_a_stage_s_pruning_rule_goes_on_in_the_next_until_another_is_given(folder: Path) -> None:
    tiny.write(folder / "studies", **PRUNED)
    heard = start(stages=2, top=2, trials=12, pruner="halving")
    assert heard.recorded == [12, 12]
    stages, counts = stages_and_counts()
    assert [stage.study_file["pruning"]["rule"] for stage in stages] == ["halving", "halving"]
    assert all(of.finished == 12 and of.pruned >= 6 for of in counts)
    (narrowed,) = heard.narrowings
    assert (narrowed.finished, narrowed.pruned) == (12, counts[0].pruned)
    # Given again, or not given, it goes on; the file's own rule is another, and that is noted.
    assert start(trials=12, pruner="halving").notes == []
    (note,) = start(trials=12).notes
    assert note == "tiny/stage-02 goes on with pruning by halving, as it was begun; the study file says none"
    with pytest.raises(StageConflict, match="pruner=median: tiny/stage-02 was begun with pruning rule halving, and"):
        start(pruner="median", trials=13)
    # A narrowed stage without trials may begin with another rule.
    with closing(open_store("studies.db", write=True)) as store:
        narrow_stage(store, store.stages(), top=2)
    start(pruner="none")
    assert [of.pruned > 0 for of in stages_and_counts()[1]] == [True, True, False]


SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def handlers() -> Iterator[Callable[[], list[Any]]]:
    """The handlers of signals, which are to be those of before in the end."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield lambda: [signal.getsignal(number) for number in SIGNALS]
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("second", SIGNALS)
@pytest.mark.parametrize("first", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_raises(
    handlers: object, first: signal.Signals, second: signal.Signals
) -> None:
    def twice() -> None:
        with stopping() as stop:
            assert not stop()
            signal.raise_signal(first)
            assert stop()
            signal.raise_signal(second)

    with pytest.raises(KeyboardInterrupt, match="what was recorded stays"):
        twice()


def test_a_closed_terminal_is_noted_once_and_ignored_where_it_was() -> None:
    with stopping() as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)  # the kernel's and the shell's
        assert stop()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with stopping() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_handles_no_signals(handlers: Callable[[], list[Any]]) -> None:
    before, seen = handlers(), []

    def work() -> None:
        with stopping() as stop:
            seen.extend([stop(), handlers()])

    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result(60)
    assert seen == [False, before]


@pytest.mark.parametrize(
    ("cgroup", "files", "most"),
    [
        ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 1"}, 2),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("5:cpu,cpuacct:/of/the/host\n4:cpuset:/", {"cpu/cpu.cfs_quota_us": "25", "cpu/cpu.cfs_period_us": "10"}, 3),
        ("5:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "1"}, 64),
        ("0::/", {}, 64),
        ("0::/", {"cpu.max": ""}, 64),
        (None, {}, 64),
    ],
)
def test_a_container_s_quota_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str | None, files: dict[str, str], most: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    if cgroup is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"{cgroup}\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert workflow.cores(tmp_path) == most


@pytest.mark.parametrize("engine", ["pool", "dask"])
def test_a_script_without_a_guard_is_told_in_one_line(tmp_path: Path, engine: str) -> None:
    tiny.write(tmp_path)
    script = f"from hpsearch import Search\nSearch('tiny.toml', storage='x.db').start(jobs=2, engine='{engine}')\n"
    (tmp_path / "script.py").write_text(script)
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "script.py"]
    ran = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr.count("Traceback") == 1
    assert ran.stderr.splitlines()[-1].startswith("hpsearch.errors.BadInput: processes import the script that")
    assert "if __name__ == '__main__':" in ran.stderr.splitlines()[-1]
