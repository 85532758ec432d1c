"""Optuna's storage alone: ``write FILE TRIALS VALUES`` on a WAL database, or ``read FILE``; prints JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import optuna

from peers import wal_storage


def write(path: Path, trials: int, values: int) -> float:
    """Ask, report and tell; the schema and the study are there before."""
    wal_storage.make(path)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=wal_storage.connect(path), sampler=sampler, direction="maximize")
    began = time.perf_counter()
    for _ in range(trials):
        trial = study.ask()
        trial.suggest_float("lr", 1e-6, 1e-2, log=True)
        trial.suggest_float("weight_decay", 1e-8, 1e-4, log=True)
        for step in range(1, values + 1):
            trial.report(0.5, step)
        study.tell(trial, 0.5)
    return time.perf_counter() - began


def read(path: Path) -> float:
    """The best five of the only study's trials."""
    began = time.perf_counter()
    storage = wal_storage.connect(path)
    study = optuna.load_study(study_name=optuna.get_all_study_names(storage)[0], storage=storage)
    best = sorted(study.trials, key=lambda trial: trial.value or 0.0, reverse=True)[:5]
    assert best
    return time.perf_counter() - began


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    what, path, *numbers = sys.argv[1:]
    seconds = write(Path(path), *map(int, numbers)) if what == "write" else read(Path(path))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
