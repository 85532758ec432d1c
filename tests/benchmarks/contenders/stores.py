"""A store alone, in a process of its own: prints the seconds of its work as JSON, its start excluded.

``write WHO FILE TRIALS VALUES [BATCH]`` writes trials with so many intermediate values, ``read WHO FILE`` reads all of
a file that `big_stage` made; WHO is optuna, rustuna or ours. rustuna 0.2 keeps no intermediate values in SQLite.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pandas  # noqa: F401  (loaded before the clock starts)
from big_stage import fill, new_stage
from sqlalchemy import event

import hpsearch.store.arrays  # noqa: F401
from hpsearch.store import open_store


def make_wal(path: Path) -> None:
    """Make Optuna's schema in a file in WAL mode."""
    optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def connect_wal(path: Path) -> optuna.storages.RDBStorage:
    """Open it with synchronous=NORMAL, as hpsearch's own is: Optuna's fastest SQLite."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})

    def relax(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(storage.engine, "connect", relax)
    storage.engine.dispose()  # connections from before the listener are gone
    return storage


def write_optuna(path: str, trials: int, values: int) -> float:
    make_wal(Path(path))
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=connect_wal(Path(path)), sampler=sampler, direction="maximize")
    began = time.perf_counter()
    for _ in range(trials):
        trial = study.ask()
        trial.suggest_float("lr", 1e-6, 1e-2, log=True)
        trial.suggest_float("weight_decay", 1e-8, 1e-4, log=True)
        for step in range(1, values + 1):
            trial.report(0.5, step)
        study.tell(trial, 0.5)
    return time.perf_counter() - began


def read_optuna(path: str) -> float:
    began = time.perf_counter()
    study = optuna.load_study(study_name=None, storage=connect_wal(Path(path)))
    assert sorted(study.trials, key=lambda trial: trial.value or 0.0, reverse=True)[:5]
    return time.perf_counter() - began


def write_rustuna(path: str, trials: int, _: int) -> float:
    import rustuna

    study = rustuna.create_study(
        study_name="search",
        storage=rustuna.storages.SQLite3Storage(path),
        sampler=rustuna.samplers.RandomSampler(seed=0),
    )
    began = time.perf_counter()
    for _ in range(trials):
        trial = study.ask()
        trial.suggest_float("lr", 1e-6, 1e-2, log=True)
        trial.suggest_float("weight_decay", 1e-8, 1e-4, log=True)
        study.tell(trial.number, 0.5)
    return time.perf_counter() - began


def read_rustuna(path: str) -> float:
    import rustuna

    began = time.perf_counter()
    study = rustuna.load_study(study_name="big/stage-01", storage=rustuna.storages.SQLite3Storage(path))
    trials = study.trials
    seconds = time.perf_counter() - began
    assert trials[-1].intermediate_values
    return seconds


def write_ours(path: str, trials: int, values: int, batch: int) -> float:
    store = open_store(path, create=True, write=True)
    seconds = fill(store, store.create_stage(new_stage()), trials, values, curves=False, batch=batch)
    store.close()
    return seconds


def read_ours(path: str) -> float:
    began = time.perf_counter()
    store = open_store(path)
    stage = store.stages()[0]
    trials = store.trials(stage)
    curves = store.curves(stage, trials["number"].tolist())
    seconds = time.perf_counter() - began
    assert len(curves) > len(trials) > 0
    store.close()
    return seconds


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    what, who, path, *numbers = sys.argv[1:]
    work = globals()[f"{what}_{who}"]
    print(json.dumps({"seconds": work(path, *map(int, numbers))}))


if __name__ == "__main__":
    main()
