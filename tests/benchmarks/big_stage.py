"""A stage of any size, through the store's own claims and records, and what those take.

``python tests/benchmarks/big_stage.py FILE 100000 50`` makes ``FILE``: a search ``big`` with one stage of that many
finished trials of two parameters, each with a curve of that many values and the attributes that a network's trial
has. Scores are shares of 2,000 examples, so that many trials tie, as they do after a real stage.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np

from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed, Failed, Outcome, Stage, Trial
from hpsearch.space import Float
from hpsearch.store import NewStage, Owner, Store, open_store

SPACE = {"lr": Float(1e-4, 1.0, log=True), "momentum": Float(0.0, 0.99)}
_BATCH = 1000
_EXAMPLES = 2000
_FAILED = 97
"""One trial in so many diverges."""


def make_stage(path: Path, trials: int, values: int, *, curves: bool = True) -> dict[str, float]:
    """Fill a database with a stage.

    Args:
        path: The SQLite file to make.
        trials: How many finished trials it is to have.
        values: How many values each one's curve has.
        curves: Whether each has the attribute with its other learning curves, three times as many values, too.

    Returns:
        Seconds in ``claim`` and in ``record``, by name.
    """
    store = open_store(str(path), create=True, write=True)
    try:
        stage = store.create_stage(new_stage())
        return fill(store, stage, trials, values, curves=curves)
    finally:
        store.close()


def new_stage() -> NewStage:
    """A stage to be filled."""
    return NewStage(
        search="big",
        number=1,
        direction="maximize",
        seed=0,
        space=SPACE,
        study_file={"name": "big", "objective": {"metric": "validation_accuracy", "direction": "maximize"}},
        sizes={"train": 10 * _EXAMPLES, "validation": _EXAMPLES},
    )


def fill(
    store: Store, stage: Stage, trials: int, values: int, *, curves: bool, batch: int = _BATCH
) -> dict[str, float]:
    """Bring a stage to so many finished trials; see `make_stage`."""
    owner, rng = Owner.current(), np.random.default_rng(0)
    seconds = {"claim": 0.0, "record": 0.0}
    while True:
        began = time.perf_counter()
        claimed = store.claim(stage, until=trials, most=batch, owner=owner).trials
        seconds["claim"] += time.perf_counter() - began
        if not claimed:
            return seconds
        outcomes = [outcome(trial, values, rng=rng, curves=curves) for trial in claimed]
        began = time.perf_counter()
        store.record(stage, outcomes, {trial.number: trial.trial_id for trial in claimed}, owner=owner)
        seconds["record"] += time.perf_counter() - began


def outcome(trial: Trial, values: int, *, rng: np.random.Generator, curves: bool) -> Outcome:
    """What a trial might have come to: best at a learning rate of 0.03, and by luck."""
    share = 0.9 * math.exp(-((math.log10(float(trial.params["lr"])) + 1.5) ** 2)) + 0.1 * rng.random()
    rising = share * (1 - np.exp(-np.arange(1, values + 1) / 10))
    scores = (np.round(_EXAMPLES * rising) / _EXAMPLES).tolist()
    attributes: dict[str, object] = {SECONDS: round(float(rng.random()), 6)}
    if curves:
        attributes[CURVES] = {name: (rising + i).tolist() for i, name in enumerate(("a_loss", "b_loss", "accuracy"))}
    if trial.number % _FAILED == _FAILED - 1:
        return Failed(trial.number, "diverged", tuple(scores[:3]), attributes)
    attributes[VALIDATION_LOSS] = float(rng.random())
    score = scores[-1] if scores else round(_EXAMPLES * share) / _EXAMPLES
    return Completed(trial.number, score, tuple(scores), attributes)


def main() -> None:
    """Make the database that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("trials", type=int)
    parser.add_argument("values", type=int)
    parser.add_argument("--no-curves", action="store_true", help="without the attribute of further curves")
    asked = parser.parse_args()
    seconds = make_stage(asked.file, asked.trials, asked.values, curves=not asked.no_curves)
    print(f"{asked.trials} trials of {asked.values} values: " + ", ".join(f"{k} {v:.2f} s" for k, v in seconds.items()))


if __name__ == "__main__":
    main()
