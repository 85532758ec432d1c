"""hpsearch's store alone: ``write FILE TRIALS VALUES BATCH``, or ``read FILE``; prints the seconds as JSON."""

from __future__ import annotations

import json
import sys
import time

# Loaded before the clock starts, as the peers' libraries are.
import optuna.distributions  # noqa: F401
import pandas  # noqa: F401
from big_stage import fill, new_stage

import hpsearch.samplers
import hpsearch.store.arrays
import hpsearch.store.bulk  # noqa: F401
from hpsearch.store import open_store


def write(path: str, trials: int, values: int, batch: int) -> float:
    """Claim and record in batches; the schema and the stage are there before, and outcomes are made up apart."""
    store = open_store(path, create=True, write=True)
    stage = store.create_stage(new_stage())
    seconds = sum(fill(store, stage, trials, values, curves=False, batch=batch).values())
    store.close()
    return seconds


def read(path: str) -> float:
    """Every trial and every intermediate value."""
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
    what, path, *numbers = sys.argv[1:]
    seconds = write(path, *map(int, numbers)) if what == "write" else read(path)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
