"""A stage's trials as rows for figures: with their learning curves, and without values that had no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.objectives.kinds import used
from hpsearch.records import CURVES
from hpsearch.space import Categorical

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import NewStage, Stage
    from hpsearch.space import Space
    from hpsearch.store import Store


def curve_rows(store: Store, stage: Stage, *, top: int) -> list[dict[str, Any]]:
    """Return the best trials of a stage, best first: their columns, and each of their learning curves by its name.

    Args:
        store: The study database.
        stage: The trials' stage.
        top: How many of the best.
    """
    columns = store.columns(stage, top=top)
    numbers = columns["number"]
    if not numbers:
        return []
    others = store.attribute(stage, numbers, CURVES)
    points = store.curves(stage, numbers).sort_values("step")
    scores = points.groupby("number")["value"].agg(list)
    rows = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        # The loss of one epoch would hide the curve of that name.
        del row["validation_loss"]
        # Of a study without a study file the metric is not known, and its curve has no name.
        named = {} if stage.metric == "score" else {stage.metric: scores.get(row["number"], [])}
        rows.append({**row, **others.get(row["number"], {}), **named})
    return rows


def used_only(frame: pd.DataFrame, stage: NewStage) -> pd.DataFrame:
    """Return trials without the values that had no effect in them.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`.
        stage: The trials' stage.
    """
    columns = {name: frame[f"param:{name}"].tolist() for name in stage.space}
    trials = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    names = [set(used(stage, trial)) for trial in trials]
    blanked: dict[str, Any] = {
        f"param:{name}": [value if name in of_trial else None for value, of_trial in zip(values, names, strict=True)]
        for name, values in columns.items()
        if not all(name in of_trial for of_trial in names)
    }
    return frame.assign(**blanked)


def varied(frame: pd.DataFrame, space: Space) -> Space:
    """Return the ranges of what differs between trials and has an effect in any; all where nothing is left.

    Args:
        frame: Trials as `used_only` gives them.
        space: The stage's ranges.
    """
    ranges = {
        name: parameter
        for name, parameter in space.items()
        if not (isinstance(parameter, Categorical) and len(parameter.choices) == 1)
        and (frame.empty or frame[f"param:{name}"].notna().any())
    }
    return ranges or space
