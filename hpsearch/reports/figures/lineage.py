"""The stages of a search: which came from which, how the ranges narrowed, and the best scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures.style import (
    INK,
    LINE,
    MUTED,
    ParameterAxis,
    colour,
    empty_figure,
    nothing,
    panels,
    tell,
    words,
)
from hpsearch.reports.figures.trials import (
    MOST_POINTS,
    TrialGroups,
    check,
    evenly,
    none_complete,
    points,
    ranked,
    summary,
)
from hpsearch.space import describe as range_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from hpsearch.records import Direction, NewStage

MOST_IN_WORDS = 6
"""More stages than this have no room for words below them."""
MOST_NAMED = 15
"""Of more, every so many of them have a name."""
_DIAMOND = {"symbol": "diamond", "size": 10, "color": colour(1), "line": {"color": "white", "width": 1}}


def lineage(
    stages: Sequence[NewStage],
    frames: Mapping[int, pd.DataFrame],
    *,
    metric: str = "score",
    columns: int = 3,
    title: str | None = None,
) -> go.Figure:
    """Plot the stages from top to bottom: of each parameter its range as a bar, and at the end the best score.

    Thin lines lead from the ends of the range that a stage was narrowed from to the ends of its own. A diamond is the
    best trial's value.
    """
    if not stages:
        return nothing("there is no stage yet", title=title)
    for frame in frames.values():
        check(frame)
    names = list(dict.fromkeys(name for stage in stages for name in stage.space))
    places = {stage.number: place for place, stage in enumerate(stages)}
    # The best trial of each stage with a score.
    tops = {number: ranked(frame, stages[0].direction).head(1) for number, frame in frames.items()}
    best = {number: top.iloc[0] for number, top in tops.items() if len(top)}
    columns = min(columns, len(names) + 1)
    figure = panels(
        [""] * (len(names) + 1),
        columns=columns,
        panel_height=max(120, 34 * len(stages) + 50),
        title=title,
        key=f"bars: ranges, diamonds: the best trial; last panel: the best {words(metric)}",
        shared=False,
        gaps=(44.0, 66.0),
    )
    for index, name in enumerate(names):
        row, column = index // columns + 1, index % columns + 1
        x = ParameterAxis(name, [stage.space[name] for stage in stages if name in stage.space])
        for trace in _ranges(stages, places, x, best):
            figure.add_trace(trace, row=row, col=column)
        figure.update_xaxes(x.layout(short=True), row=row, col=column)
    row, column = len(names) // columns + 1, len(names) % columns + 1
    scores = {number: float(trial["score"]) for number, trial in best.items()}
    _add_scores(figure, places, frames, scores, metric, row=row, column=column)
    texts = [f"stage {stage.number}" + ("" if stage.parent is None else f"<br>from {stage.parent}") for stage in stages]
    figure.update_yaxes(
        tickvals=list(places.values()), ticktext=texts, range=[len(stages) - 0.4, -0.6], showgrid=False, ticks=""
    )
    for index in range(len(names) + 1):
        if index % columns:
            figure.update_yaxes(showticklabels=False, row=index // columns + 1, col=index % columns + 1)
    sentences = [_sentence(stage, scores.get(stage.number), metric) for stage in stages]
    return tell(figure, " ".join(sentences), least_width=76 + 190 * columns)


def _sentence(stage: NewStage, score: float | None, metric: str) -> str:
    ranges = ", ".join(f"{name} {range_words(parameter)}" for name, parameter in stage.space.items())
    parent = "" if stage.parent is None else f", from stage {stage.parent}"
    best = "no score yet" if score is None else f"best {words(metric)} {score:.4g}"
    return f"Stage {stage.number}{parent}: {ranges}; {best}."


def _ranges(
    stages: Sequence[NewStage], places: Mapping[int, int], x: ParameterAxis, best: Mapping[int, pd.Series]
) -> Iterator[go.Scatter]:
    spans = {stage.number: x.spans(stage.space[x.name]) for stage in stages if x.name in stage.space}
    for stage in stages:
        number, place = stage.number, places[stage.number]
        if number not in spans:
            continue
        if stage.parent in spans and stage.parent != number:
            before, after = spans[stage.parent], spans[number]
            ends = ((before[0][0], after[0][0]), (before[-1][1], after[-1][1]))
            yield go.Scatter(
                x=[value for old, new in ends for value in (old, new, None)],
                y=[places[stage.parent], place, None] * 2,
                name=f"stage {number} from {stage.parent}",
                mode="lines",
                line={"color": LINE, "width": 1, "dash": "dot"},
                hoverinfo="skip",
                showlegend=False,
            )
        yield go.Scatter(
            x=[value for left, right in spans[number] for value in (left, right, None)],
            y=[place, place, None] * len(spans[number]),
            name=f"stage {number}",
            mode="lines",
            line={"color": colour(0), "width": 9},
            opacity=0.75,
            text=[f"stage {number}: {x.name} {range_words(stage.space[x.name])}"] * 3 * len(spans[number]),
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
        if number in best and f"param:{x.name}" in best[number]:
            trial, value = best[number]["number"], best[number][f"param:{x.name}"]
            yield go.Scatter(
                x=x.positions([value], step=0),
                y=[place],
                name=f"best of stage {number}",
                mode="markers",
                marker=_DIAMOND,
                text=[f"best of stage {number}: trial {trial}, {x.name} {value}"],
                hovertemplate="%{text}<extra></extra>",
                showlegend=False,
            )


def _add_scores(
    figure: go.Figure,
    places: Mapping[int, int],
    frames: Mapping[int, pd.DataFrame],
    scores: Mapping[int, float],
    metric: str,
    *,
    row: int,
    column: int,
) -> None:
    """Plot the best score of each stage, written beside its mark."""
    low, high = (min(scores.values()), max(scores.values())) if scores else (0.0, 1.0)
    air = 0.25 * (high - low) or 0.1 * abs(low) or 0.1
    scored = [number for number in places if number in scores]
    figure.add_scatter(
        x=[scores[number] for number in scored],
        y=[places[number] for number in scored],
        name="best score",
        mode="markers+text",
        marker=_DIAMOND | {"size": 11},
        text=[f"  {scores[number]:.4g}" for number in scored],
        textposition="middle right",
        hovertext=[f"stage {number}: {summary(frames[number])}" for number in scored],
        hovertemplate=f"%{{hovertext}}<br>best {words(metric)} %{{x:.4g}}<extra></extra>",
        showlegend=False,
        row=row,
        col=column,
    )
    unscored = [place for number, place in places.items() if number not in scores]
    figure.add_scatter(
        x=[low - 0.5 * air] * len(unscored),
        y=unscored,
        name="no score yet",
        mode="text",
        text=["no score yet"] * len(unscored),
        textposition="middle right",
        textfont={"color": MUTED},
        hoverinfo="skip",
        showlegend=False,
        row=row,
        col=column,
    )
    ends = (low - air, high + 3 * air)
    figure.update_xaxes(title_text=f"best {words(metric)}", range=ends, nticks=4, row=row, col=column)


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
