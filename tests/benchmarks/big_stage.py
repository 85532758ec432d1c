"""A stage of any size, through the store's own claims and records, and what those take.

A search ``big`` with one stage of finished trials of two parameters, each with a curve and the attributes that a
network's trial has. Scores are shares of 2,000 examples, so that many trials tie, as they do after a real stage.
"""

from __future__ import annotations

import math
import time
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np

from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed, Failed, Outcome, Stage, Trial
from hpsearch.space import Float, Space
from hpsearch.store import NewStage, Owner, Store, open_store

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "momentum": Float(0.0, 0.99)}
EXAMPLES = 2000
FAILED = 97  # one trial in so many diverges


def make_stage(path: Path, trials: int, values: int, *, curves: bool = True) -> None:
    """Make a SQLite file with a stage of so many finished trials; see `fill`."""
    with closing(open_store(str(path), create=True, write=True)) as store:
        fill(store, store.create_stage(new_stage()), trials, values, curves=curves)


def new_stage() -> NewStage:
    """A stage to be filled."""
    study_file = {"name": "big", "objective": {"metric": "validation_accuracy", "direction": "maximize"}}
    sizes = {"train": 10 * EXAMPLES, "validation": EXAMPLES}
    return NewStage("big", 1, "maximize", 0, SPACE, study_file, sizes=sizes)


def fill(store: Store, stage: Stage, trials: int, values: int, *, curves: bool, batch: int = 1000) -> float:
    """Bring a stage to so many finished trials, and return the seconds in ``claim`` and ``record``.

    Args:
        store: An open database.
        stage: A stage of it.
        trials: How many finished trials it is to have.
        values: How many values each one's curve has.
        curves: Whether each has the attribute with its other learning curves, three times as many values, too.
        batch: Trials that are claimed, and recorded, at a time.
    """
    owner, rng, seconds = Owner.current(), np.random.default_rng(0), 0.0
    while True:
        began = time.perf_counter()
        claimed = store.claim(stage, until=trials, most=batch, owner=owner).trials
        seconds += time.perf_counter() - began
        if not claimed:
            return seconds
        outcomes = [outcome(trial, values, rng=rng, curves=curves) for trial in claimed]
        began = time.perf_counter()
        store.record(stage, outcomes, {trial.number: trial.trial_id for trial in claimed}, owner=owner)
        seconds += time.perf_counter() - began


def outcome(trial: Trial, values: int, *, rng: np.random.Generator, curves: bool) -> Outcome:
    """What a trial might have come to: best at a learning rate of 0.03, and by luck."""
    share = 0.9 * math.exp(-((math.log10(cast("float", trial.params["lr"])) + 1.5) ** 2)) + 0.1 * rng.random()
    rising = share * (1 - np.exp(-np.arange(1, values + 1) / 10))
    scores = (np.round(EXAMPLES * rising) / EXAMPLES).tolist()
    attributes: dict[str, object] = {SECONDS: round(float(rng.random()), 6)}
    if curves:
        attributes[CURVES] = {name: (rising + i).tolist() for i, name in enumerate(("a_loss", "b_loss", "accuracy"))}
    if trial.number % FAILED == FAILED - 1:
        return Failed(trial.number, "diverged", tuple(scores[:3]), attributes)
    attributes[VALIDATION_LOSS] = float(rng.random())
    score = scores[-1] if scores else round(EXAMPLES * share) / EXAMPLES
    return Completed(trial.number, score, tuple(scores), attributes)
