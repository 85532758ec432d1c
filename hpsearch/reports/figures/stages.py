"""Scores stage by stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from hpsearch.reports.figures.style import INK, colour, empty_figure, nothing, tell, words
from hpsearch.reports.figures.trials import (
    MOST_POINTS,
    check,
    complete,
    counted,
    failed,
    hover_lines,
    none_complete,
    ranked,
    stopped,
    thinned,
    thinned_note,
)

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Direction

MOST_IN_WORDS = 6
"""More stages than this have no room for words below them."""
MOST_NAMED = 15
"""Of more, every so many of them have a name."""


def scores_by_stage(
    frames: Mapping[str, pd.DataFrame],
    *,
    metric: str = "score",
    direction: Direction = "maximize",
    title: str | None = None,
) -> go.Figure:
    """The distribution of the scores, stage by stage: every trial, the quartiles, and the best score in figures.

    Trials that were stopped early or failed have no score to compare; their numbers stand below the axis.

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
        text = "no trial is complete yet" if alone is None else none_complete(alone)
        return tell(nothing(text, title=title), f"Scores by stage: {text}.")
    whole = sum(len(complete(frame)) for frame in frames.values())
    share = min(1.0, MOST_POINTS / whole)
    parts = {label: ranked(frame, direction) for label, frame in frames.items()}
    drawn = {label: thinned(order, max(1, round(share * len(order)))) for label, order in parts.items()}
    note = thinned_note(sum(map(len, drawn.values())), whole)
    figure = empty_figure(title=title, key=f"{note}; the boxes are of all" if note else None)
    crowded = len(frames) > MOST_IN_WORDS
    named = math.ceil(len(frames) / MOST_NAMED)
    ticks, told = [], []
    for place, (label, order) in enumerate(parts.items()):
        counts = f"{len(order)} of {len(frames[label])}" if crowded else _counts(frames[label], len(order))
        ticks.append("" if place % named else f"{label}<br>{counts}")
        if order.empty:
            continue
        scores = order["score"].to_numpy(float)
        for trace in _box(label, place, scores, drawn[label], metric):
            figure.add_trace(trace)
        top = float(scores[0])
        told.append(f"{label}: best {top:.4g}, median {np.median(scores):.4g}, {counted(frames[label])}")
        figure.add_annotation(
            text="" if place % named else f"{top:.3g}" if crowded else f"best {top:.4g}",
            x=place,
            y=top,
            yanchor="bottom" if direction == "maximize" else "top",
            yshift=6 if direction == "maximize" else -6,
            font={"size": 11 if crowded else 13, "color": INK},
        )
    every = np.concatenate([order["score"].to_numpy(float) for order in parts.values()])
    air = 0.1 * float(np.ptp(every)) or 0.1 * abs(float(every[0])) or 0.1
    figure.update_xaxes(
        tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.6, len(ticks) - 0.4], showgrid=False, tickangle=0
    )
    if crowded:
        figure.update_xaxes(title_text="trials that are complete, of all; above: the best score", tickfont_size=10)
    figure.update_yaxes(title_text=words(metric), range=[float(every.min()) - air, float(every.max()) + air])
    return tell(figure, f"{words(metric).capitalize()} by stage. {'; '.join(told)}.")


def _counts(frame: pd.DataFrame, scored: int) -> str:
    parts = [f"{scored:,} complete"]
    for word, part in (("stopped early", stopped(frame)), ("failed", failed(frame))):
        if len(part):
            parts.append(f"{len(part):,} {word}")
    return "<br>".join(parts)


def _box(
    label: str, place: int, scores: NDArray[np.float64], drawn: pd.DataFrame, metric: str
) -> list[go.Box | go.Scatter]:
    """The quartiles of all scores, and the trials that are drawn, spread about the middle of the box."""
    ink = colour(place)
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    box = go.Box(
        x=[place],
        q1=[low],
        median=[middle],
        q3=[high],
        lowerfence=[scores.min()],
        upperfence=[scores.max()],
        name=f"{label}, quartiles",
        width=0.5,
        line={"color": ink, "width": 1.5},
        fillcolor="rgba(0,0,0,0)",
        hoverinfo="skip",
        showlegend=False,
    )
    # Multiples of the golden section spread evenly, whatever their number.
    spread = 0.4 * ((np.arange(len(drawn)) * 0.618034) % 1 - 0.5)
    points = go.Scatter(
        x=place + spread,
        y=drawn["score"].astype(float),
        name=label,
        mode="markers",
        marker={"color": ink, "size": 6 if len(drawn) <= 300 else 4, "opacity": 0.55},
        text=hover_lines(drawn, []),
        hovertemplate=f"%{{text}}<br>{words(metric)} %{{y:.4g}}<extra></extra>",
        showlegend=False,
    )
    return [box, points]
