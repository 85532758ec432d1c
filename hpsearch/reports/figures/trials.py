"""Rows of trials as figures need them: checked, grouped by how they ended, few enough to be seen, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.errors import BadInput, nearest
from hpsearch.reports.figures.style import LINE, MUTED, say, value_words, words
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from hpsearch.records import Direction

MOST_POINTS = 1_500
"""More points than this are a cloud and make a page slow: a sample is plotted, and the figure says so."""
_COLUMNS = ("number", "state", "score")
FAILED_MARKER: dict[str, Any] = {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": LINE}}
PRUNED_MARKER: dict[str, Any] = {"symbol": "triangle-down-open", "size": 7, "color": MUTED, "line": {"width": 1.2}}


def check(frame: pd.DataFrame, *names: str) -> None:
    """Refuse rows without the columns that every figure needs, or without those of some parameters."""
    for column in (*_COLUMNS, *(f"param:{name}" for name in names)):
        if column not in frame:
            raise BadInput(f"the trials have no column {column!r}{nearest(column, map(str, frame))}")


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that have a score."""
    return frame[(frame["state"] == "COMPLETE") & np.isfinite(frame["score"].astype(float))]


def ranked(frame: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """Return the complete trials, best first, in the order of `hpsearch.store.Store.trials`: by loss, then number."""
    by = [column for column in ("score", "validation_loss", "number") if column in frame]
    return complete(frame).sort_values(by, ascending=[direction == "minimize", *[True] * (len(by) - 1)])


@dataclass(frozen=True, slots=True, eq=False)
class TrialGroups:
    """Finished trials by how they ended."""

    complete: pd.DataFrame  # trials with a score, best first, or in the order given
    pruned: pd.DataFrame  # pruned trials, by number; their score is that of their last epoch
    failed: pd.DataFrame
    left_out: str | None = None  # how many trials a sample leaves out, in words; None: none

    @classmethod
    def of(cls, frame: pd.DataFrame, direction: Direction | None) -> TrialGroups:
        """Group trials; without a direction those with a score keep their order."""
        pruned = frame[(frame["state"] == "PRUNED") & np.isfinite(frame["score"].astype(float))]
        failed = frame[frame["state"] == "FAIL"]
        return cls(
            complete(frame) if direction is None else ranked(frame, direction),
            pruned.sort_values("number", kind="stable"),
            failed.sort_values("number", kind="stable"),
        )

    def __len__(self) -> int:
        return len(self.complete) + len(self.pruned) + len(self.failed)

    def sample(self, most: int, *, keep: int = 0) -> TrialGroups:
        """Return an even sample of each group, of at most so many trials in all.

        Args:
            keep: So many of the best are kept, beside the sample.
        """
        share = min(1.0, most / max(len(self), 1))
        best = self.complete.iloc[:keep]
        rest = keep + evenly(len(self.complete) - len(best), share)
        kept = self.complete.iloc[np.concatenate([np.arange(len(best)), rest]).astype(int)]
        pruned, failed = (part.iloc[evenly(len(part), share)] for part in (self.pruned, self.failed))
        plotted = len(kept) + len(pruned) + len(failed)
        if plotted == len(self):
            return self
        best_too = f"the best {len(best)} and " if len(best) else ""
        return TrialGroups(
            kept, pruned, failed, f"{plotted:,} of {len(self):,} trials plotted: {best_too}an even sample"
        )

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores of complete and of pruned trials."""
        return np.concatenate([part["score"].to_numpy(float) for part in (self.complete, self.pruned)])

    def score_axis(self, *more: float, above: float = 1.0) -> tuple[float, float, float]:
        """Return the ends of a score axis, and between them the place of failed trials, below the lowest score.

        Args:
            more: Further values that the axis holds.
            above: Room above the highest score, in units of the room between ticks and data.
        """
        scores = [*self.scores, *more]
        lowest, highest = (min(scores), max(scores)) if scores else (0.0, 1.0)
        air = 0.06 * (highest - lowest) or 0.06 * abs(lowest) or 0.06
        bottom = lowest - 1.5 * air
        return (lowest if self.failed.empty else bottom) - air, highest + above * air, bottom


def evenly(count: int, share: float) -> NDArray[np.int64]:
    """Return a share of the places 0 .. count - 1, spaced evenly, the first and the last among them."""
    most = max(1, round(share * count))
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def none_complete(frame: pd.DataFrame) -> str:
    """Say why there is no score, for trials of which none is complete."""
    if frame.empty:
        return "there are no trials yet"
    if (frame["state"] == "FAIL").all():
        return "all trials failed" if len(frame) > 1 else "the one trial failed"
    return "no trial is complete yet"


def summary(frame: pd.DataFrame) -> str:
    """Count trials by state, in words: ``100 trials: 90 complete, 7 pruned, 3 failed``."""
    states = frame["state"].value_counts()
    ends = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
    parts = [f"{states[state]:,} {word}" for state, word in ends.items() if states.get(state, 0)]
    number = counted(len(frame), "trial")
    return f"{number}: {', '.join(parts)}" if parts else number


def summary_with_best(frame: pd.DataFrame, direction: Direction, metric: str) -> str:
    """Return the same with the best score, or with why there is none."""
    order = ranked(frame, direction)
    if order.empty:
        return f"{summary(frame)}; {none_complete(frame)}"
    return f"{summary(frame)}; the best {words(metric)} is {order['score'].iloc[0]:.4g}"


def points(
    trials: pd.DataFrame, x: Any, y: Any, name: str, marker: dict[str, Any], ending: str, **more: Any
) -> go.Scatter:
    """Return trials as markers, which say their number, the values of some ``names``, and an ending."""
    text = hover_lines(trials, more.pop("names", ()))
    template = f"%{{text}}<br>{ending}<extra></extra>"
    return go.Scatter(x=x, y=y, name=name, mode="markers", marker=marker, text=text, hovertemplate=template, **more)


def band(across: tuple[float, float], upwards: tuple[float, float], **more: Any) -> go.Scatter:
    """Return a filled rectangle behind the trials."""
    (left, right), (low, high) = across, upwards
    x, y = [left, left, right, right, left], [low, high, high, low, low]
    return go.Scatter(x=x, y=y, mode="lines", line={"width": 0}, fill="toself", hoverinfo="skip", **more)


def without_scores(figure: go.Figure, frame: pd.DataFrame) -> go.Figure:
    """Say in a figure why there is no score, and nothing on its score axis; return the figure."""
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False)
    return say(figure, none_complete(frame))


def hover_lines(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the hover text of each trial: its number and the values of some parameters."""
    columns = [frame[f"param:{name}"].tolist() for name in names]
    return [
        "<br>".join(
            [f"trial {number}", *(f"{name} {value_words(value)}" for name, value in zip(names, values, strict=True))]
        )
        for number, *values in zip(frame["number"].tolist(), *columns, strict=True)
    ]
