"""Rows of trials as the figures need them: checked, in order of rank, few enough to be seen, and in words."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch import text
from hpsearch.errors import BadInput, nearest
from hpsearch.reports.figures.style import LINE, MUTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hpsearch.records import Direction

MOST_POINTS = 1_500
"""Of more trials than this the eye sees a cloud, and a page gets slow: some are left out, and the figure says so."""
_COLUMNS = ("number", "state", "score")

STOPPED = "stopped early"
"""What pruned trials are called: their score is that of the last epoch that they were trained for."""
FAILED_MARKER: dict[str, Any] = {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": LINE}}
STOPPED_MARKER: dict[str, Any] = {"symbol": "triangle-down-open", "size": 7, "color": MUTED, "line": {"width": 1.2}}


def check(frame: pd.DataFrame, *names: str) -> None:
    """Refuse rows without the columns that every figure needs, or without those of some parameters.

    Raises:
        BadInput: A column is missing.
    """
    for column in (*_COLUMNS, *(f"param:{name}" for name in names)):
        if column not in frame:
            raise BadInput(f"the trials have no column {column!r}{nearest(column, map(str, frame))}")


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that have a score."""
    return frame[(frame["state"] == "COMPLETE") & np.isfinite(frame["score"].astype(float))]


def stopped(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that were stopped early, with the score at their last epoch, by number."""
    found = frame[(frame["state"] == "PRUNED") & np.isfinite(frame["score"].astype(float))]
    return found.sort_values("number", kind="stable")


def failed(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that failed, by number."""
    return frame[frame["state"] == "FAIL"].sort_values("number", kind="stable")


def ranked(frame: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """Complete trials, the best first, in the order of `hpsearch.store.Store.trials`: ties by loss, then number."""
    by = [column for column in ("score", "validation_loss", "number") if column in frame]
    ascending = [direction == "minimize", *[True] * (len(by) - 1)]
    return complete(frame).sort_values(by, ascending=ascending)


def thinned(rows: pd.DataFrame, most: int = MOST_POINTS) -> pd.DataFrame:
    """At most so many rows, taken evenly in their order: ranked rows keep the distribution of their scores.

    Args:
        rows: In an order that means something.
        most: How many to keep; the first and the last are kept.
    """
    if len(rows) <= most:
        return rows
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))]


def thinned_note(drawn: int, of: int, *, kept: str = "") -> str | None:
    """What a figure says about trials that it leaves out, or None where it draws all.

    Args:
        drawn: How many trials are drawn.
        of: How many there are.
        kept: Those that are all there, such as ``the best 20``.
    """
    if drawn >= of:
        return None
    return f"{drawn:,} of {of:,} trials drawn: {f'{kept} and ' if kept else ''}an even sample"


def none_complete(frame: pd.DataFrame) -> str:
    """Why there is no score, for trials of which none is complete."""
    if frame.empty:
        return "there are no trials yet"
    if len(failed(frame)) == len(frame):
        return "all trials failed" if len(frame) > 1 else "the one trial failed"
    return "no trial is complete yet"


def counted(frame: pd.DataFrame) -> str:
    """How many trials came to which end, in words: ``100 trials: 90 complete, 7 stopped early, 3 failed``."""
    states = frame["state"].value_counts()
    ends = {"COMPLETE": "complete", "PRUNED": STOPPED, "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
    parts = [f"{states[state]:,} {word}" for state, word in ends.items() if states.get(state, 0)]
    many = text.counted(len(frame), "trial")
    return f"{many}: {', '.join(parts)}" if parts else many


def best_words(frame: pd.DataFrame, direction: Direction, metric: str) -> str:
    """The best score in words, or why there is none."""
    order = ranked(frame, direction)
    if order.empty:
        return none_complete(frame)
    return f"the best {metric.replace('_', ' ')} is {order['score'].iloc[0]:.4g}"


def value_words(value: object) -> str:
    """A hyperparameter's value, short."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    # Plotly takes tags in any text for markup.
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value), quote=False)


def hover_lines(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """What the pointer shows of each trial: its number and the values of some parameters."""
    columns = [frame[f"param:{name}"].tolist() for name in names]
    return [
        "<br>".join(
            [f"trial {number}", *(f"{name} {value_words(value)}" for name, value in zip(names, values, strict=True))]
        )
        for number, *values in zip(frame["number"].tolist(), *columns, strict=True)
    ]
