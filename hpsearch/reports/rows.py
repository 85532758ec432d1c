"""A stage's trials with their learning curves, as rows for the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.records import CURVES

if TYPE_CHECKING:
    from hpsearch.records import Stage
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
    metric = str(stage.study_file.get("objective", {}).get("metric", "score"))
    others = store.attribute(stage, numbers, CURVES)
    points = store.curves(stage, numbers).sort_values("step")
    scores = points.groupby("number")["value"].agg(list)
    rows = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        rows.append({**row, **others.get(row["number"], {}), metric: scores.get(row["number"], [])})
    return rows
