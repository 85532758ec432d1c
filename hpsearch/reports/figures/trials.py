"""The trials of a stage as figures need them: grouped by how they ended, few enough to be seen, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from hpsearch.objectives.kinds import used
from hpsearch.reports.figures.style import LINE, MUTED, say, value_words, words
from hpsearch.space import Categorical
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hpsearch.records import Stage
    from hpsearch.space import Space

# More points than this are a cloud and make a page slow: a sample is plotted, and the figure says so.
MOST_POINTS = 1_500
FAILED_MARKER: dict[str, Any] = {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": LINE}}
PRUNED_MARKER: dict[str, Any] = {"symbol": "triangle-down-open", "size": 7, "color": MUTED, "line": {"width": 1.2}}


@dataclass(frozen=True, eq=False)
class StageTrials:
    """A stage and its trials."""

    stage: Stage
    trials: pd.DataFrame  # as `hpsearch.store.Store.trials` gives them, None for a value that had no effect

    @classmethod
    def of(cls, stage: Stage, frame: pd.DataFrame) -> StageTrials:
        """Return a stage with its trials, without the values that had no effect in them."""
        columns = {name: frame[f"param:{name}"].tolist() for name in stage.space}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        names = [set(used(stage, row)) for row in rows]
        blanked: dict[str, Any] = {
            f"param:{name}": [value if name in of_row else None for value, of_row in zip(values, names, strict=True)]
            for name, values in columns.items()
            if not all(name in of_row for of_row in names)
        }
        return cls(stage, frame.assign(**blanked))

    @classmethod
    def joined(cls, stages: Sequence[StageTrials]) -> StageTrials:
        """Return the trials of several stages as those of the first, one stage after the other, each by number.

        Columns ``label`` and ``place`` say where a trial comes from, and its place from 1.
        """
        parts = [
            # A frame without a score has a column of another type.
            one.trials.sort_values("number", kind="stable").assign(
                label=one.label, score=one.trials["score"].astype(float)
            )
            for one in stages
            if len(one.trials)
        ]
        rows = pd.concat(parts, ignore_index=True) if parts else stages[0].trials
        return cls(stages[0].stage, rows.assign(place=np.arange(1, len(rows) + 1)))

    @property
    def label(self) -> str:
        """The stage's name within its search: ``stage 1``."""
        return f"stage {self.stage.number}"

    @property
    def metric(self) -> str:
        """The name of the score, in words."""
        return words(self.stage.metric)

    @property
    def varied(self) -> Space:
        """The ranges of what differs between trials and has an effect in any; all where nothing is left."""
        ranges = {
            name: parameter
            for name, parameter in self.stage.space.items()
            if not (isinstance(parameter, Categorical) and len(parameter.choices) == 1)
            and (self.trials.empty or self.trials[f"param:{name}"].notna().any())
        }
        return ranges or self.stage.space

    def count(self, *states: str) -> int:
        """Return how many trials are in one of some states, in Optuna's words."""
        return int(self.trials["state"].isin(states).sum())

    @cached_property
    def complete(self) -> pd.DataFrame:
        """The trials with a score, best first, in the order of `hpsearch.store.Store.trials`: by loss, then number."""
        by = ["score", "validation_loss", "number"]
        return self._scored("COMPLETE").sort_values(by, ascending=[self.stage.direction == "minimize", True, True])

    @cached_property
    def pruned(self) -> pd.DataFrame:
        """The pruned trials, by number; their score is that of their last epoch."""
        return self._scored("PRUNED").sort_values("number", kind="stable")

    @cached_property
    def failed(self) -> pd.DataFrame:
        """The failed trials, by number."""
        return self.trials[self.trials["state"] == "FAIL"].sort_values("number", kind="stable")

    def _scored(self, state: str) -> pd.DataFrame:
        return self.trials[(self.trials["state"] == state) & np.isfinite(self.trials["score"].astype(float))]

    def sample(self, most: int, *, keep: int = 0) -> tuple[StageTrials, str | None]:
        """Return an even sample of each group, at most so many trials in all, and in words how many are left out.

        Args:
            keep: So many of the best are kept, beside the sample.
        """
        best, *groups = self.complete.iloc[:keep], self.complete.iloc[keep:], self.pruned, self.failed
        whole = len(best) + sum(map(len, groups))
        share = min(1.0, most / max(whole, 1))
        rows = pd.concat([best, *(group.iloc[evenly(len(group), share)] for group in groups)])
        if len(rows) == whole:
            return self, None
        best_too = f"the best {len(best)} and " if len(best) else ""
        return StageTrials(self.stage, rows), f"{len(rows):,} of {whole:,} trials plotted: {best_too}an even sample"

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

    @property
    def none_complete(self) -> str:
        """Why there is no score, in words, for trials of which none is complete."""
        if self.trials.empty:
            return "there are no trials yet"
        if len(self.failed) == len(self.trials):
            return "all trials failed" if len(self.trials) > 1 else "the one trial failed"
        return "no trial is complete yet"

    @property
    def summary(self) -> str:
        """The trials by state, in words: ``100 trials: 90 complete, 7 pruned, 3 failed``."""
        states = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
        ends = {state: state.lower() for state in states} | {"FAIL": "failed"}
        parts = [f"{count:,} {ends[state]}" for state in states if (count := self.count(state))]
        number = counted(len(self.trials), "trial")
        return f"{number}: {', '.join(parts)}" if parts else number

    @property
    def summary_with_best(self) -> str:
        """The same with the best score, or with why there is none."""
        if self.complete.empty:
            return f"{self.summary}; {self.none_complete}"
        return f"{self.summary}; the best {self.metric} is {self.complete['score'].iloc[0]:.4g}"


def evenly(count: int, share: float) -> NDArray[np.int64]:
    """Return a share of the places 0 .. count - 1, spaced evenly, the first and the last among them."""
    most = max(1, round(share * count))
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


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


def without_scores(figure: go.Figure, trials: StageTrials) -> go.Figure:
    """Say in a figure why there is no score, and nothing on its score axis; return the figure."""
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False)
    return say(figure, trials.none_complete)


def hover_lines(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the hover text of each trial: its number and the values of some parameters."""
    columns = [frame[f"param:{name}"].tolist() for name in names]
    return [
        "<br>".join(
            [f"trial {number}", *(f"{name} {value_words(value)}" for name, value in zip(names, values, strict=True))]
        )
        for number, *values in zip(frame["number"].tolist(), *columns, strict=True)
    ]
