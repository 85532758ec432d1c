"""A stage's scores: against one parameter, and stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures.frames import FAILED_INK, check, complete, failed, hover_lines, none_complete, ranked
from hpsearch.reports.figures.parameters import ParameterAxis
from hpsearch.reports.figures.style import INK, MUTED, colour, empty_figure, nothing, say, words

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Direction
    from hpsearch.space import Parameter


def score_by_parameter(
    frame: pd.DataFrame,
    name: str,
    parameter: Parameter,
    *,
    narrowed: Parameter | None = None,
    best: int = 5,
    metric: str = "score",
    direction: Direction = "maximize",
    title: str | None = None,
) -> go.Figure:
    """The score of every trial against one parameter, on the parameter's own scale.

    Failed trials stand as crosses below the scores, so that a stretch where trials diverge does not look empty.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`: number, state, score, ``param:<name>``.
        name: Of the parameter.
        parameter: The stage's range of it, drawn by dotted lines at its ends.
        narrowed: The range of the next stage, drawn as a band.
        best: How many of the best trials are highlighted.
        metric: What the score is.
        direction: ``maximize`` or ``minimize``.
        title: Above the data.

    Raises:
        BadInput: A column is missing, or ``narrowed`` is of another kind than ``parameter``.
    """
    check(frame, name)
    x = ParameterAxis(name, [parameter, *([narrowed] if narrowed is not None else [])])
    order = ranked(frame, direction)
    figure = empty_figure(title=title, legend=True)
    low, high, at_bottom = _score_range(order["score"], failed=not failed(frame).empty)

    if narrowed is not None:
        for place, (left, right) in enumerate(x.spans(narrowed)):
            figure.add_trace(
                go.Scatter(
                    x=[left, left, right, right, left],
                    y=[low, high, high, low, low],
                    name="next range",
                    mode="lines",
                    line={"width": 0},
                    fill="toself",
                    fillcolor="rgba(0, 158, 115, 0.15)",
                    hoverinfo="skip",
                    legendgroup="next",
                    showlegend=place == 0,
                )
            )
    ends = [end for span in x.spans(parameter) for end in span]
    figure.add_trace(
        go.Scatter(
            x=[value for end in ends for value in (end, end, None)],
            y=[low, high, None] * len(ends),
            name="this range",
            mode="lines",
            line={"color": MUTED, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    groups = [
        ("trials", order.iloc[best:], {"color": colour(0), "size": 7, "opacity": 0.55}),
        (f"best {min(best, len(order))}", order.iloc[:best], {"color": colour(1), "size": 10}),
        ("failed", failed(frame), {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": FAILED_INK}}),
    ]
    for group, trials, marker in groups:
        if trials.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=x.positions(trials[f"param:{name}"]),
                y=[at_bottom] * len(trials) if group == "failed" else trials["score"].astype(float),
                name=group,
                mode="markers",
                marker=marker,
                text=hover_lines(trials, [name]),
                hovertemplate="%{text}<br>"
                + ("failed" if group == "failed" else f"{words(metric)} %{{y:.4g}}")
                + "<extra></extra>",
            )
        )
    if not failed(frame).empty:
        figure.add_hline(y=at_bottom + (at_bottom - low) / 2, line={"color": "#BDBDBD", "width": 1})
    figure.update_xaxes(x.layout())
    figure.update_yaxes(title_text=words(metric), range=[low, high])
    if order.empty:
        figure.update_yaxes(showticklabels=False, ticks="", showgrid=False)
        return say(figure, none_complete(frame))
    return figure


def _score_range(scores: pd.Series[Any], *, failed: bool) -> tuple[float, float, float]:
    """The score axis' ends, and where the failed trials stand: below the lowest score."""
    lowest, highest = (0.0, 1.0) if scores.empty else (float(scores.min()), float(scores.max()))
    air = 0.06 * (highest - lowest) or 0.06 * abs(lowest) or 0.06
    at_bottom = lowest - 1.5 * air
    return (at_bottom if failed else lowest) - air, highest + air, at_bottom


def scores_by_stage(
    frames: Mapping[str, pd.DataFrame],
    *,
    metric: str = "score",
    direction: Direction = "maximize",
    title: str | None = None,
) -> go.Figure:
    """The distribution of the scores, stage by stage: every trial, the quartiles, and the best score in figures.

    Args:
        frames: Of each stage, by the name it is to be shown under, rows of `hpsearch.store.Store.trials`.
        metric: What the score is.
        direction: ``maximize`` or ``minimize``.
        title: Above the data.

    Raises:
        BadInput: A column is missing.
    """
    for frame in frames.values():
        check(frame)
    if not frames or all(complete(frame).empty for frame in frames.values()):
        alone = next(iter(frames.values())) if len(frames) == 1 else None
        return nothing("no trial is complete yet" if alone is None else none_complete(alone), title=title)
    figure = empty_figure(title=title)
    ticks = []
    for place, (label, frame) in enumerate(frames.items()):
        order = ranked(frame, direction)
        lost = len(failed(frame))
        ticks.append(f"{label}<br>{len(order)} complete" + (f", {lost} failed" if lost else ""))
        if order.empty:
            continue
        figure.add_trace(
            go.Box(
                x=[place] * len(order),
                y=order["score"].astype(float),
                name=label,
                boxpoints="all",
                jitter=0.6,
                pointpos=0,
                width=0.5,
                marker={"color": colour(place), "size": 6, "opacity": 0.55},
                line={"color": colour(place), "width": 1.5},
                fillcolor="rgba(0,0,0,0)",
                text=hover_lines(order, []),
                hovertemplate=f"%{{text}}<br>{words(metric)} %{{y:.4g}}<extra></extra>",
                hoveron="points",
                showlegend=False,
            )
        )
        top = float(order["score"].iloc[0])
        figure.add_annotation(
            text=f"best {top:.4g}",
            x=place,
            y=top,
            yanchor="bottom" if direction == "maximize" else "top",
            yshift=6 if direction == "maximize" else -6,
            font={"size": 13, "color": INK},
        )
    scores = np.concatenate([complete(frame)["score"].astype(float) for frame in frames.values()])
    air = 0.1 * float(np.ptp(scores)) or 0.1 * abs(float(scores[0])) or 0.1
    figure.update_xaxes(
        tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.6, len(ticks) - 0.4], showgrid=False
    )
    figure.update_yaxes(title_text=words(metric), range=[float(scores.min()) - air, float(scores.max()) + air])
    return figure
