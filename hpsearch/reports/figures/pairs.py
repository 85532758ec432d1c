"""Two parameters against each other, and the stages' ranges over them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from hpsearch.reports.figures import style
from hpsearch.reports.figures.style import PAPER, ParameterAxis, colour, empty_figure, field, say, tell
from hpsearch.reports.figures.trials import FAILED_MARKER, MOST_POINTS, PRUNED_MARKER, StageTrials, points

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import plotly.graph_objects as go

    from hpsearch.records import NewStage

_MOST_NAMED = 8
# The step between choices' trials along the other axis: not in step with the first, which would make lines of them.
_OTHER = 0.754878


def pair(
    stages: Sequence[StageTrials], x: str, y: str, *, ranges: Sequence[NewStage], title: str | None = None
) -> go.Figure:
    """Plot two parameters against each other, the trials coloured by score, the stages' ranges as rectangles.

    Args:
        ranges: The stages whose ranges are shown, in order; each has both parameters.
    """
    every = StageTrials.joined(stages)
    across, upwards = (ParameterAxis(name, [stage.space[name] for stage in ranges]) for name in (x, y))
    trials, left_out = every.sample(MOST_POINTS)
    figure = empty_figure(title=title, key=left_out, legend=True)

    def add(part: pd.DataFrame, name: str, marker: dict[str, Any], ending: str) -> None:
        at_x, at_y = across.positions(part[f"param:{x}"]), upwards.positions(part[f"param:{y}"], step=_OTHER)
        figure.add_trace(points(part, at_x, at_y, name, marker, ending, names=[x, y], showlegend=name != "trials"))

    for group, part, marker in (("failed", trials.failed, FAILED_MARKER), ("pruned", trials.pruned, PRUNED_MARKER)):
        if not part.empty:
            add(part, group, marker, group)
    # The best are plotted last, over the others.
    order = trials.complete.iloc[::-1]
    if not order.empty:
        least, most = every.ends
        scale = {
            "color": order["score"].astype(float),
            "colorscale": style.SCALE,
            "cmin": least,
            "cmax": most,
            "reversescale": every.stage.direction == "minimize",
            "size": 9 if len(order) <= 300 else 6,
            "line": {"color": PAPER, "width": 0.5},
            "colorbar": {
                "title": {"text": every.metric, "side": "right", "font": {"size": 14}},
                "thickness": 14,
                "outlinewidth": 0,
            },
        }
        add(order, "trials", scale, f"{every.metric} {field('marker.color:.4g')}")
    _rectangles(figure, across, upwards, ranges)
    figure.update_xaxes(across.layout())
    figure.update_yaxes(upwards.layout())
    labels = ", ".join(f"stage {stage.number}" for stage in ranges)
    boxes = (
        f"The ranges of {labels} are rectangles" if len(ranges) > 1 else f"The rectangle shows the ranges of {labels}"
    )
    if order.empty:
        say(figure, every.none_complete)
    both = int(every.trials[[f"param:{x}", f"param:{y}"]].notna().all(axis=1).sum())
    plotted = "" if both == len(every.trials) else f"; the {both:,} that have both are plotted"
    text = f"{x} against {y}, coloured by {every.metric}. {every.summary_with_best}{plotted}. {boxes}."
    return tell(figure, text)


def _rectangles(figure: go.Figure, across: ParameterAxis, upwards: ParameterAxis, ranges: Sequence[NewStage]) -> None:
    """Plot each stage's ranges as a rectangle; of many stages the legend names the first and the last.

    They are traces, not shapes: a trace is in the data's units on every axis and in every version of Plotly.
    """
    for index, stage in enumerate(ranges):
        spans = (axis.spans(stage.space[axis.name]) for axis in (across, upwards))
        for place, ((left, right), (bottom, top)) in enumerate(product(*spans)):
            label = f"stage {stage.number}"
            figure.add_scatter(
                x=[left, right, right, left, left],
                y=[bottom, bottom, top, top, bottom],
                mode="lines",
                line={"color": colour(index + 1), "width": 2},
                name=label,
                hoverinfo="skip",
                legendgroup=label,
                showlegend=not place and (len(ranges) <= _MOST_NAMED or index in (0, len(ranges) - 1)),
            )
