"""A search over time: every score in the order of the trials, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from hpsearch.reports.figures.style import LINE, MUTED, colour, empty_figure, nothing, tell, words
from hpsearch.reports.figures.trials import (
    FAILED_MARKER,
    MOST_POINTS,
    PRUNED_MARKER,
    TrialGroups,
    band,
    check,
    hover_lines,
    points,
    summary,
    summary_with_best,
    without_scores,
)

if TYPE_CHECKING:
    from hpsearch.records import Direction


def search_history(
    frames: Mapping[str, pd.DataFrame],
    *,
    metric: str = "score",
    direction: Direction = "maximize",
    interval: tuple[float, float] | None = None,
    corrected: bool = False,
    title: str | None = None,
) -> go.Figure:
    """Plot every trial's score in the order of the trials, stage after stage, with the best so far as a stepped line.

    Args:
        interval: The 95 % interval of the best trial's score, a band.
        corrected: The interval is corrected for the selection of the best trial.
    """
    for frame in frames.values():
        check(frame)
    rows = _in_order(frames)
    if rows is None:
        return nothing("there are no trials yet", title=title)
    every = TrialGroups.of(rows, None)
    trials, order = every.sample(MOST_POINTS), every.complete
    note = f"{trials.left_out}; the best so far is of all" if trials.left_out else None
    figure = empty_figure(title=title, key=note, legend=True)
    low, high, bottom = every.score_axis(*(interval or ()), above=1.6)
    across = (0.5 - 0.01 * len(rows), len(rows) + 0.5 + 0.01 * len(rows))
    if interval is not None and not order.empty:
        name = "interval corrected for selection" if corrected else "interval of one trial"
        figure.add_trace(band(across, interval, name=name, fillcolor="rgba(213, 94, 0, 0.13)"))
    value = f"{words(metric)} %{{y:.4g}}"
    dots = {"color": colour(0), "size": 5 if trials.left_out else 7, "opacity": 0.5}
    for group, part, marker, ending in (
        ("pruned", trials.pruned, PRUNED_MARKER, value),
        ("trials", trials.complete, dots, value),
        ("failed", trials.failed, FAILED_MARKER, "failed"),
    ):
        if not part.empty:
            y = [bottom] * len(part) if group == "failed" else part["score"].astype(float)
            trace = points(part, part["place"], y, group, marker, ending)
            trace.text = [f"{label}, {line}" for label, line in zip(part["stage"], trace.text, strict=True)]
            figure.add_trace(trace)
    if not order.empty:
        _best_so_far(figure, order, last=across[1], direction=direction)
    _stage_lines(figure, frames, high)
    figure.update_xaxes(title_text="trials, in the order of their numbers", range=across, tickformat=",d")
    figure.update_yaxes(title_text=words(metric), range=(low, high))
    # Ticks at whole trials, of few.
    if len(rows) <= 10:
        figure.update_xaxes(dtick=1)
    text = summary_with_best(rows, direction, metric)
    if len(frames) > 1:
        text = text.replace(counts := summary(rows), f"{counts} over {len(frames)} stages", 1)
    if interval is not None:
        which = "corrected for selection" if corrected else "not corrected for selection"
        text += f"; its 95 % interval, {which}, is {interval[0]:.3g} to {interval[1]:.3g}"
    tell(figure, f"{text}.", least_width=400)
    return without_scores(figure, rows) if order.empty else figure


def _in_order(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Return all trials, stage after stage by number, each with its ``place`` from 1 and its ``stage``; None: none."""
    parts = [
        # A frame without a score has a column of another type.
        frame.sort_values("number", kind="stable").assign(stage=label, score=frame["score"].astype(float))
        for label, frame in frames.items()
        if len(frame)
    ]
    if not parts:
        return None
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(place=np.arange(1, len(rows) + 1))


def _best_so_far(figure: go.Figure, order: pd.DataFrame, *, last: float, direction: Direction) -> None:
    """Plot a stepped line through the trials that were better than all before, to the last trial."""
    values = order["score"].to_numpy(float)
    best = np.maximum.accumulate(values) if direction == "maximize" else np.minimum.accumulate(values)
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
        hovertemplate="%{text}<br>best so far %{y:.4g}<extra></extra>",
    )


def _stage_lines(figure: go.Figure, frames: Mapping[str, pd.DataFrame], top: float) -> None:
    """Mark where a stage begins with a line, and its name above the scores."""
    if len(frames) < 2:
        return
    begin = 0.5
    every = math.ceil(len(frames) / 12)
    for place, (label, frame) in enumerate(frames.items()):
        if not len(frame):
            continue
        if begin > 1:
            figure.add_vline(x=begin, line={"color": LINE, "width": 1, "dash": "dot"})
        figure.add_annotation(
            text="" if place % every else label,
            x=begin,
            y=top,
            xanchor="left",
            yanchor="top",
            xshift=4,
            font={"size": 12, "color": MUTED},
        )
        begin += len(frame)
