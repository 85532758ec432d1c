"""rustuna's storage alone: ``write FILE TRIALS``, or ``read FILE STUDY``; prints the seconds as JSON."""

from __future__ import annotations

import json
import sys
import time

import rustuna


def write(path: str, trials: int) -> float:
    """Trials of two parameters; rustuna 0.2 keeps no intermediate values in SQLite."""
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


def read(path: str, name: str) -> float:
    """All trials with their intermediate values."""
    began = time.perf_counter()
    study = rustuna.load_study(study_name=name, storage=rustuna.storages.SQLite3Storage(path))
    trials = study.trials
    seconds = time.perf_counter() - began
    assert trials
    assert trials[-1].intermediate_values
    return seconds


def main() -> None:
    what, path, argument = sys.argv[1:]
    seconds = write(path, int(argument)) if what == "write" else read(path, argument)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
