"""Rows of trials as the figures need them: checked, in order of rank, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadInput, nearest

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Direction

FAILED_INK = "#8C8C8C"
_COLUMNS = ("number", "state", "score")


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


def failed(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that failed."""
    return frame[frame["state"] == "FAIL"]


def ranked(frame: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """Complete trials, the best first, in the order of `hpsearch.store.Store.trials`: ties by loss, then number."""
    by = [column for column in ("score", "validation_loss", "number") if column in frame]
    ascending = [direction == "minimize", *[True] * (len(by) - 1)]
    return complete(frame).sort_values(by, ascending=ascending)


def none_complete(frame: pd.DataFrame) -> str:
    """Why there is no score, for trials of which none is complete."""
    if frame.empty:
        return "there are no trials yet"
    if len(failed(frame)) == len(frame):
        return "all trials failed" if len(frame) > 1 else "the one trial failed"
    return "no trial is complete yet"


def hover_lines(frame: pd.DataFrame, names: list[str]) -> list[str]:
    """What the pointer shows of each trial: its number and the values of some parameters."""
    shown = []
    for _, row in frame.iterrows():
        values = (row[f"param:{name}"] for name in names)
        pairs = (
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in zip(names, values, strict=True)
        )
        shown.append("<br>".join([f"trial {row['number']}", *pairs]))
    return shown
