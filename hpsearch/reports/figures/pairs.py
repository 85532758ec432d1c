"""Two parameters against each other, and the stages' ranges over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from hpsearch.errors import BadInput, nearest
from hpsearch.reports.figures.frames import FAILED_INK, check, failed, hover_lines, none_complete, ranked
from hpsearch.reports.figures.parameters import ParameterAxis
from hpsearch.reports.figures.style import SCORES, colour, empty_figure, say, words

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Direction
    from hpsearch.space import Parameter, Space


def pair(
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    space: Space,
    rectangles: Mapping[str, Space] | None = None,
    metric: str = "score",
    direction: Direction = "maximize",
    title: str | None = None,
) -> go.Figure:
    """Two parameters against each other, the trials coloured by score, with the stages' ranges as rectangles.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`, of one stage or of several together.
        x: The parameter from left to right.
        y: The parameter from bottom to top.
        space: Ranges that the axes hold at least, and their scales.
        rectangles: The ranges of each stage, by the label that its rectangle gets, in order.
        metric: What the score is.
        direction: ``maximize`` or ``minimize``.
        title: Above the data.

    Raises:
        BadInput: A column or a parameter is missing, or one is of another kind in another stage.
    """
    check(frame, x, y)
    rectangles = rectangles or {}
    for ranges in (space, *rectangles.values()):
        for name in (x, y):
            if name not in ranges:
                raise BadInput(f"no parameter {name!r} in the ranges{nearest(name, ranges)}")
    across = ParameterAxis(x, [space[x], *(ranges[x] for ranges in rectangles.values())])
    upwards = ParameterAxis(y, [space[y], *(ranges[y] for ranges in rectangles.values())])
    figure = empty_figure(title=title, legend=True)
    lost = failed(frame)
    if not lost.empty:
        figure.add_trace(
            go.Scatter(
                x=across.positions(lost[f"param:{x}"]),
                y=upwards.positions(lost[f"param:{y}"]),
                name="failed",
                mode="markers",
                marker={"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": FAILED_INK}},
                text=hover_lines(lost, [x, y]),
                hovertemplate="%{text}<br>failed<extra></extra>",
                showlegend=True,
            )
        )
    # The best are drawn last, over the others.
    order = ranked(frame, direction).iloc[::-1]
    if not order.empty:
        figure.add_trace(
            go.Scatter(
                x=across.positions(order[f"param:{x}"]),
                y=upwards.positions(order[f"param:{y}"]),
                name="trials",
                mode="markers",
                marker={
                    "color": order["score"].astype(float),
                    "colorscale": SCORES,
                    "reversescale": direction == "minimize",
                    "size": 9,
                    "line": {"color": "white", "width": 0.5},
                    "colorbar": {
                        "title": {"text": words(metric), "side": "right", "font": {"size": 14}},
                        "thickness": 14,
                        "outlinewidth": 0,
                    },
                },
                text=hover_lines(order, [x, y]),
                hovertemplate=f"%{{text}}<br>{words(metric)} %{{marker.color:.4g}}<extra></extra>",
                showlegend=False,
            )
        )
    _rectangles(figure, across, upwards, {label: (ranges[x], ranges[y]) for label, ranges in rectangles.items()})
    figure.update_xaxes(across.layout())
    figure.update_yaxes(upwards.layout())
    return say(figure, none_complete(frame)) if order.empty else figure


def _rectangles(
    figure: go.Figure, across: ParameterAxis, upwards: ParameterAxis, ranges: Mapping[str, tuple[Parameter, Parameter]]
) -> None:
    """Each stage's ranges as a rectangle, its label in a corner that no earlier label has taken.

    They are traces and no shapes: a trace is in the data's units on every axis and in every version of Plotly.
    """
    taken: list[tuple[float, float]] = []
    for stage, (label, (of_x, of_y)) in enumerate(ranges.items()):
        ink = colour(stage + 1)
        boxes = list(product(across.spans(of_x), upwards.spans(of_y)))
        for place, ((left, right), (bottom, top)) in enumerate(boxes):
            figure.add_trace(
                go.Scatter(
                    x=[left, right, right, left, left],
                    y=[bottom, bottom, top, top, bottom],
                    name=label,
                    mode="lines",
                    line={"color": ink, "width": 2},
                    hoverinfo="skip",
                    legendgroup=label,
                    showlegend=False,
                )
            )
            if place:
                continue
            corners = [
                (across.fraction(left), upwards.fraction(top), "bottom right"),
                (across.fraction(left), upwards.fraction(bottom), "top right"),
                (across.fraction(right), upwards.fraction(bottom), "top left"),
                (across.fraction(right), upwards.fraction(top), "bottom left"),
            ]
            corner = max(corners, key=lambda corner: round(_room(corner[:2], taken), 2))
            taken.append(corner[:2])
            figure.add_trace(
                go.Scatter(
                    x=[across.at(corner[0])],
                    y=[upwards.at(corner[1])],
                    name=label,
                    mode="text",
                    text=[f"\N{NO-BREAK SPACE}<b>{label}</b>\N{NO-BREAK SPACE}"],
                    textposition=corner[2],
                    # A white rim, where the label stands on trials.
                    textfont={"color": ink, "size": 13, "shadow": ", ".join(["0 0 2px white"] * 4)},
                    cliponaxis=False,
                    hoverinfo="skip",
                    legendgroup=label,
                    showlegend=False,
                )
            )


def _room(place: tuple[float, float], taken: list[tuple[float, float]]) -> float:
    """The distance to the nearest of the places taken, at most 0.3; text is wider than high."""
    return min([0.3, *(math.hypot((place[0] - x) / 2, place[1] - y) for x, y in taken)])
