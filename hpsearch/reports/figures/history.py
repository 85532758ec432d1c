"""A search over time: every score in the order of the trials, and the best so far."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hpsearch.reports.figures.style import (
    BREAK,
    LINE,
    MUTED,
    NO_NAME,
    colour,
    empty_figure,
    field,
    nothing,
    shade,
    tell,
)
from hpsearch.reports.figures.trials import (
    FAILED_MARKER,
    MOST_POINTS,
    PRUNED_MARKER,
    StageTrials,
    band,
    hover_lines,
    left_out,
    points,
    without_scores,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from hpsearch.statistics import Interval

_RING = {"symbol": "circle-open", "size": 15, "color": colour(2), "line": {"width": 2.5}}
_NAMED = 5  # of more stages there is room for numbers alone


def search_history(
    stages: Sequence[StageTrials],
    *,
    interval: Interval | None = None,
    corrected: bool = False,
    recommended: tuple[int, int] | None = None,
    title: str | None = None,
) -> go.Figure:
    """Plot every trial's score in the order of the trials, stage after stage, with the best so far as a stepped line.

    Args:
        interval: The 95 % interval of the best trial's score, a band.
        corrected: The interval is corrected for the selection of the best trial.
        recommended: The numbers of a stage and of its trial that is marked.
    """
    every = StageTrials.joined(stages)
    number, metric = len(every.trials), every.metric
    if not number:
        return tell(nothing("there are no trials yet", title=title), "There are no trials yet.")
    trials, sampled = every.sample(MOST_POINTS)
    note = f"{sampled}; the best so far is of all" if sampled else None
    figure = empty_figure(title=title, key=note, legend=True)
    ends = () if interval is None else (interval.low, interval.high)
    axis = every.score_axis(*ends, above=1.6)
    across = (0.5 - 0.01 * number, number + 0.5 + 0.01 * number)
    which = "corrected for selection" if corrected else "not corrected for selection"
    if interval is not None and not every.complete.empty:
        more = {"name": "95 % interval", "fillcolor": shade(1)}
        figure.add_trace(band(across, (interval.low, interval.high), **more))
    value = f"{metric} {field('y:.4g')}"
    dots = {"color": colour(0), "size": 5 if sampled else 7, "opacity": 0.65}

    def add(trace: go.Scatter, labels: pd.Series[Any]) -> None:
        trace.text = [f"{label}, {line}" for label, line in zip(labels, trace.text, strict=True)]
        figure.add_trace(trace)

    far = pd.concat([trials.pruned, trials.complete]).sort_values("place")
    far = far[axis.beyond(far)]
    for group, rows, marker, ending in (
        ("pruned", trials.pruned, PRUNED_MARKER, value),
        ("trials", trials.complete, dots, value),
        ("failed", trials.failed, FAILED_MARKER, "failed"),
    ):
        part = rows[~axis.beyond(rows)].sort_values("place")
        if not part.empty:
            y = [axis.bottom] * len(part) if group == "failed" else part["score"].astype(float)
            add(points(part, part["place"], y, group, marker, ending), part["label"])
    if not far.empty:
        add(left_out(far, far["place"], axis, metric), far["label"])
    if not every.complete.empty:
        _best_so_far(figure, every, last=across[1])
    if recommended is not None:
        stage, trial = recommended
        row = every.complete[(every.complete["label"] == f"stage {stage}") & (every.complete["number"] == trial)]
        add(points(row, row["place"], row["score"].astype(float), "recommended", _RING, value), row["label"])
    _stage_lines(figure, stages, axis.high)
    below = "trials, in the order of their numbers" + ("; above: the stages" if len(stages) > _NAMED else "")
    figure.update_xaxes(title_text=below, range=across, tickformat=",d")
    figure.update_yaxes(title_text=metric, range=(axis.low, axis.high))
    # Ticks at whole trials, of few.
    if number <= 10:
        figure.update_xaxes(dtick=1)
    text = every.summary_with_best
    if len(stages) > 1:
        text = text.replace(every.summary, f"{every.summary} over {len(stages)} stages", 1)
    if interval is not None:
        text += f"; its 95 % interval, {which}, is {interval.low:.3g} to {interval.high:.3g}"
    if every.complete.empty:
        without_scores(figure, every)
    return tell(figure, f"{text}.", least_width=400)


def _best_so_far(figure: go.Figure, trials: StageTrials, *, last: float) -> None:
    """Plot a stepped line through the trials that were better than all before, to the last trial."""
    order = trials.complete.sort_values("place")
    values = order["score"].to_numpy(float)
    best = (np.maximum if trials.stage.direction == "maximize" else np.minimum).accumulate(values)
    steps = np.concatenate([[True], best[1:] != best[:-1]])
    x, y = order["place"].to_numpy()[steps].tolist(), best[steps].tolist()
    text = hover_lines(order[steps], [])
    figure.add_scatter(
        x=[*x, last],
        y=[*y, y[-1]],
        name="best so far",
        mode="lines",
        line={"color": colour(1), "width": 2.4, "shape": "hv"},
        text=[*text, text[-1]],
        hovertemplate=f"{field('text')}{BREAK}best so far {field('y:.4g')}{NO_NAME}",
    )


def _stage_lines(figure: go.Figure, stages: Sequence[StageTrials], top: float) -> None:
    """Mark where a stage begins with a line, and its name above the scores."""
    if len(stages) < 2:
        return
    begin = 0.5
    every = math.ceil(len(stages) / 12)
    for place, stage in enumerate(stages):
        if stage.trials.empty:
            continue
        if begin > 1:
            figure.add_vline(x=begin, line={"color": LINE, "width": 1, "dash": "dot"})
        label = stage.label if len(stages) <= _NAMED else str(stage.stage.number)
        figure.add_annotation(
            text="" if place % every else label,
            x=begin,
            y=top,
            xanchor="left",
            yanchor="top",
            xshift=4,
            font={"size": 12, "color": MUTED},
        )
        begin += len(stage.trials)
