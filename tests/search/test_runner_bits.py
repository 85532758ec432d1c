"""Same seed, same bits: whatever the executor, the lanes or an interruption."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cared
import pytest
import signalled
import tiny
from bounded import until
from cared import Trials
from faulty.process import Running
from signalled import Command, finished, states

from hpsearch.executors.base import Executor, InlineExecutor
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.records import Stage, stage_seed
from hpsearch.samplers import SAMPLERS
from hpsearch.search import workflow
from hpsearch.search.pruning import Plan
from hpsearch.search.runner import Runner
from hpsearch.search.workflow import Job
from hpsearch.store import NewStage, Store, open_store

UNTIL = 10
SPACE = {
    **tiny.PLAIN["space"],
    # Up to rates that diverge, over two structures.
    "lr": {"low": 1e-3, "high": 1e20, "log": True},
    "hidden": {"choices": ["8", "4x2"]},
}
SECTIONS = {"network": {"hidden": None}, "space": SPACE}


def begin(store: Store) -> Stage:
    study = tiny.study(**SECTIONS)
    return store.create_stage(NewStage("tiny", 1, "maximize", stage_seed(3, 1), study.space, study.to_dict()))


@pytest.fixture(scope="module")
def pool() -> Iterator[PoolExecutor]:
    """Two workers, which one run after another may load its objective into."""
    made = PoolExecutor(2)
    yield made
    made.close(kill=True)


def run(
    folder: Path,
    executor: Callable[[], Executor],
    *,
    lanes: int | None,
    interrupted: bool = False,
    plan: Plan | None = None,
    until: int = UNTIL,
) -> Trials:
    file = folder / f"{len(list(folder.iterdir()))}.db"
    store = open_store(str(file), create=True, write=True)
    stage = begin(store)
    objective = tiny.objective(seed=stage.seed, **SECTIONS)

    def stop_early() -> bool:
        return store.counts(stage).finished >= 4

    for stopping in [stop_early, lambda: False] if interrupted else [lambda: False]:
        used = executor()
        try:
            summary = Runner(
                store, stage, objective, used, until=until, lanes=lanes, stopping=stopping, plan=plan
            ).run()
        finally:
            if not isinstance(used, PoolExecutor):
                used.close(kill=True)
        assert summary.stopped is (stopping is stop_early)
    store.close()
    return cared.trials(file)


def test_executors_lanes_and_a_resume_make_no_difference(tmp_path: Path, pool: PoolExecutor, scheduler: str) -> None:
    expected = run(tmp_path, InlineExecutor, lanes=1)
    assert {state for state, *_ in expected.values()} == {"COMPLETE", "FAIL"}
    assert len(expected) == UNTIL
    assert run(tmp_path, InlineExecutor, lanes=3) == expected
    assert run(tmp_path, InlineExecutor, lanes=2, interrupted=True) == expected
    assert run(tmp_path, lambda: pool, lanes=None) == expected
    assert run(tmp_path, lambda: DaskExecutor(scheduler), lanes=2) == expected


@pytest.mark.parametrize("plan", [Plan("halving", 2, (1,), 16, 5, 3), Plan("median", 2, (1,), 8, 2, 3)])
def test_nor_do_they_where_trials_stop_early(tmp_path: Path, plan: Plan, pool: PoolExecutor, scheduler: str) -> None:
    def pruned(executor: Callable[[], Executor], lanes: int, **options: Any) -> Trials:
        return run(tmp_path, executor, lanes=lanes, until=24, plan=plan, **options)

    expected = pruned(InlineExecutor, 1)
    assert {state for state, *_ in expected.values()} == {"COMPLETE", "FAIL", "PRUNED"}
    assert pruned(InlineExecutor, 10) == expected
    assert pruned(InlineExecutor, 2, interrupted=True) == expected
    assert pruned(lambda: pool, 3) == expected
    assert pruned(lambda: DaskExecutor(scheduler), 3) == expected
    # Whoever ran to the end did so as if nobody had been stopped.
    whole = run(tmp_path, InlineExecutor, lanes=3, until=24)
    for key, (state, *rows) in expected.items():
        assert state == "PRUNED" or whole[key] == (state, *rows)


# Runs that are killed, or asked to end, in the middle of their trials: the next start comes to the same bits.

TRIALS = 12
TOGETHER = ("--engine", "inline", "--lanes", str(TRIALS))
"""Whoever goes on after a kill trains all that is left at once, which takes a fraction of the time."""
TRAINING = {"epochs": 32, "batch_size": 20}
Start = Callable[..., Command]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    tiny.write(tmp_path, training=TRAINING)
    return tmp_path / "studies.db"


@pytest.fixture
def start(database: Path) -> Iterator[Start]:
    """Begins ``hpsearch start`` on twelve trials, those from a number on held."""
    words = ("start", "tiny.toml", "--trials", str(TRIALS), "--lanes", "1", "--jobs", "2", "--storage", database.name)
    with Running(database.parent) as running:
        yield lambda *options, held=None: signalled.start(running, *words, *options, held_from=held)


def undisturbed(folder: Path, pruner: str | None = None) -> Trials:
    """What the study's twelve trials come to where nothing happens: in this process, and all in one batch."""
    file = folder / "undisturbed.db"
    workflow.run(Job(storage=str(file), study=str(folder / "tiny.toml"), trials=TRIALS, engine="inline", pruner=pruner))
    return cared.trials(file)


@pytest.mark.parametrize(("pruner", "held", "done"), [(None, 5, 5), ("halving", 7, 1)])
def test_a_killed_run_goes_on_to_the_same_results(
    start: Start, database: Path, pruner: str | None, held: int, done: int
) -> None:
    tiny.write(database.parent, training=TRAINING, pruning={"cohort": 6, "startup_trials": 2})
    options = ("--pruner", pruner) if pruner else ()
    killed = start(*options, held=held)
    finished(database, killed, done)
    killed.send(signal.SIGKILL)
    killed.end()
    assert pruner or states(database)[5:7] == ["RUNNING"] * 2
    assert "RUNNING" in states(database)
    code, _, said = start(*TOGETHER, *options).end()
    assert code == 0, said
    assert any("run again, as the run that they belonged to had died" in line for line in said)
    assert set(states(database)) == {"COMPLETE", *(["PRUNED"] if pruner else [])}
    assert cared.trials(database) == undisturbed(database.parent, pruner)


@pytest.mark.parametrize(
    ("engine", "number"),
    [("pool", signal.SIGINT), ("pool", signal.SIGTERM), ("pool", signal.SIGHUP), ("dask", signal.SIGINT)],
)
def test_a_signal_ends_a_run_in_one_line_and_leaves_nothing_running(
    start: Start, database: Path, engine: str, number: signal.Signals
) -> None:
    process = start("--engine", engine, held=3)
    finished(database, process, 1)
    until(lambda: states(database)[3:4] == ["RUNNING"], what="a trial that is held")
    process.send(number, group=number != signal.SIGTERM)  # as a terminal sends it: to the workers too
    code, printed, said = process.end()
    assert code == 130
    assert printed == ""
    _, first, *progress, last = said
    assert first == f"tiny/stage-01: {TRIALS} trials of 32 epochs, 2 processes"
    assert all(f"/{TRIALS} trials" in line for line in progress)
    complete, waiting = map(states(database).count, ("COMPLETE", "WAITING"))
    stopped = f"tiny/stage-01 has {complete} of {TRIALS} trials, all recorded; {waiting} that had begun were given back"
    assert last.startswith(f"hpsearch: stopped: {stopped}")
    assert set(states(database)) == {"COMPLETE", "WAITING"}


def test_two_processes_share_a_stage(start: Start, database: Path) -> None:
    both = [start("--jobs", "1") for _ in range(2)]
    said = [process.end() for process in both]
    assert [code for code, _, _ in said] == [0, 0], said
    assert states(database) == ["COMPLETE"] * TRIALS
    assert {number for _, number in cared.trials(database)} == set(range(TRIALS))


# The same where an objective of one's own has conditions and constraints, for each sampler.

OWN = """
name = "own"
constraints = ["units * layers <= 200", "own.py:fits"]
[objective]
function = "own.py:objective"
direction = "minimize"
[space]
momentum = { low = 0.5, high = 0.99, when = { optimizer = "sgd" } }
optimizer = { choices = ["sgd", "adam"], none = true }
wd = { by = "optimizer", sgd = { low = 1e-5, high = 1e-2, log = true }, adam = { low = 1e-6, high = 1e-3, log = true } }
units = { low = 1, high = 1000, log = true }
layers = { low = 1, high = 8 }
[trials]
count = 64
"""
FUNCTION = """
import os, time
def fits(params):
    return params["layers"] != 5 and params.get("wd", 1) > 1e-5
def objective(trial):
    while trial.number >= 24 and not os.path.exists(f"{os.path.dirname(__file__)}/go"):
        time.sleep(0.01)
    assert trial.number % 9
    return {"score": trial.params["units"] * trial.params.get("momentum", 1), "seed": trial.seed}
"""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_stage_of_ones_own_is_the_same_whatever_samples_and_evaluates_it(
    sampler: str, tmp_path: Path, scheduler: str
) -> None:
    """By one process; and by two, which are killed half way, and the workers of Dask after them."""
    (tmp_path / "own.toml").write_text(f'{OWN}sampler = "{sampler}"\n')
    (tmp_path / "own.py").write_text(FUNCTION)
    killed, whole = tmp_path / "killed.db", tmp_path / "whole.db"
    with Running(tmp_path) as running:
        run = running.start("start", "own.toml", "--jobs", "2", "--lanes", "2", "--storage", "killed.db")
        until(lambda: states(killed).count("COMPLETE") >= 8 or run.over, what="8 finished trials")
        run.send(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    assert states(killed).count("RUNNING") > 0
    (tmp_path / "go").touch()
    study = str(tmp_path / "own.toml")
    workflow.run(Job(storage=str(killed), study=study, engine="dask", scheduler=scheduler))
    ((stage, _),) = workflow.run(Job(storage=str(whole), study=study, engine="inline"))
    assert cared.trials(killed) == cared.trials(whole)
    assert Counter(states(whole)) == {"COMPLETE": 56, "FAIL": 8}
    assert ("scipy" in stage.versions) == (sampler != "random")
