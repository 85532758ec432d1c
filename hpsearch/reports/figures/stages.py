"""Scores stage by stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures.style import INK, colour, empty_figure, nothing, tell, words
from hpsearch.reports.figures.trials import MOST_POINTS, TrialGroups, check, evenly, none_complete, points, summary

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

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
    """Plot the distribution of the scores, stage by stage: every trial, the quartiles, and the best score in figures.

    Trials that were pruned or failed have no score to compare; their numbers stand below the axis.
    """
    for frame in frames.values():
        check(frame)
    stages = {label: TrialGroups.of(frame, direction) for label, frame in frames.items()}
    whole = sum(len(stage.complete) for stage in stages.values())
    if not whole:
        text = none_complete(next(iter(frames.values()))) if len(frames) == 1 else "no trial is complete yet"
        return tell(nothing(text, title=title), f"Scores by stage: {text}.")
    share = min(1.0, MOST_POINTS / whole)
    plotted = {label: stage.complete.iloc[evenly(len(stage.complete), share)] for label, stage in stages.items()}
    points = sum(map(len, plotted.values()))
    note = f"{points:,} of {whole:,} trials plotted: an even sample; the boxes are of all" if points < whole else None
    figure = empty_figure(title=title, key=note)
    crowded = len(frames) > MOST_IN_WORDS
    every = math.ceil(len(frames) / MOST_NAMED)
    ticks, texts = [], []
    for place, (label, stage) in enumerate(stages.items()):
        order = stage.complete
        counts = f"{len(order)} of {len(frames[label])}" if crowded else _counts(stage)
        ticks.append("" if place % every else f"{label}<br>{counts}")
        if order.empty:
            continue
        scores = order["score"].to_numpy(float)
        _add_box(figure, label, place, scores, plotted[label], metric)
        top = float(scores[0])
        texts.append(f"{label}: best {top:.4g}, median {np.median(scores):.4g}, {summary(frames[label])}")
        figure.add_annotation(
            text="" if place % every else f"{top:.3g}" if crowded else f"best {top:.4g}",
            x=place,
            y=top,
            yanchor="bottom" if direction == "maximize" else "top",
            yshift=6 if direction == "maximize" else -6,
            font={"size": 11 if crowded else 13, "color": INK},
        )
    scores = np.concatenate([stage.complete["score"].to_numpy(float) for stage in stages.values()])
    air = 0.1 * float(np.ptp(scores)) or 0.1 * abs(float(scores[0])) or 0.1
    figure.update_xaxes(
        tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.6, len(ticks) - 0.4], showgrid=False, tickangle=0
    )
    if crowded:
        figure.update_xaxes(title_text="complete trials, of all; above: the best score", tickfont_size=10)
    figure.update_yaxes(title_text=words(metric), range=[float(scores.min()) - air, float(scores.max()) + air])
    return tell(figure, f"{words(metric).capitalize()} by stage. {'; '.join(texts)}.")


def _counts(stage: TrialGroups) -> str:
    ends = (("pruned", stage.pruned), ("failed", stage.failed))
    return "<br>".join(
        [f"{len(stage.complete):,} complete", *(f"{len(part):,} {end}" for end, part in ends if len(part))]
    )


def _add_box(
    figure: go.Figure, label: str, place: int, scores: NDArray[np.float64], plotted: pd.DataFrame, metric: str
) -> None:
    """Plot the quartiles of all scores, and the trials spread about the middle of the box."""
    ink = colour(place)
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    figure.add_box(
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
    spread = 0.4 * ((np.arange(len(plotted)) * 0.618034) % 1 - 0.5)
    dots = {"color": ink, "size": 6 if len(plotted) <= 300 else 4, "opacity": 0.55}
    y, value = plotted["score"].astype(float), f"{words(metric)} %{{y:.4g}}"
    figure.add_trace(points(plotted, place + spread, y, label, dots, value, showlegend=False))
