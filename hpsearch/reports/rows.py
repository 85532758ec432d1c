"""A stage's trials with their learning curves, as rows for the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.objectives import kinds
from hpsearch.records import CURVES
from hpsearch.space import Categorical

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import NewStage, Stage
    from hpsearch.space import Space
    from hpsearch.store import Store


def curve_rows(store: Store, stage: Stage, *, top: int) -> list[dict[str, Any]]:
    """The best trials of a stage, the best first: their columns, and each of their learning curves by its name.

    Args:
        store: The study database.
        stage: Whose trials they are.
        top: How many of the best.
    """
    columns = store.columns(stage, top=top)
    numbers = columns["number"]
    if not numbers:
        return []
    metric = stage.metric
    others = store.attribute(stage, numbers, CURVES)
    points = store.curves(stage, numbers).sort_values("step")
    scores = points.groupby("number")["value"].agg(list)
    rows = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        # That of one epoch, where a curve of it is asked for.
        del row["validation_loss"]
        # Of a study without a study file the metric is not known, and its curve is no accuracy or loss.
        named = {} if metric == "score" else {metric: scores.get(row["number"], [])}
        rows.append({**row, **others.get(row["number"], {}), **named})
    return rows


def used_only(frame: pd.DataFrame, stage: NewStage) -> pd.DataFrame:
    """Trials without the values that had no effect in them, such as the momentum of a trial with Adam.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`.
        stage: Whose trials they are.
    """
    columns = {name: frame[f"param:{name}"].tolist() for name in stage.space}
    trials = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    blanked: dict[str, Any] = {}
    used = [set(kinds.used(stage, trial)) for trial in trials]
    for name, values in columns.items():
        if not all(name in of_trial for of_trial in used):
            blanked[f"param:{name}"] = [
                value if name in of_trial else None for value, of_trial in zip(values, used, strict=True)
            ]
    return frame.assign(**blanked)


def varied(frame: pd.DataFrame, space: Space) -> Space:
    """The ranges of what differs between trials and has an effect in any; all of them where nothing is left.

    Args:
        frame: Trials as `used_only` gives them.
        space: The stage's ranges.
    """
    found = {
        name: parameter
        for name, parameter in space.items()
        if not (isinstance(parameter, Categorical) and len(parameter.choices) == 1)
        and (frame.empty or frame[f"param:{name}"].notna().any())
    }
    return found or space
