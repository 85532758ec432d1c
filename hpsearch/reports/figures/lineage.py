"""The stages of a search: which came from which, how the ranges narrowed, and the best scores."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures import style
from hpsearch.reports.figures.style import ParameterAxis, at, colour, field, tell
from hpsearch.reports.figures.trials import MOST_POINTS, PANEL_ROOM, StageTrials, evenly, left_out, points
from hpsearch.space import describe as range_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from hpsearch.records import Stage
    from hpsearch.reports.figures.trials import ScoreAxis

MOST_IN_WORDS = 6  # more stages than this have no room for words below them
MOST_NAMED = 15  # of more, every so many of them have a name
_DIAMOND = {"symbol": "diamond", "size": 10, "color": colour(1), "line": {"color": "white", "width": 1}}


def lineage(stages: Sequence[StageTrials], *, columns: int = 3, title: str | None = None) -> go.Figure:
    """Plot the stages from top to bottom: of each parameter its range as a bar, and at the end the best score.

    Thin lines lead from the ends of the range that a stage was narrowed from to the ends of its own. A diamond is the
    best trial's value.
    """
    names = list(dict.fromkeys(name for one in stages for name in one.stage.space))
    places = {one.stage.number: place for place, one in enumerate(stages)}
    columns = min(columns, len(names) + 1)
    figure = style.panels(
        [""] * (len(names) + 1),
        columns=columns,
        panel_height=max(120, 34 * len(stages) + 50),
        title=title,
        key=f"bars: ranges, diamonds: the best trial; last panel: the best {stages[0].metric}",
        shared=False,
        gaps=(44.0, 66.0),
    )
    for index, name in enumerate(names):
        x = ParameterAxis(name, [one.stage.space[name] for one in stages if name in one.stage.space])
        for trace in _ranges(stages, places, x):
            figure.add_trace(trace, **at(index, columns))
        figure.update_xaxes(x.layout(room=PANEL_ROOM), **at(index, columns))
    _add_scores(figure, stages, at(len(names), columns))
    texts = [
        one.label + ("" if one.stage.parent is None else f"{style.BREAK}{_how(one.stage)} {one.stage.parent}")
        for one in stages
    ]
    figure.update_yaxes(
        tickvals=list(places.values()), ticktext=texts, range=[len(stages) - 0.4, -0.6], showgrid=False, ticks=""
    )
    for index in range(len(names) + 1):
        if index % columns:
            figure.update_yaxes(showticklabels=False, **at(index, columns))
    figure.update_traces(showlegend=False)
    return tell(figure, " ".join(map(_sentence, stages)), least_width=76 + 190 * columns)


def _how(stage: Stage) -> str:
    return "from" if stage.refinement is None else "refines"


def _top(trials: StageTrials) -> float | None:
    return None if trials.complete.empty else float(trials.complete["score"].iloc[0])


def _sentence(trials: StageTrials) -> str:
    stage, top = trials.stage, _top(trials)
    ranges = ", ".join(f"{name} {range_words(parameter)}" for name, parameter in stage.space.items())
    parent = "" if stage.parent is None else f", {_how(stage)} stage {stage.parent}"
    best = "no score yet" if top is None else f"best {trials.metric} {top:.4g}"
    return f"Stage {stage.number}{parent}: {ranges}; {best}."


def _ranges(stages: Sequence[StageTrials], places: Mapping[int, int], x: ParameterAxis) -> Iterator[go.Scatter]:
    spans = {one.stage.number: x.spans(one.stage.space[x.name]) for one in stages if x.name in one.stage.space}
    for one in stages:
        stage, number, place = one.stage, one.stage.number, places[one.stage.number]
        if number not in spans:
            continue
        if stage.parent in spans:
            before, after = spans[stage.parent], spans[number]
            ends = ((before[0][0], after[0][0]), (before[-1][1], after[-1][1]))
            yield go.Scatter(
                x=[value for old, new in ends for value in (old, new, None)],
                y=[places[stage.parent], place, None] * 2,
                name=f"stage {number} from {stage.parent}",
                mode="lines",
                line={"color": style.LINE, "width": 1, "dash": "dot"},
                hoverinfo="skip",
            )
        yield go.Scatter(
            x=[value for left, right in spans[number] for value in (left, right, None)],
            y=[place, place, None] * len(spans[number]),
            name=f"stage {number}",
            mode="lines",
            line={"color": colour(0), "width": 9},
            opacity=0.75,
            text=[f"stage {number}: {x.name} {range_words(stage.space[x.name])}"] * 3 * len(spans[number]),
            hoverinfo="text",
        )
        if not one.complete.empty:
            trial, value = one.complete.iloc[0][["number", f"param:{x.name}"]]
            yield go.Scatter(
                x=x.positions([value], step=0),
                y=[place],
                name=f"best of stage {number}",
                mode="markers",
                marker=_DIAMOND,
                text=[f"best of stage {number}: trial {trial}, {x.name} {value}"],
                hoverinfo="text",
            )


def _add_scores(figure: go.Figure, stages: Sequence[StageTrials], at: Mapping[str, int]) -> None:
    """Plot the best score of each stage, written beside its mark."""
    tops = [_top(one) for one in stages]
    scored = {place: top for place, top in enumerate(tops) if top is not None}
    low, high = (min(scored.values()), max(scored.values())) if scored else (0.0, 1.0)
    air = 0.25 * (high - low) or 0.02 * abs(low) or 0.1
    metric = stages[0].metric
    figure.add_scatter(
        x=list(scored.values()),
        y=list(scored),
        name="best score",
        mode="markers+text",
        marker=_DIAMOND | {"size": 11},
        text=[f"  {top:.4g}" for top in scored.values()],
        textposition="middle right",
        hovertext=[f"{stages[place].label}: {stages[place].summary}" for place in scored],
        hovertemplate=f"{field('hovertext')}{style.BREAK}best {metric} {field('x:.4g')}{style.NO_NAME}",
        **at,
    )
    unscored = [place for place, top in enumerate(tops) if top is None]
    figure.add_scatter(
        x=[low - 0.5 * air] * len(unscored),
        y=unscored,
        name="no score yet",
        mode="text",
        text=["no score yet"] * len(unscored),
        textposition="middle right",
        textfont={"color": style.MUTED},
        hoverinfo="skip",
        **at,
    )
    figure.update_xaxes(title_text=f"best {metric}", range=(low - air, high + 3 * air), nticks=4, **at)


def scores_by_stage(stages: Sequence[StageTrials], *, title: str | None = None) -> go.Figure:
    """Plot the distribution of the scores, stage by stage: every trial, the quartiles, and the best score in figures.

    Trials that were pruned or failed have no score to compare; their numbers stand below the axis.
    """
    metric, maximize = stages[0].metric, stages[0].stage.direction == "maximize"
    whole = sum(len(stage.complete) for stage in stages)
    if not whole:
        text = stages[0].none_complete if len(stages) == 1 else "no trial is complete yet"
        return tell(style.nothing(text, title=title), f"Scores by stage: {text}.")
    share = min(1.0, MOST_POINTS / whole)
    plotted = [stage.complete.iloc[evenly(len(stage.complete), share)] for stage in stages]
    dots = sum(map(len, plotted))
    note = f"{dots:,} of {whole:,} trials plotted: an even sample; the boxes are of all" if dots < whole else None
    axis = StageTrials.joined([replace(stage, trials=stage.complete) for stage in stages]).score_axis(above=2.0)
    notes = [note, f"triangles: scores {axis.words}" if axis.words else None]
    figure = style.empty_figure(title=title, key="; ".join(filter(None, notes)) or None)
    crowded = len(stages) > MOST_IN_WORDS
    every = math.ceil(len(stages) / MOST_NAMED)
    ticks, texts = [], []
    for place, stage in enumerate(stages):
        order = stage.complete
        counts = f"{len(order)} of {len(stage.trials)}" if crowded else _counts(stage)
        ticks.append("" if place % every else f"{stage.label}{style.BREAK}{counts}")
        if order.empty:
            continue
        scores = order["score"].to_numpy(float)
        _add_box(figure, stage, place, axis, plotted[place])
        top = float(scores[0])
        texts.append(f"{stage.label}: best {top:.4g}, median {np.median(scores):.4g}, {stage.summary}")
        figure.add_annotation(
            text="" if place % every else f"{top:.3g}" if crowded else f"best {top:.4g}",
            x=place,
            y=top,
            yanchor="bottom" if maximize else "top",
            yshift=6 if maximize else -6,
            font={"size": 11 if crowded else 13, "color": style.INK},
        )
    figure.update_xaxes(
        tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.6, len(ticks) - 0.4], showgrid=False, tickangle=0
    )
    if crowded:
        figure.update_xaxes(title_text="complete trials, of all; above: the best score", tickfont_size=10)
    figure.update_yaxes(title_text=metric, range=[axis.low - 0.05 * (axis.high - axis.low), axis.high])
    return tell(figure, f"{metric.capitalize()} by stage. {'; '.join(texts)}.")


def _counts(stage: StageTrials) -> str:
    groups = (("complete", stage.complete), ("pruned", stage.pruned), ("failed", stage.failed))
    return style.BREAK.join(f"{len(part):,} {end}" for end, part in groups if len(part) or end == "complete")


def _add_box(figure: go.Figure, stage: StageTrials, place: int, axis: ScoreAxis, plotted: pd.DataFrame) -> None:
    """Plot the quartiles of all scores, and the trials spread about the middle of the box."""
    ink, scores = colour(place), stage.complete["score"].to_numpy(float)
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    near = scores[~axis.beyond(stage.complete)] if not axis.beyond(stage.complete).all() else scores
    figure.add_box(
        x=[place],
        q1=[low],
        median=[middle],
        q3=[high],
        lowerfence=[near.min()],
        upperfence=[near.max()],
        name=f"{stage.label}, quartiles",
        width=0.5,
        line={"color": ink, "width": 1.5},
        fillcolor="rgba(0,0,0,0)",
        hoverinfo="skip",
        showlegend=False,
    )
    # Multiples of the golden section spread evenly, whatever their number.
    spread = 0.4 * ((np.arange(len(plotted)) * 0.618034) % 1 - 0.5)
    dots = {"color": ink, "size": 6 if len(plotted) <= 300 else 4, "opacity": 0.55}
    y, value, far = plotted["score"].astype(float), f"{stage.metric} {field('y:.4g')}", axis.beyond(plotted)
    figure.add_trace(points(plotted[~far], place + spread[~far], y[~far], stage.label, dots, value, showlegend=False))
    if far.any():
        beyond = left_out(plotted[far], place + spread[far], axis, stage.metric, showlegend=False)
        figure.add_trace(beyond.update(marker_color=ink))
