"""Runs that are killed, or asked to end, in the middle of their trials: the next start comes to the same bits."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import signalled
import tiny
from faulty.process import Running
from signalled import Command, finished, states
from stored import values

from hpsearch.search import workflow
from hpsearch.search.workflow import Job

TRIALS = 12
TOGETHER = ("--engine", "inline", "--lanes", str(TRIALS))
"""Whoever goes on after a kill trains all that is left at once, which takes a fraction of the time."""
TRAINING = {"epochs": 32, "batch_size": 20}


Start = Callable[..., Command]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the study's trials go; the study is there."""
    tiny.write(tmp_path, training=TRAINING)
    return tmp_path / "studies.db"


@pytest.fixture
def start(database: Path) -> Iterator[Start]:
    """Begins ``hpsearch start`` on twelve trials, those from a number on held."""
    words = ("start", "tiny.toml", "--trials", str(TRIALS), "--lanes", "1", "--jobs", "2", "--storage", database.name)
    with Running(database.parent) as running:
        yield lambda *options, held=None: signalled.start(running, *words, *options, held_from=held)


def undisturbed(folder: Path, pruner: str | None = None) -> dict[str, list[Any]]:
    """What the study's twelve trials come to where nothing happens: in this process, and all in one batch."""
    storage = str(folder / "undisturbed.db")
    workflow.run(Job(storage=storage, study=str(folder / "tiny.toml"), trials=TRIALS, engine="inline", pruner=pruner))
    return values(storage)


def test_a_killed_run_goes_on_to_the_same_results(start: Start, database: Path) -> None:
    killed = start(held=5)
    finished(database, killed, 5)
    killed.send(signal.SIGKILL)
    killed.end()
    assert states(database)[5:7] == ["RUNNING"] * 2
    code, _, said = start(*TOGETHER).end()
    assert code == 0, said
    assert any("run again, as the run that they belonged to had died" in line for line in said)
    assert states(database) == ["COMPLETE"] * TRIALS
    assert values(str(database)) == undisturbed(database.parent)


def test_a_killed_run_that_prunes_goes_on_to_the_same_results(start: Start, database: Path) -> None:
    tiny.write(database.parent, training=TRAINING, pruning={"cohort": 6, "startup_trials": 2})
    options = ("--pruner", "halving")
    killed = start(*options, held=7)
    finished(database, killed, 1)
    killed.send(signal.SIGKILL)
    killed.end()
    assert "RUNNING" in states(database)
    code, _, said = start(*TOGETHER, *options).end()
    assert code == 0, said
    assert set(states(database)) == {"COMPLETE", "PRUNED"}
    assert values(str(database)) == undisturbed(database.parent, "halving")


@pytest.mark.parametrize(
    ("engine", "number"), [("pool", signal.SIGINT), ("pool", signal.SIGTERM), ("dask", signal.SIGINT)]
)
def test_a_signal_ends_a_run_in_one_line_and_leaves_nothing_running(
    start: Start, database: Path, engine: str, number: signal.Signals
) -> None:
    process = start("--engine", engine, held=3)
    finished(database, process, 1)
    process.send(number, group=number == signal.SIGINT)  # as a terminal sends it: to the workers too
    code, printed, said = process.end()
    assert code == 130
    assert printed == ""
    first, *progress, last = said
    assert first == f"tiny/stage-01: {TRIALS} trials, 2 processes"
    assert all(f"/{TRIALS} trials" in line for line in progress)
    complete = states(database).count("COMPLETE")
    assert last.startswith(f"hpsearch: stopped: tiny/stage-01 has {complete} of {TRIALS} trials, all recorded")
    assert set(states(database)) == {"COMPLETE", "WAITING"}


def test_two_processes_share_a_stage(start: Start, database: Path) -> None:
    both = [start("--jobs", "1") for _ in range(2)]
    said = [process.end() for process in both]
    assert [code for code, _, _ in said] == [0, 0], said
    assert states(database) == ["COMPLETE"] * TRIALS
    assert [number for number, _ in values(str(database))["trials"]] == list(range(TRIALS))
