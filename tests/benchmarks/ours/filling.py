"""Claiming and recording trials as a runner does, with made-up outcomes."""

from __future__ import annotations

import math
import time
import tomllib
from collections.abc import Sequence

import numpy as np
from workloads import BOOK

from hpsearch.records import SECONDS, VALIDATION_LOSS, Completed, Stage, Trial
from hpsearch.search.stage import begin
from hpsearch.store import Owner, Store
from hpsearch.study_file import parse


def new_stage(store: Store) -> Stage:
    """The book's search, begun."""
    return begin(store, parse(tomllib.loads(BOOK.study_file()), source=BOOK.name), fingerprint="")[0]


def outcomes(trials: Sequence[Trial], values: int, *, seed: int) -> list[Completed]:
    """What trials might have come to: curves of so many values that rise with the learning rate."""
    rng = np.random.default_rng([seed, trials[0].number])
    found = []
    for trial, noise in zip(trials, rng.normal(0.0, 0.03, (len(trials), values + 1)), strict=True):
        reached = 0.1 + 0.7 * (math.log10(float(trial.params["lr"])) + 6) / 4
        curve = np.clip(reached * np.linspace(0.2, 1.0, values) + noise[1:], 0.0, 1.0).round(2).tolist()
        score = curve[-1] if curve else float(np.clip(reached + noise[0], 0.0, 1.0).round(2))
        attributes = {VALIDATION_LOSS: 2.3 - 2.0 * score + float(noise[0]), SECONDS: 0.2}
        found.append(Completed(trial.number, score, tuple(curve), attributes))
    return found


def fill(store: Store, stage: Stage, *, trials: int, values: int, batch: int) -> float:
    """Claim and record so many trials, ``batch`` at a time; the counts are asked after each batch as a runner does.

    Returns:
        The seconds of that; making the outcomes up does not count.
    """
    owner = Owner.current()
    began, apart = time.perf_counter(), 0.0
    while claimed := store.claim(stage, until=trials, most=batch, owner=owner).trials:
        apart -= time.perf_counter()
        found = outcomes(claimed, values, seed=stage.seed)
        apart += time.perf_counter()
        store.record(stage, found, {trial.number: trial.trial_id for trial in claimed}, owner=owner)
        store.counts(stage)
    return time.perf_counter() - began - apart
