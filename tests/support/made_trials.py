"""Trials as `hpsearch.store.Store.trials` gives them, made up: the figures need no database."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from hpsearch.records import Direction, NewStage, Stage
from hpsearch.reports.figures import StageTrials
from hpsearch.samplers import RandomSampler
from hpsearch.space import Categorical, Float, Int, Parameter, Space, to_scale

SPACE: dict[str, Parameter] = {
    "lr": Float(1e-6, 1e-2, log=True),
    "weight_decay": Float(1e-8, 1e-4, log=True),
    "hidden": Categorical(("50", "100", "100x2")),
    "batch_size": Int(10, 200),
    "dropout": Float(0.0, 0.6),
}


def traces(figure: Any, name: str) -> list[Any]:
    """The traces of a name."""
    return [trace for trace in figure.data if trace.name == name]


def texts(figure: Any) -> list[str]:
    """The annotations of a figure."""
    return [annotation.text for annotation in figure.layout.annotations if annotation.text]


def made_trials(
    count: int, space: Space = SPACE, *, pruned: int = 0, failed: int = 0, running: int = 0, seed: int = 0
) -> pd.DataFrame:
    """Trials whose score rises with the first parameter; the last ones were stopped early, failed or run."""
    rng = np.random.default_rng(seed)
    sampler, stage = RandomSampler(), NewStage("", 1, "maximize", seed, space, {})
    sampled = [sampler.params(stage, number) for number in range(count)]
    columns = {f"param:{name}": [params[name] for params in sampled] for name in space}
    first = rng.uniform(0, 1, count)
    for name, parameter in list(space.items())[:1]:
        if not isinstance(parameter, Categorical):
            low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
            values = np.array(columns[f"param:{name}"], float)
            first = ((np.log10(values) if parameter.log else values) - low) / max(high - low, 1e-12)
    score = np.round(np.clip(0.1 + 0.7 * first**2 + rng.normal(0, 0.06, count), 0, 1), 2)
    states = ["COMPLETE"] * (count - pruned - failed - running)
    states += ["PRUNED"] * pruned + ["FAIL"] * failed + ["RUNNING"] * running
    score[count - pruned - failed - running : count - failed - running] *= 0.5
    score[count - failed - running :] = math.nan
    loss = rng.uniform(0.5, 2, count)
    return pd.DataFrame({"number": range(count), "state": states, "score": score, "validation_loss": loss, **columns})


def made_stage(
    trials: pd.DataFrame | int,
    space: Space = SPACE,
    *,
    number: int = 1,
    parent: int | None = None,
    metric: str = "score",
    direction: Direction = "maximize",
) -> StageTrials:
    """A stage of these trials, or of so many."""
    objective = {"objective": {"metric": metric}}
    stage = Stage("made", number, direction, 0, space, objective, parent, study_id=number)
    return StageTrials(stage, made_trials(trials, space) if isinstance(trials, int) else trials)
