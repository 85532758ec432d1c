"""Claims and records a second by 1, 2, 4 and 8 runners on one stage, beside as many processes of plain Optuna.

On a SQLite file and on a PostgreSQL server, with an objective that returns at once: what is measured is the database
and the way there. ``python tests/benchmarks/runners.py [--seconds S]`` prints a Markdown table; it makes a server of
its own in a temporary folder, whose commits reach the disk. Optuna has the file in write-ahead mode too, as hpsearch
left it, but syncs it at every commit, which hpsearch does not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from measuring import markdown

from hpsearch.records import Completed
from hpsearch.space import Float, Space
from hpsearch.store import NewStage, Owner, open_store

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from postgres import served

BATCH = 8  # trials that a runner claims, and records, at a time: two workers with four lanes
CURVE = (0.25, 0.5, 0.75)
SPACE: Space = {"lr": Float(1e-6, 1e-2, log=True), "weight_decay": Float(1e-8, 1e-4, log=True)}
Work: TypeAlias = Callable[[str, str, Any, float], int]


def ours(url: str, study: str, start: Any, seconds: float) -> int:
    """Claim, report nothing, record; how many trials."""
    me, done = Owner.current(), 0
    with closing(open_store(url, write=True)) as store:
        (stage,) = store.stages(study)
        store.claim(stage, until=0, most=0, owner=me)  # what is loaded and connected once
        start.wait()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            claimed = store.claim(stage, until=10**9, most=BATCH, owner=me).trials
            ids = {trial.number: trial.trial_id for trial in claimed}
            outcomes = [Completed(number, 0.5, CURVE, {"seconds": 0.0, "validation_loss": 0.5}) for number in ids]
            done += len(store.record(stage, outcomes, ids, owner=me))
    return done


def optunas(url: str, study: str, start: Any, seconds: float) -> int:
    """Ask, suggest, report, tell; how many trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = {"timeout": 60} if url.startswith("sqlite") else {}
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": known})
    mine, done = optuna.load_study(study_name=study, storage=storage, sampler=optuna.samplers.RandomSampler()), 0
    start.wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        trial = mine.ask()
        trial.suggest_float("lr", 1e-6, 1e-2, log=True)
        trial.suggest_float("weight_decay", 1e-8, 1e-4, log=True)
        for step, value in enumerate(CURVE, start=1):
            trial.report(value, step)
        trial.set_user_attr("validation_loss", 0.5)
        trial.set_user_attr("seconds", 0.0)
        mine.tell(trial, 0.5)
        done += 1
    storage.engine.dispose()
    return done


def _run(work: Work, url: str, study: str, start: Any, seconds: float, answers: Any) -> None:
    answers.put(work(url, study, start, seconds))


def rate(work: Work, url: str, study: str, *, runners: int, seconds: float) -> float:
    """Trials a second of so many processes together."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    arguments = (work, url, study, context.Barrier(runners), seconds, answers)
    processes = [context.Process(target=_run, args=arguments) for _ in range(runners)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes)
    done: list[int] = [answers.get() for _ in processes]
    return sum(done) / seconds


def main() -> None:
    """Measure, each on a study of its own, so that none is longer than the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement; there are sixteen")
    parser.add_argument("--runners", type=int, nargs="+", default=(1, 2, 4, 8), help="how many at once")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    with tempfile.TemporaryDirectory() as folder, served(sys.exit, durable=True) as server:
        for where, url in (("SQLite", f"sqlite:///{folder}/runners.db"), ("PostgreSQL", server.empty())):
            store = open_store(url, create=True, write=True)
            for runners in options.runners:
                store.create_stage(NewStage(f"ours-{runners}", 1, "maximize", 0, SPACE, {}))
                mine = rate(ours, url, f"ours-{runners}", runners=runners, seconds=options.seconds)
                optuna.create_study(study_name=f"optuna-{runners}", storage=url, direction="maximize")
                theirs = rate(optunas, url, f"optuna-{runners}", runners=runners, seconds=options.seconds)
                print(f"{where}, {runners}: {mine:.0f} beside {theirs:.1f} trials/s", file=sys.stderr, flush=True)
                rows.append((where, str(runners), f"{mine:.0f}", f"{theirs:.1f}", f"{mine / theirs:.0f}x"))
            store.close()
    print(markdown(("database", "runners", "hpsearch, trials/s", "Optuna, trials/s", ""), rows))


if __name__ == "__main__":
    main()
