"""The trials of a stage as figures need them: grouped by how they ended, few enough to be seen, and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from hpsearch.objectives.kinds import used
from hpsearch.reports.figures import style
from hpsearch.reports.figures.style import BREAK, LINE, MUTED, NO_NAME, colour, field, say, value_words, words
from hpsearch.search.infeasible import infeasible_of
from hpsearch.search.surrogate import columns_as, delivered_space
from hpsearch.space import Categorical, shown, without_none
from hpsearch.text import counted, is_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hpsearch.records import Stage
    from hpsearch.reports.figures.style import ParameterAxis
    from hpsearch.search.infeasible import Infeasible
    from hpsearch.space import Space

# More points than this are a cloud and make a page slow: a sample is plotted, and the figure says so.
MOST_POINTS = 1_500
FAILED_MARKER: dict[str, Any] = {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": LINE}}
PRUNED_MARKER: dict[str, Any] = {"symbol": "triangle-down-open", "size": 7, "color": MUTED, "line": {"width": 1.2}}
PANEL_ROOM = 28  # characters across one of three panels
_FAR = 3.0  # a score is far out so many quartile distances beyond the quartiles, as in Tukey's boxes
_SHARE = 0.2  # the largest share of the scores that an axis leaves out
_SQUASHED = 0.25  # it leaves out far scores where all others would have to do with less than this share of it


@dataclass(frozen=True, slots=True)
class ScoreAxis:
    """An axis of scores, which leaves out scores that are so far on the worse side that they would squash the others.

    These stand at its worse end.
    """

    low: float  # its ends
    high: float
    bottom: float  # the place of failed trials, below the lowest score
    least: float  # scores below are left out
    most: float  # scores above are left out
    edge: float  # the place of scores that are left out

    def beyond(self, trials: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which trials' scores are left out."""
        scores = trials["score"].to_numpy(float)
        return np.asarray((scores < self.least) | (scores > self.most))

    @property
    def words(self) -> str:
        """The scores that are left out, in words; empty for none."""
        if self.least > -math.inf:
            return f"below {self.least:.3g}"
        return f"above {self.most:.3g}" if self.most < math.inf else ""

    @property
    def marker(self) -> dict[str, Any]:
        """The marker of scores that are left out: a triangle that points out of the axis."""
        symbol = "triangle-down" if self.least > -math.inf else "triangle-up"
        return {"symbol": symbol, "size": 8, "opacity": 0.8, "color": colour(0)}


def usual(scores: ArrayLike, *, minimize: bool) -> tuple[float, float]:
    """Return the lowest and the highest score, but for far ones on the worse side that would squash the others."""
    bad = np.sort(np.asarray(scores, dtype=float) * (1 if minimize else -1))
    best, worst = bad[0], bad[-1]
    low, high = np.quantile(bad, [0.25, 0.75])
    near = bad[bad <= max(high + _FAR * (high - low), bad[len(bad) - 1 - int(_SHARE * len(bad))])]
    if 0 < near[-1] - best < _SQUASHED * (worst - best):
        worst = near[-1]
    return (float(best), float(worst)) if minimize else (float(-worst), float(-best))


def folded_space(space: Space) -> Space:
    """Return a space with one range for the ranges of a parameter per value of another one, which contains them all."""
    return {name: space.get(name, of) for name, of in delivered_space(space).items()}


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
        space = without_none(stage.space)
        blanked: dict[str, Any] = {
            f"param:{name}": [
                None if name not in of_row else shown(None) if is_missing(value) else value
                for value, of_row in zip(values, names, strict=True)
            ]
            for name, values in columns.items()
            if space is not stage.space or not all(name in of_row for of_row in names)
        }
        return cls(stage if space is stage.space else replace(stage, space=space), frame.assign(**blanked))

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

    @cached_property
    def folded(self) -> StageTrials:
        """The trials with one column for the ranges of a parameter per value of another one."""
        own, space = self.stage.space, folded_space(self.stage.space)
        if list(space) == list(own):
            return self
        values = self.trials[[f"param:{name}" for name in own]].astype(object)
        values = values.where(values.notna(), np.nan)
        columns = columns_as(space, own, {name: values[f"param:{name}"].to_numpy() for name in own})
        trials = self.trials.assign(**{f"param:{name}": column for name, column in columns.items()})
        return StageTrials(replace(self.stage, space=space), trials)

    @cached_property
    def infeasible(self) -> Infeasible | None:
        """The number of failed trials, where and why they failed; None where none did."""
        return infeasible_of(self.stage, {str(name): cells.tolist() for name, cells in self.trials.items()})

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

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest score of an axis; see `usual`."""
        scores = self.scores
        return usual(scores, minimize=self.stage.direction == "minimize") if len(scores) else (0.0, 1.0)

    def score_axis(self, *more: float, above: float = 1.0) -> ScoreAxis:
        """Return the axis of the scores.

        Args:
            more: Further values that the axis holds.
            above: Room above the highest score, in units of the room between ticks and data.
        """
        least, most = self.ends
        lowest, highest = min([least, *more]), max([most, *more])
        air = 0.06 * (highest - lowest) or 0.06 * abs(lowest) or 0.06
        edge = math.nan
        if len(self.scores) and least > min(self.scores):
            lowest = edge = lowest - 1.2 * air
        else:
            least = -math.inf
        if len(self.scores) and most < max(self.scores):
            highest = edge = highest + 1.2 * air
        else:
            most = math.inf
        bottom = lowest - 1.5 * air
        low = (lowest if self.failed.empty else bottom) - air
        return ScoreAxis(low, highest + above * air, bottom, least, most, edge)

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
    template = f"{field('text')}{BREAK}{ending}{NO_NAME}"
    return go.Scatter(x=x, y=y, name=name, mode="markers", marker=marker, text=text, hovertemplate=template, **more)


def left_out(trials: pd.DataFrame, x: Any, axis: ScoreAxis, metric: str, **more: Any) -> go.Scatter:
    """Return trials with scores that an axis leaves out, as markers at its end, which say the scores."""
    trace = points(
        trials, x, [axis.edge] * len(trials), axis.words, axis.marker, f"{metric} {field('customdata:.4g')}", **more
    )
    return trace.update(customdata=trials["score"].astype(float))


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
        BREAK.join(
            [f"trial {number}", *(f"{name} {value_words(value)}" for name, value in zip(names, values, strict=True))]
        )
        for number, *values in zip(frame["number"].tolist(), *columns, strict=True)
    ]


def panel_columns(space: Space) -> int:
    """Return how many panels of parameters read well side by side: fewer where long choices would be cut."""
    lists = [of for of in space.values() if isinstance(of, Categorical)]
    most = 2 if any(sum(len(str(choice)) for choice in of.choices) > PANEL_ROOM for of in lists) else 3
    return min(len(space), 2 if len(space) == 4 else most)


def parameter_panels(
    axes: Sequence[ParameterAxis],
    traces: Callable[[ParameterAxis], Iterable[go.Scatter]],
    *,
    columns: int,
    ends: tuple[float, float],
    metric: str,
    title: str | None,
    key: str | None = None,
) -> go.Figure:
    """Return a figure of scores against parameters, a panel each, or of one without panels.

    Args:
        axes: Of the parameters.
        traces: Of a panel; those of one name share an entry of the legend.
        columns: Panels side by side.
        ends: Of the axis of scores, which all panels share.
        metric: The title of that axis.
        title: Of the figure.
        key: See `hpsearch.reports.figures.style.panels`.
    """
    alone = len(axes) == 1
    if alone:
        figure = style.empty_figure(title=title, key=key, legend=True)
        figure.update_yaxes(title_text=metric)
    else:
        figure = style.panels(
            [""] * len(axes),
            columns=columns,
            panel_height=230 if len(axes) <= 4 else 190,
            title=title,
            key=key,
            y_title=metric,
            shared=False,
            legend=True,
            gaps=(44.0, 66.0),
        )
    known: set[str] = set()
    for place, x in enumerate(axes):
        at = {} if alone else style.at(place, columns)
        for trace in traces(x):
            trace.showlegend = trace.name not in known
            known.add(trace.name)
            figure.add_trace(trace, **at)
        figure.update_xaxes(x.layout(room=None if alone else PANEL_ROOM if columns > 2 else 2 * PANEL_ROOM), **at)
        if place % columns:
            figure.update_yaxes(showticklabels=False, **at)
    figure.update_yaxes(range=list(ends), matches=None if alone else "y")
    figure.layout.yaxis.matches = None  # the others match it
    return figure
