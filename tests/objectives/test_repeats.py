"""Budgets of a trial: repeats with other seeds, retries, a time limit, and the device that it gets."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from bounded import LIMIT_S, until
from stub_objectives import Items, Kinds

from hpsearch import BadStudyFile, Search
from hpsearch.executors.base import Batch, Done, drive
from hpsearch.objectives.user.function import name_of
from hpsearch.objectives.user.repeats import Repeated
from hpsearch.objectives.user.trial import Study, Task
from hpsearch.objectives.user.trial import Trial as Called
from hpsearch.records import (
    DEVICE,
    ENDED,
    FOLDS,
    METRICS,
    REPEATS,
    SECONDS,
    STD_ERROR,
    Completed,
    Failed,
    Outcome,
    Paused,
    Pruned,
    Report,
    Sentence,
    Stage,
    Trial,
)
from hpsearch.search.workflow import Listener
from hpsearch.store import open_store

SCORES = (1.0, 2.0, 6.0)
TRIALS = tuple(Trial(number, number, {}) for number in range(3))


@dataclass(frozen=True)
class Once(Kinds):
    """Scores a trial's repeats by `SCORES`, and ends the ones that are named otherwise."""

    ends: dict[tuple[int, int], Outcome] = field(default_factory=dict)  # by number and repeat
    independent = True

    def evaluate(self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()) -> Items:
        for number, again in ((trial.number, trial.again) for trial in trials):
            yield [Report(number, 1, SCORES[again])]
            if until is not None:
                yield [Paused(number, (SCORES[again],))]
                continue
            facts = {FOLDS: [SCORES[again], 0.0], METRICS: {"f1": SCORES[again], f"only-{again}": 1.0}, SECONDS: 0.5}
            yield [self.ends.get((number, again), Completed(number, SCORES[again], (SCORES[again],), facts))]


def evaluated(objective: Any, **how: Any) -> tuple[dict[int, Any], list[Report]]:
    items = [item for some in objective.evaluate(TRIALS, **how) for item in some]
    outcomes = {item.number: item for item in items if not isinstance(item, Report)}
    return outcomes, [item for item in items if isinstance(item, Report)]


def test_a_score_is_the_mean_of_its_repeats_and_each_is_kept() -> None:
    outcomes, reports = evaluated(pickle.loads(pickle.dumps(Repeated(Once(), 3))))
    for number in range(3):
        facts = {FOLDS: [3.0, 0.0], METRICS: {"f1": 3.0}, SECONDS: 1.5, REPEATS: [*SCORES]}
        expected = facts | {STD_ERROR: pytest.approx((7 / 3) ** 0.5)}
        assert outcomes[number] == Completed(number, fmean(SCORES), (1.0,), expected)
    assert reports == [Report(number, 1, 1.0) for number in range(3)]  # the curve is the first repeat's
    assert isinstance(list(drive(Repeated(Once(), 2), Batch(0, TRIALS)))[-1], Done)


def test_a_repeat_without_a_score_ends_its_trial_alone() -> None:
    ends: dict[tuple[int, int], Outcome] = {
        (0, 1): Failed(0, "bad", (), {ENDED: "signal"}),
        (1, 0): Failed(1, "worse"),
        (2, 2): Pruned(2, 1, (9.0,)),
    }
    outcomes, _ = evaluated(Repeated(Once(ends), 3))
    assert outcomes[0] == Failed(0, "repeat 2 of 3: bad", (1.0,), {ENDED: "signal", REPEATS: [1.0], SECONDS: 0.5})
    assert outcomes[1] == ends[1, 0]
    assert outcomes[2] == Pruned(2, 1, (1.0,), {REPEATS: [1.0, 2.0], SECONDS: 1.0})


def test_trials_are_pruned_by_their_first_repeat() -> None:
    outcomes, _ = evaluated(Repeated(Once(), 3), until=1)
    assert outcomes == {number: Paused(number, (1.0,)) for number in range(3)}


def test_each_repeat_has_a_seed_of_its_own_and_the_first_that_of_no_repeats() -> None:
    study = Study("", "maximize", 7, {}, {})

    def seed(**claimed: Any) -> int:
        return Called(Task(Trial(0, 4, {}, **claimed)), study, print).seed

    seeds = [seed(again=again) for again in range(3)]
    assert seeds[0] == seed()
    assert len({*seeds, seed(repeat=0, again=1)}) == 4


FUNCTION = f"""
import os, signal, subprocess, time
from pathlib import Path

def met(trial):
    here = Path(__file__).parent
    (here / f"here-{{trial.number}}").touch()
    end = time.monotonic() + {LIMIT_S}
    while time.monotonic() < end and not (here / f"here-{{1 - trial.number}}").exists():
        time.sleep(0.01)
    trial.set_user_attr("had", os.environ["CUDA_VISIBLE_DEVICES"])
    return 1.0

def on_device(trial):
    trial.set_user_attr("had", os.environ["CUDA_VISIBLE_DEVICES"])
    return 1.0

def hangs(trial):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "{LIMIT_S}"])
    (Path(__file__).parent / f"group-{{os.getpgid(0)}}").touch()
    time.sleep({LIMIT_S})

def faulty(trial):
    tried = Path(__file__).parent / f"tried-{{trial.number}}"
    first, _ = not tried.exists(), tried.touch()
    if trial.number == 1 and first or trial.number == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    if trial.number == 3:
        raise ValueError("bad")
    if trial.number == 4:
        signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
        time.sleep({LIMIT_S})
    return trial.params["x"]
"""
FILE = """
name = "f"
[objective]
function = "f.py:{function}"
direction = "minimize"
{more}
[space]
x = {{ low = 0.0, high = 1.0 }}
[trials]
count = {count}
"""


def search(folder: Path, function: str, count: int, more: str) -> Search:
    (folder / "f.py").write_text(FUNCTION)
    (folder / "f.toml").write_text(FILE.format(function=function, count=count, more=more))
    return Search(str(folder / "f.toml"), storage=folder / "s.db")


@pytest.mark.parametrize("engine", ["pool", "dask"])
def test_each_worker_has_a_device_of_its_own(tmp_path: Path, engine: str) -> None:
    devices = [f"{tmp_path}-{device}" for device in range(2)]  # its own, as devices are those of the machine
    met = search(tmp_path, "met", 2, f"devices = {devices}")
    ((stage, summary),) = met.start(jobs=2, engine=engine, lanes=1)
    assert summary.counts.complete == 2
    assert sorted(attribute(met, stage, "had").values()) == devices


def attribute(search: Search, stage: Stage, key: str) -> dict[int, Any]:
    with closing(open_store(search.storage)) as store:
        return store.attribute(stage, range(10), key)


def test_only_failures_that_are_not_the_trial_s_own_are_tried_again(tmp_path: Path) -> None:
    faulty = search(tmp_path, "faulty", 5, f'retries = 1\ntrial_timeout = "0.5s"\ndevices = ["{tmp_path.name}"]')
    ((stage, summary),) = faulty.start(engine="inline")
    assert summary.counts.complete == 2
    columns = faulty.trials().columns
    assert columns["state"] == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "FAIL"]
    assert columns["reason"][2:] == [
        "killed by signal 11 (SIGSEGV) (attempt 2)",
        "ValueError: bad",
        "no result within 0.5 s (attempt 2)",
    ]
    assert attribute(faulty, stage, ENDED) == {2: "signal", 3: "exception", 4: "timeout"}
    assert attribute(faulty, stage, DEVICE) == dict.fromkeys((2, 3, 4), tmp_path.name)


@pytest.mark.parametrize("key", ['trial_timeout = "1s"', "devices = [0]"])
def test_a_function_of_this_process_has_no_limit_of_its_own(tmp_path: Path, key: str) -> None:
    name = name_of(lambda trial: 1.0)
    (tmp_path / "f.toml").write_text(FILE.replace("f.py:{function}", name).format(more=key, count=1))
    with pytest.raises(BadStudyFile, match="is called in this process; define it in a module of its own"):
        Search(str(tmp_path / "f.toml"), storage=tmp_path / "s.db").start(engine="inline")
    assert not (tmp_path / "s.db").exists()


class Hears(Listener):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str | Sentence) -> None:
        self.notes.append(str(text))


class Stops(Listener):
    """Asks the run to stop once a trial's process has a child."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def began(self, stage: Stage, *_: Any, **__: Any) -> None:
        threading.Thread(target=self._watch, args=(stage.search,), daemon=True).start()

    def _watch(self, name: str) -> None:
        until(lambda: len(list(self.folder.glob("group-*"))) > 0, what="a trial that hangs")
        Search(name, storage=self.folder / "s.db").stop()


@pytest.mark.parametrize("engine", ["inline", "pool", "dask"])
def test_a_run_that_is_stopped_leaves_no_process_of_the_user_s(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.search.limits._LOOK_S", 0.1)
    hangs = search(tmp_path, "hangs", 2, "")
    ((_, summary),) = hangs.start(engine=engine, jobs=2, lanes=1, listener=Stops(tmp_path))
    assert (summary.ended_by, summary.recorded) == ("stop", 0)
    groups = [int(path.name.removeprefix("group-")) for path in tmp_path.glob("group-*")]
    assert groups
    until(lambda: not any(map(is_alive, groups)), what="the end of every process")


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_no_score_depends_on_is_that_of_the_run(tmp_path: Path) -> None:
    """A stage may go on where there are other devices, or with more time."""
    hears = Hears()
    for count, device in ((1, "first"), (2, "second")):
        on_device = search(tmp_path, "on_device", count, f'devices = ["{tmp_path.name}-{device}"]\nretries = {count}')
        ((stage, _),) = on_device.start(engine="inline", listener=hears)
    seen = attribute(on_device, stage, "had")
    assert seen == {number: f"{tmp_path.name}-{name}" for number, name in enumerate(("first", "second"))}
    assert hears.notes == []
    changed = search(tmp_path, "on_device", 3, "repeats = 2")
    changed.start(engine="inline", listener=hears)
    assert "objective.repeats: 1 -> 2" in hears.notes[0]
