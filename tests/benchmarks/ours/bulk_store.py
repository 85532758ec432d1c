"""hpsearch's store alone: ``write FILE TRIALS VALUES BATCH``, or ``read FILE``; prints the seconds as JSON."""

from __future__ import annotations

import json
import sys
import time

import pandas  # noqa: F401 - loaded before the clock starts, as is the store below

import hpsearch.store.bulk  # noqa: F401
from hpsearch.store import open_store
from ours.filling import fill, new_stage


def write(path: str, trials: int, values: int, batch: int) -> float:
    """Claim, record and count in batches of a runner's size; the schema and the stage are there before."""
    store = open_store(path, create=True, write=True)
    stage = new_stage(store)
    seconds = fill(store, stage, trials=trials, values=values, batch=batch)
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
    assert len(trials)
    assert not len(curves) % len(trials)
    store.close()
    return seconds


def main() -> None:
    what, path, *numbers = sys.argv[1:]
    seconds = write(path, *map(int, numbers)) if what == "write" else read(path)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
