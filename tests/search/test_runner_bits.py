"""Same seed, same bits: whatever the executor, the lanes, an interruption or a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from bounded import LIMIT_S, until

from hpsearch.executors import DaskExecutor, Executor, InlineExecutor, PoolExecutor
from hpsearch.records import Stage
from hpsearch.search import workflow
from hpsearch.search.jobs import Job
from hpsearch.search.running.pruning import Plan
from hpsearch.search.running.runner import Runner
from hpsearch.seeds import stage_seed
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
    return store.create_stage(NewStage("tiny", 1, "maximize", stage_seed(3, 1), study.parameters, study.to_dict()))


def values(url: str) -> dict[str, list[Any]]:
    """Everything that lasts of a database's trials, as it is stored."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        tables = {
            "trials": "SELECT number, state FROM trials ORDER BY 1",
            "params": "SELECT number, param_name, param_value FROM trials JOIN trial_params "
            "USING (trial_id) ORDER BY 1, 2",
            "scores": "SELECT number, value FROM trials JOIN trial_values USING (trial_id) ORDER BY 1",
            "curves": "SELECT number, step, intermediate_value FROM trials JOIN trial_intermediate_values "
            "USING (trial_id) ORDER BY 1, 2",
            "attributes": "SELECT number, key, value_json FROM trials JOIN trial_user_attributes USING (trial_id) "
            "WHERE key != 'seconds' ORDER BY 1, 2",
        }
        return {name: connection.execute(query).fetchall() for name, query in tables.items()}


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
) -> dict[str, list[Any]]:
    store = open_store(str(folder / f"{len(list(folder.iterdir()))}.db"), create=True, write=True)
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
    return values(store.url)


def test_executors_lanes_and_a_resume_make_no_difference(tmp_path: Path, pool: PoolExecutor, scheduler: str) -> None:
    expected = run(tmp_path, InlineExecutor, lanes=1)
    states = {state for _, state in expected["trials"]}
    assert states == {"COMPLETE", "FAIL"}
    assert len(expected["trials"]) == UNTIL
    assert run(tmp_path, InlineExecutor, lanes=3) == expected
    assert run(tmp_path, InlineExecutor, lanes=10) == expected
    assert run(tmp_path, InlineExecutor, lanes=2, interrupted=True) == expected
    assert run(tmp_path, lambda: pool, lanes=3) == expected
    assert run(tmp_path, lambda: pool, lanes=None) == expected
    assert run(tmp_path, lambda: DaskExecutor(scheduler), lanes=2) == expected


@pytest.mark.parametrize("plan", [Plan("halving", 2, (1,), 16, 5, 3), Plan("median", 2, (1,), 8, 2, 3)])
def test_nor_do_they_where_trials_stop_early(tmp_path: Path, plan: Plan, pool: PoolExecutor, scheduler: str) -> None:
    def pruned(executor: Callable[[], Executor], lanes: int, **options: Any) -> dict[str, list[Any]]:
        return run(tmp_path, executor, lanes=lanes, until=24, plan=plan, **options)

    expected = pruned(InlineExecutor, 1)
    assert {state for _, state in expected["trials"]} == {"COMPLETE", "FAIL", "PRUNED"}
    assert pruned(InlineExecutor, 10) == expected
    assert pruned(InlineExecutor, 2, interrupted=True) == expected
    assert pruned(lambda: pool, 3) == expected
    assert pruned(lambda: DaskExecutor(scheduler), 3) == expected
    # Whoever ran to the end did so as if nobody had been stopped.
    whole = run(tmp_path, InlineExecutor, lanes=3, until=24)
    ends = {number for number, state in expected["trials"] if state != "PRUNED"}
    for table, rows in expected.items():
        kept = [row for row in rows if row[0] in ends]
        assert kept == [row for row in whole[table] if row[0] in ends], table


TRIALS = 12
TOGETHER = ("--engine", "inline", "--lanes", str(TRIALS))
"""Whoever goes on after a kill trains all that is left at once, which takes a fraction of the time."""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Begins ``hpsearch start`` on a study of twelve slower trials, as a process group of its own."""
    tiny.write(tmp_path, training={"epochs": 300, "batch_size": 4})

    def begin_process(storage: str = "studies.db", *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hpsearch", "start", "tiny.toml", "--trials", str(TRIALS), "--lanes", "1"]
        return subprocess.Popen(
            [*command, "--jobs", "2", "--storage", storage, *options],
            cwd=tmp_path,
            env={name: text for name, text in os.environ.items() if not name.startswith("HPSEARCH_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return begin_process


def states(database: Path) -> list[str]:
    """The state of every trial there is, or none while there is no database."""
    if not database.exists():
        return []
    connection = sqlite3.connect(database, timeout=LIMIT_S)
    try:
        return [state for (state,) in connection.execute("SELECT state FROM trials ORDER BY number")]
    finally:
        connection.close()


def under_way(database: Path, process: subprocess.Popen[str], finished: int) -> None:
    """Wait until so many trials have finished, and others not."""
    until(
        lambda: states(database).count("COMPLETE") >= finished or process.poll() is not None,
        what=f"{finished} finished trials",
    )
    assert process.poll() is None, process.communicate()
    assert states(database).count("COMPLETE") < TRIALS


def undisturbed(folder: Path, pruner: str | None = None) -> dict[str, list[Any]]:
    """What the study's twelve trials come to where nothing happens: in this process, and all in one batch."""
    storage = str(folder / "undisturbed.db")
    workflow.run(Job(storage, study=str(folder / "tiny.toml"), trials=TRIALS, engine="inline", pruner=pruner))
    return values(storage)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_results(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    database = tmp_path / "studies.db"
    killed = start()
    under_way(database, killed, 3)
    killed.kill()
    # The pipes end with the last worker.
    killed.communicate(timeout=LIMIT_S)
    assert "RUNNING" in states(database)
    again = start("studies.db", *TOGETHER)
    said = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, said
    assert "run again, as the run that they belonged to had died" in said[1]
    assert states(database) == ["COMPLETE"] * TRIALS
    assert values(str(database)) == undisturbed(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["halving", "median"])
def test_a_killed_run_that_prunes_goes_on_to_the_same_results(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, pruner: str
) -> None:
    database, options = tmp_path / "studies.db", ("--pruner", pruner)
    tiny.write(tmp_path, training={"epochs": 300, "batch_size": 4}, pruning={"cohort": 6, "startup_trials": 2})
    killed = start("studies.db", *options)
    until(
        lambda: {"PRUNED", "COMPLETE"} & set(states(database)) != set() or killed.poll() is not None, what="an outcome"
    )
    killed.kill()
    killed.communicate(timeout=LIMIT_S)
    assert "RUNNING" in states(database)
    again = start("studies.db", *TOGETHER, *options)
    said = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, said
    assert set(states(database)) == {"COMPLETE", "PRUNED"}
    assert values(str(database)) == undisturbed(tmp_path, pruner)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "number"), [("pool", signal.SIGINT), ("pool", signal.SIGTERM), ("dask", signal.SIGINT)]
)
def test_a_signal_ends_a_run_in_one_line_and_leaves_nothing_running(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, engine: str, number: signal.Signals
) -> None:
    database = tmp_path / "studies.db"
    process = start("studies.db", "--engine", engine)
    under_way(database, process, 1)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal sends it: to the workers too
    else:
        process.send_signal(number)
    printed, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert printed == ""
    first, *progress, last = said.splitlines()
    assert first == f"tiny/stage-01: {TRIALS} trials, 2 processes"
    assert all(f"/{TRIALS} trials" in line for line in progress)
    finished = states(database).count("COMPLETE")
    assert last.startswith(f"hpsearch: stopped: tiny/stage-01 has {finished} of {TRIALS} trials, all recorded")
    assert set(states(database)) == {"COMPLETE", "WAITING"}


@pytest.mark.slow
def test_two_processes_share_a_stage(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    tiny.write(tmp_path, training={"epochs": 100, "batch_size": 4})
    both = [start("studies.db", "--jobs", "1") for _ in range(2)]
    said = [process.communicate(timeout=LIMIT_S) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert states(tmp_path / "studies.db") == ["COMPLETE"] * TRIALS
    assert [number for number, _ in values(str(tmp_path / "studies.db"))["trials"]] == list(range(TRIALS))
