"""Stages, confirmations and evaluations in a database, with the scores of the test's choice; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from numpy.typing import NDArray

from hpsearch.records import HITS, VALIDATION_LOSS, Completed, Failed, Outcome, Stage, Trial
from hpsearch.search.confirmation import best_settings, planned
from hpsearch.search.workflow import Job, run
from hpsearch.space import Float, Space, Value
from hpsearch.statistics.hits import pack
from hpsearch.store import NewStage, Owner, Store
from hpsearch.store.schema import EVALUATIONS

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(1e-8, 1e-4, log=True)}


def searched(folder: Path, **sections: Any) -> bytes:
    """A database in which the first stage of the tiny study has run."""
    study, file = tiny.write(folder, **sections), folder / "made.db"
    run(Job(storage=str(file), study=str(study), engine="inline"))
    return file.read_bytes()


def as_number(value: Value) -> float:
    """A value of a parameter that has numbers."""
    assert isinstance(value, int | float)
    return float(value)


def edgeless(number: int, params: object) -> float:
    """Two accuracies, whatever the values are."""
    return 0.85 if number % 7 - 1 else 0.88


def finish(store: Store, stage: Stage, until: int, outcome: Callable[[Trial], Outcome]) -> None:
    """Claim the trials up to a number and record an outcome of each."""
    owner = Owner.current()
    claimed = store.claim(stage, until=until, most=until, owner=owner).trials
    ids = {trial.number: trial.trial_id for trial in claimed}
    store.record(stage, [outcome(trial) for trial in claimed], ids, owner=owner)


def make(
    store: Store,
    accuracies: Callable[[int, Mapping[str, Value]], float] | Sequence[float],  # of a trial's number and values
    *,
    trials: int = 100,
    images: int = 100,
    number: int = 1,
    space: Space = SPACE,
    hits: bool = True,
    metric: str = "validation_accuracy",
    shared: float = 0.875,  # of an image's difficulty, what all trials have in common
) -> Stage:
    """Make a stage whose trials have finished, all stages on the same images."""
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
    stage = store.create_stage(new)
    difficulty = np.random.default_rng(3).normal(size=images)

    def outcome(trial: Trial) -> Completed:
        accuracy = accuracies(trial.number, trial.params) if callable(accuracies) else accuracies[trial.number]
        right = hits_of(accuracy, difficulty, shared, np.random.default_rng([number, trial.number]))
        score = float(right.mean())
        kept = {VALIDATION_LOSS: 1.2 - score, **({HITS: pack(right)} if hits else {})}
        return Completed(trial.number, 1.2 - score if minimize else score, (score,), kept)

    finish(store, stage, trials, outcome)
    return stage


def hits_of(
    accuracy: float, difficulty: NDArray[np.float64], shared: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """The images that a trial of that accuracy gets right: the easy ones rather than the others."""
    noise = rng.normal(size=len(difficulty))
    order = np.argsort(np.sqrt(shared) * difficulty + np.sqrt(1 - shared) * noise)
    right = np.zeros(len(difficulty), dtype=bool)
    right[order[: round(accuracy * len(difficulty))]] = True
    return right


def confirm(
    store: Store, stage: Stage, means: Sequence[float | None], *, repeats: int = 10, run: int | None = None
) -> None:
    """Confirm the best trials of a stage by their repeats' means, best trial first; of None the first repeat fails.

    Of all repeats the first `run` are run.
    """
    made = planned(store, stage, best_settings(store, stage, len(means)), repeats)
    assert made.plan is not None
    place = made.plan.place

    def outcome(trial: Trial) -> Outcome:
        index, repeat = place(trial.number)
        mean = means[index]
        if mean is None and repeat == 0:
            return Failed(trial.number, "the loss became nan")
        score = (0.99 if mean is None else mean) + 0.002 * ((repeat * 7 + index * 3) % 5 - 2)
        return Completed(trial.number, score, (score,), {})

    finish(store, made, made.plan.size if run is None else run, outcome)


def evaluate(store: Store, stage: Stage, trial: int, **fields: Any) -> None:
    """Keep an evaluation on the test set."""
    look: Mapping[str, Any] = {
        "id": "x",
        "when": "2026-01-02T03:04:05+00:00",
        "stage": stage.name,
        "trial": trial,
        "params": {},
        "accuracy": 0.855,
        "interval": [0.832, 0.875],
        "level": 0.95,
        "images": 1000,
        "hits": 855,
        **fields,
    }
    entry = {name: value for name, value in look.items() if value is not None}
    first = store.stages(stage.search)[0]
    store.change_study_attribute(first, EVALUATIONS, lambda before: [*(before or []), entry])
