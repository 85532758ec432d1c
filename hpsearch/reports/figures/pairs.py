"""Two parameters against each other, and the stages' ranges over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from hpsearch.errors import BadInput, nearest
from hpsearch.reports.figures.style import PAPER, SCORES, ParameterAxis, colour, empty_figure, say, tell, words
from hpsearch.reports.figures.trials import (
    FAILED_MARKER,
    MOST_POINTS,
    PRUNED_MARKER,
    TrialGroups,
    check,
    none_complete,
    points,
    summary_with_best,
)

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Direction
    from hpsearch.space import Parameter, Space

_MOST_NAMED = 8
_OTHER = 0.754878
"""The step between choices' trials along the other axis: not in step with the first, which would make lines of them."""


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
    """Plot two parameters against each other, the trials coloured by score, the stages' ranges as rectangles.

    Args:
        space: Ranges that the axes hold at least, and their scales.
        rectangles: The ranges of each stage, by the label that its rectangle gets, in order.
    """
    check(frame, x, y)
    rectangles = rectangles or {}
    for ranges in (space, *rectangles.values()):
        for name in (x, y):
            if name not in ranges:
                raise BadInput(f"no parameter {name!r} in the ranges{nearest(name, ranges)}")
    across = ParameterAxis(x, [space[x], *(ranges[x] for ranges in rectangles.values())])
    upwards = ParameterAxis(y, [space[y], *(ranges[y] for ranges in rectangles.values())])
    trials = TrialGroups.of(frame, direction).sample(MOST_POINTS)
    figure = empty_figure(title=title, key=trials.left_out, legend=True)

    def add(part: pd.DataFrame, name: str, marker: dict[str, Any], ending: str) -> None:
        at_x, at_y = across.positions(part[f"param:{x}"]), upwards.positions(part[f"param:{y}"], step=_OTHER)
        figure.add_trace(points(part, at_x, at_y, name, marker, ending, names=[x, y], showlegend=name != "trials"))

    for group, part, marker in (("failed", trials.failed, FAILED_MARKER), ("pruned", trials.pruned, PRUNED_MARKER)):
        if not part.empty:
            add(part, group, marker, group)
    # The best are plotted last, over the others.
    order = trials.complete.iloc[::-1]
    if not order.empty:
        scale = {
            "color": order["score"].astype(float),
            "colorscale": SCORES,
            "reversescale": direction == "minimize",
            "size": 9 if len(order) <= 300 else 6,
            "line": {"color": PAPER, "width": 0.5},
            "colorbar": {
                "title": {"text": words(metric), "side": "right", "font": {"size": 14}},
                "thickness": 14,
                "outlinewidth": 0,
            },
        }
        add(order, "trials", scale, f"{words(metric)} %{{marker.color:.4g}}")
    _rectangles(figure, across, upwards, {label: (ranges[x], ranges[y]) for label, ranges in rectangles.items()})
    figure.update_xaxes(across.layout())
    figure.update_yaxes(upwards.layout())
    nested = f" The ranges of {', '.join(rectangles)} are rectangles." if len(rectangles) > 1 else ""
    if len(rectangles) == 1:
        nested = f" The rectangle shows the ranges of {next(iter(rectangles))}."
    counts = summary_with_best(frame, direction, metric)
    tell(figure, f"{x} against {y}, coloured by {words(metric)}. {counts}.{nested}")
    return say(figure, none_complete(frame)) if order.empty else figure


def _rectangles(
    figure: go.Figure, across: ParameterAxis, upwards: ParameterAxis, ranges: Mapping[str, tuple[Parameter, Parameter]]
) -> None:
    """Plot each stage's ranges as a rectangle, its label in a corner that no earlier label has taken.

    They are traces, not shapes: a trace is in the data's units on every axis and in every version of Plotly.
    """
    taken: list[tuple[float, float]] = []
    for stage, (label, (of_x, of_y)) in enumerate(ranges.items()):
        ink = colour(stage + 1)
        common = {"name": label, "hoverinfo": "skip", "legendgroup": label, "showlegend": False}
        for place, ((left, right), (bottom, top)) in enumerate(product(across.spans(of_x), upwards.spans(of_y))):
            figure.add_scatter(
                x=[left, right, right, left, left],
                y=[bottom, bottom, top, top, bottom],
                mode="lines",
                line={"color": ink, "width": 2},
                **common,
            )
            # Of many rectangles the first and the last have room for a name.
            if place or (len(ranges) > _MOST_NAMED and 0 < stage < len(ranges) - 1):
                continue
            corners = [
                (across.fraction(left), upwards.fraction(top), "bottom right"),
                (across.fraction(left), upwards.fraction(bottom), "top right"),
                (across.fraction(right), upwards.fraction(bottom), "top left"),
                (across.fraction(right), upwards.fraction(top), "bottom left"),
            ]
            corner = max(corners, key=lambda corner: round(_room(corner[:2], taken), 2))
            taken.append(corner[:2])
            figure.add_scatter(
                x=[across.at(corner[0])],
                y=[upwards.at(corner[1])],
                mode="text",
                text=[f"\N{NO-BREAK SPACE}<b>{label}</b>\N{NO-BREAK SPACE}"],
                textposition=corner[2],
                # A white rim, where the label stands on trials.
                textfont={"color": ink, "size": 13, "shadow": ", ".join(["0 0 2px white"] * 4)},
                cliponaxis=False,
                **common,
            )


def _room(place: tuple[float, float], taken: list[tuple[float, float]]) -> float:
    """Return the distance to the nearest of the places taken, at most 0.3; text is wider than high."""
    return min([0.3, *(math.hypot((place[0] - x) / 2, place[1] - y) for x, y in taken)])
