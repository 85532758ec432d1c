"""Optuna on trials of a microsecond, in a process of its own: prints the seconds of its work as JSON.

``STORAGE TRIALS PROCESSES``, with ``memory`` or a SQLite file as storage. Its start is excluded.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import optuna
from contenders.stores import connect_wal, make_wal


def square(trial: Any) -> float:
    return float((trial.suggest_float("x", 0.0, 1.0) - 0.3) ** 2)


def work(path: str, trials: int, seed: int) -> None:
    """Run some of the trials of the study in a file."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    optuna.load_study(study_name="x", storage=connect_wal(Path(path)), sampler=sampler).optimize(square, trials)


def main(storage: str, trials: int, processes: int) -> float:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage == "memory":
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        began = time.perf_counter()
        study.optimize(square, trials)
        return time.perf_counter() - began
    make_wal(Path(storage))
    optuna.create_study(study_name="x", storage=connect_wal(Path(storage)))
    context = multiprocessing.get_context("fork")  # what starts in no time
    workers = [context.Process(target=work, args=(storage, trials // processes, seed)) for seed in range(processes)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps({"seconds": main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))}))
