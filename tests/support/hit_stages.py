"""Stages in a database whose trials have hits on single images, as an objective of the test's choice gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpsearch.records import HITS, VALIDATION_LOSS, Completed, Outcome, Stage
from hpsearch.space import Float, Space, Value
from hpsearch.statistics.hits import pack
from hpsearch.store import NewStage, Owner, Store

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(1e-8, 1e-4, log=True)}
Accuracy = Callable[[int, Mapping[str, Value]], float]
"""A trial's accuracy on all images, from its number and values."""


def make(
    store: Store,
    accuracies: Accuracy | Sequence[float],
    *,
    trials: int = 100,
    images: int = 100,
    number: int = 1,
    space: Space = SPACE,
    hits: bool = True,
    metric: str = "validation_accuracy",
    shared: float = 0.875,
) -> Stage:
    """Make a stage whose trials have finished.

    Args:
        store: Where.
        accuracies: Each trial's accuracy, or what gives it.
        trials: How many.
        images: Of the validation set, the same ones in every stage.
        number: The stage's.
        space: Its ranges.
        hits: Whether trials keep which images they got right.
        metric: The score's name.
        shared: The share of an image's difficulty that all trials have in common.
    """
    minimize = metric == "validation_loss"
    new = NewStage(
        "made",
        number,
        "minimize" if minimize else "maximize",
        7 + number,
        space,
        {"name": "made", "objective": {"metric": metric}},
        fingerprint="the same images",
        sizes={"train": 4 * images, "validation": images},
    )
    stage, owner = store.create_stage(new), Owner.current()
    claimed = store.claim(stage, until=trials, most=trials, owner=owner).trials
    difficulty = np.random.default_rng(3).normal(size=images)
    outcomes: list[Outcome] = []
    for trial in claimed:
        accuracy = accuracies(trial.number, trial.params) if callable(accuracies) else accuracies[trial.number]
        right = hits_of(accuracy, difficulty, shared, np.random.default_rng([number, trial.number]))
        score = float(right.mean())
        kept = {VALIDATION_LOSS: 1.2 - score, **({HITS: pack(right)} if hits else {})}
        outcomes.append(Completed(trial.number, 1.2 - score if minimize else score, (score,), kept))
    store.record(stage, outcomes, {trial.number: trial.trial_id for trial in claimed}, owner=owner)
    return stage


def hits_of(
    accuracy: float, difficulty: NDArray[np.float64], shared: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which images a trial of that accuracy gets right: the easy ones rather than the others."""
    noise = rng.normal(size=len(difficulty))
    hardness = np.sqrt(shared) * difficulty + np.sqrt(1 - shared) * noise
    order = np.argsort(hardness)
    right = np.zeros(len(difficulty), dtype=bool)
    right[order[: round(accuracy * len(difficulty))]] = True
    return right
