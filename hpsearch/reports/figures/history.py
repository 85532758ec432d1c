"""A search over time: every score in the order of the trials, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures.style import LINE, MUTED, colour, empty_figure, needs, nothing, say, tell, words
from hpsearch.reports.figures.trials import (
    FAILED_MARKER,
    MOST_POINTS,
    STOPPED,
    STOPPED_MARKER,
    best_words,
    check,
    complete,
    counted,
    failed,
    hover_lines,
    none_complete,
    stopped,
    thinned,
    thinned_note,
)

if TYPE_CHECKING:
    import pandas as pd

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
    """Every trial's score in the order of the trials, stage after stage, with the best so far as a stepped line.

    Args:
        frames: Of each stage, by the name it is to be shown under, rows of `hpsearch.store.Store.trials`.
        metric: What the score is.
        direction: ``maximize`` or ``minimize``.
        interval: The 95 % interval of the best trial's score, drawn as a band.
        corrected: Whether that is of what the trial is worth on new images, without the luck of having been chosen;
            otherwise it is that of one trial, as if it had not been chosen.
        title: Above the data.

    Raises:
        BadInput: A column is missing.
    """
    for frame in frames.values():
        check(frame)
    rows = _in_order(frames)
    if rows is None:
        return nothing("there are no trials yet", title=title)
    order = complete(rows)
    pruned, lost = stopped(rows), failed(rows)
    share = min(1.0, MOST_POINTS / max(len(order) + len(pruned) + len(lost), 1))
    groups = [
        (STOPPED, _sample(pruned, share), STOPPED_MARKER),
        ("trials", _sample(order, share), {"color": colour(0), "size": 7 if share == 1 else 5, "opacity": 0.5}),
        ("failed", _sample(lost, share), FAILED_MARKER),
    ]
    drawn = sum(len(part) for _, part, _ in groups)
    note = thinned_note(drawn, len(order) + len(pruned) + len(lost))
    figure = empty_figure(title=title, key=f"{note}; the best so far is of all" if note else None, legend=True)
    scores = [*order["score"].astype(float), *pruned["score"].astype(float), *(interval or ())]
    lowest, highest = (min(scores), max(scores)) if scores else (0.0, 1.0)
    air = 0.06 * (highest - lowest) or 0.06 * abs(lowest) or 0.06
    bottom = lowest - 1.5 * air
    ends = ((lowest if lost.empty else bottom) - air, highest + 1.6 * air)
    across = (0.5 - 0.01 * len(rows), len(rows) + 0.5 + 0.01 * len(rows))
    if interval is not None and not order.empty:
        _band(figure, interval, across, "corrected interval of the best" if corrected else "interval of one trial")
    for group, part, marker in groups:
        if part.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=part["place"],
                y=[bottom] * len(part) if group == "failed" else part["score"].astype(float),
                name=group,
                mode="markers",
                marker=marker,
                text=[f"{label}, {line}" for label, line in zip(part["stage"], hover_lines(part, []), strict=True)],
                hovertemplate=f"%{{text}}<br>{'failed' if group == 'failed' else f'{words(metric)} %{{y:.4g}}'}"
                "<extra></extra>",
            )
        )
    if not order.empty:
        _best_so_far(figure, order, last=across[1], direction=direction)
    _stage_lines(figure, frames, ends)
    figure.update_xaxes(title_text="trials, in the order of their numbers", range=across, tickformat=",d")
    figure.update_yaxes(title_text=words(metric), range=ends)
    # Few trials are counted, not measured.
    if len(rows) <= 10:
        figure.update_xaxes(dtick=1)
    needs(figure, 400)
    over = f" over {len(frames)} stages" if len(frames) > 1 else ""
    tell(figure, f"{counted(rows)}{over}; {best_words(rows, direction, metric)}{_between(interval, corrected)}.")
    if order.empty:
        figure.update_yaxes(showticklabels=False, ticks="", showgrid=False)
        return say(figure, none_complete(rows))
    return figure


def _between(interval: tuple[float, float] | None, corrected: bool) -> str:
    if interval is None:
        return ""
    held = f"{interval[0]:.3g} to {interval[1]:.3g}"
    if corrected:
        return f"; without the luck of having been chosen its 95 % interval is {held}"
    return f"; its 95 % interval is {held}, not corrected for its having been chosen as the best"


def _in_order(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """All trials, stage after stage by number, each with its ``place`` from 1 and its ``stage``; None: no trial."""
    import pandas as pd

    parts = [
        frame.sort_values("number", kind="stable").assign(stage=label) for label, frame in frames.items() if len(frame)
    ]
    if not parts:
        return None
    # A frame without a score has a column of another type; what concatenation makes of it is the same.
    rows = pd.concat([part.assign(score=part["score"].astype(float)) for part in parts], ignore_index=True)
    return rows.assign(place=np.arange(1, len(rows) + 1))


def _sample(part: pd.DataFrame, share: float) -> pd.DataFrame:
    return thinned(part, max(1, round(share * len(part))))


def _best_so_far(figure: go.Figure, order: pd.DataFrame, *, last: float, direction: Direction) -> None:
    """A stepped line through the trials that were better than all before, to the last trial."""
    values = order["score"].to_numpy(float)
    best = np.maximum.accumulate(values) if direction == "maximize" else np.minimum.accumulate(values)
    steps = np.concatenate([[True], best[1:] != best[:-1]])
    x, y = order["place"].to_numpy()[steps].tolist(), best[steps].tolist()
    text = hover_lines(order[steps], [])
    figure.add_trace(
        go.Scatter(
            x=[*x, last],
            y=[*y, y[-1]],
            name="best so far",
            mode="lines",
            line={"color": colour(1), "width": 2.4, "shape": "hv"},
            text=[*text, text[-1]],
            hovertemplate="%{text}<br>best so far %{y:.4g}<extra></extra>",
        )
    )


def _band(figure: go.Figure, interval: tuple[float, float], ends: tuple[float, float], name: str) -> None:
    low, high = interval
    figure.add_trace(
        go.Scatter(
            x=[ends[0], ends[0], ends[1], ends[1], ends[0]],
            y=[low, high, high, low, low],
            name=name,
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor="rgba(213, 94, 0, 0.13)",
            hoverinfo="skip",
        )
    )


def _stage_lines(figure: go.Figure, frames: Mapping[str, pd.DataFrame], ends: tuple[float, float]) -> None:
    """Where a stage begins, a line, with its name above the scores."""
    if len(frames) < 2:
        return
    begin: Any = 0.5
    every = math.ceil(len(frames) / 12)
    for place, (label, frame) in enumerate(frames.items()):
        if not len(frame):
            continue
        if begin > 1:
            figure.add_vline(x=begin, line={"color": LINE, "width": 1, "dash": "dot"})
        figure.add_annotation(
            text="" if place % every else label,
            x=begin,
            y=ends[1],
            xanchor="left",
            yanchor="top",
            xshift=4,
            font={"size": 12, "color": MUTED},
        )
        begin += len(frame)
