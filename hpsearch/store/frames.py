"""Trials by column, as lists or as a DataFrame: lists where a command shows a few, for pandas takes 0.3 s to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

Columns: TypeAlias = dict[str, list[Any]]
"""Rows by column: lists of one length."""

FIXED = ("number", "state", "score", "validation_loss", "seconds", "reason", "started", "finished")
"""The columns before those of the parameters."""


def to_frame(columns: Columns) -> pd.DataFrame:
    """Trials' columns as a DataFrame, with types that do not depend on which values are missing."""
    import pandas as pd

    frame = pd.DataFrame(columns)
    for column in ("score", "validation_loss", "seconds"):
        frame[column] = frame[column].astype(float)
    for column in ("started", "finished"):
        frame[column] = pd.to_datetime(frame[column])
    return frame
