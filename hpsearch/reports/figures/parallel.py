"""Parallel coordinates: a line a trial, through its values to its score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from hpsearch.reports.figures.axes import ParameterAxis
from hpsearch.reports.figures.style import (
    INK,
    LINE,
    MUTED,
    PAPER,
    SCALE,
    empty_figure,
    needs,
    nothing,
    say,
    tell,
    words,
)
from hpsearch.reports.figures.trials import (
    FAILED_MARKER,
    STOPPED,
    best_words,
    check,
    counted,
    failed,
    hover_lines,
    none_complete,
    ranked,
    stopped,
    thinned,
    thinned_note,
)
from hpsearch.space import Float

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Direction
    from hpsearch.space import Space

MOST_LINES = 300
_CLASSES = len(SCALE)
"""Lines of so many colours: a trace each, so that a page of hundreds of trials stays quick."""


def parallel(
    frame: pd.DataFrame,
    space: Space,
    *,
    best: int = 5,
    metric: str = "score",
    direction: Direction = "maximize",
    title: str | None = None,
) -> go.Figure:
    """A line for each trial, across an axis for each parameter, to its score at the right; the best are on top.

    Lines are coloured by score, those of the best are thick; dotted ones were stopped early. Crosses on the axes are
    the values of failed trials.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`: number, state, score, ``param:<name>`` of each parameter.
        space: The stage's ranges, each axis being as long as its range.
        best: How many of the best trials are highlighted.
        metric: What the score is.
        direction: ``maximize`` or ``minimize``.
        title: Above the data.

    Raises:
        BadInput: A column is missing.
    """
    check(frame, *space)
    if not space:
        return nothing("there is no parameter to draw", title=title)
    axes = [ParameterAxis(name, [parameter]) for name, parameter in space.items()]
    order, pruned, lost = ranked(frame, direction), stopped(frame), failed(frame)
    everything = len(order) + len(pruned) + len(lost)
    share = min(1.0, MOST_LINES / max(everything, 1))
    top, rest = order.iloc[:best], thinned(order.iloc[best:], max(1, round(share * len(order.iloc[best:]))))
    pruned_drawn = thinned(pruned, max(1, round(share * len(pruned))))
    lost_drawn = thinned(lost, max(1, round(share * len(lost))))
    drawn = len(top) + len(rest) + len(pruned_drawn) + len(lost_drawn)
    left_out = thinned_note(drawn, everything, kept=f"the best {len(top)}")
    key = "; ".join(part for part in ("yellow: better, blue: worse", left_out) if part)
    figure = empty_figure(title=title, key=key, legend=True)
    scores = np.concatenate([order["score"].to_numpy(float), pruned["score"].to_numpy(float)])
    last = _score_axis(metric, scores)

    def line(
        part: pd.DataFrame,
        name: str,
        *,
        ink: str,
        width: float,
        dash: str = "solid",
        opacity: float,
        legend: bool = True,
    ) -> None:
        if part.empty:
            return
        heights = [_heights(axis, part[f"param:{axis.name}"]) for axis in axes]
        heights.append([last.fraction(score) for score in part["score"].astype(float)])
        y = np.column_stack([*heights, [math.nan] * len(part)])
        texts = [
            f"{text}<br>{words(metric)} {score:.4g}"
            for text, score in zip(hover_lines(part, list(space)), part["score"].astype(float), strict=True)
        ]
        figure.add_trace(
            go.Scatter(
                x=np.tile([*range(len(axes) + 1), math.nan], len(part)),
                y=y.ravel(),
                name=name,
                mode="lines",
                line={"color": ink, "width": width, "dash": dash},
                opacity=opacity,
                text=np.repeat(texts, len(axes) + 2),
                hovertemplate="%{text}<extra></extra>",
                legendgroup=name,
                showlegend=legend,
            )
        )

    line(pruned_drawn, STOPPED, ink=MUTED, width=1, dash="dot", opacity=0.6)
    places = _classes(rest["score"].to_numpy(float), scores, minimize=direction == "minimize")
    for place, ink in enumerate(SCALE):
        opacity = 0.35 + 0.4 * place / (_CLASSES - 1)
        line(rest[places == place], "trials", ink=ink, width=1.3, opacity=opacity, legend=False)
    if not rest.empty:
        # The ends of the scale are faint, one on white and the other on black: its middle stands for all.
        middle = {"color": SCALE[_CLASSES // 2], "width": 2}
        figure.add_trace(go.Scatter(x=[None], y=[None], name="trials", mode="lines", line=middle, legendgroup="trials"))
    line(top.iloc[::-1], f"best {len(top)}", ink="#D55E00", width=2.6, opacity=0.95)
    if not lost_drawn.empty:
        figure.add_trace(
            go.Scatter(
                x=np.repeat(range(len(axes)), len(lost_drawn)),
                y=np.concatenate([_heights(axis, lost_drawn[f"param:{axis.name}"]) for axis in axes]),
                name="failed",
                mode="markers",
                marker=FAILED_MARKER,
                text=hover_lines(lost_drawn, list(space)) * len(axes),
                hovertemplate="%{text}<br>failed<extra></extra>",
            )
        )
    _draw_axes(figure, [*axes, last])
    needs(figure, 100 + 90 * len(axes))
    tell(
        figure,
        f"A line for each trial across {', '.join(space)} to its {words(metric)}. {counted(frame)}; "
        f"{best_words(frame, direction, metric)}.",
    )
    return say(figure, none_complete(frame)) if order.empty else figure


def _heights(axis: ParameterAxis, values: pd.Series[Any]) -> list[float]:
    return [axis.fraction(place) if math.isfinite(place) else math.nan for place in axis.positions(values)]


def _score_axis(metric: str, scores: NDArray[np.float64]) -> ParameterAxis:
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
    air = 0.1 * abs(low) or 0.1
    return ParameterAxis(metric, [Float(low, high) if low < high else Float(low - air, high + air)])


def _classes(scores: NDArray[np.float64], every: NDArray[np.float64], *, minimize: bool) -> NDArray[np.int64]:
    """The colour's place of each score, from 0 for the worst."""
    if not len(scores) or every.max() == every.min():
        return np.full(len(scores), _CLASSES - 1)
    share = (scores - every.min()) / (every.max() - every.min())
    places: NDArray[np.int64] = (_CLASSES * (1 - share if minimize else share)).astype(np.int64)
    return places.clip(max=_CLASSES - 1)


def _draw_axes(figure: go.Figure, axes: list[ParameterAxis]) -> None:
    """The axes as lines with ticks and names. All notes at once: Plotly looks through all for each that is added."""
    crowded = len(axes) > 8
    notes: list[dict[str, Any]] = []
    shapes = []
    for place, axis in enumerate(axes):
        shapes.append(
            {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "line": {"color": LINE, "width": 1.2}}
        )
        notes += [
            {
                "text": text,
                "x": place,
                "y": height,
                "xanchor": "right",
                "xshift": -5,
                "yanchor": "middle",
                "font": {"size": 10 if crowded else 12, "color": INK},
                "bgcolor": PAPER,
                "opacity": 0.85,
                "borderpad": 1,
            }
            for height, text in axis.ticks(4 if crowded else 6)
        ]
        notes.append(
            {
                "text": f"<b>{words(axis.name)}{' (log)' if axis.log else ''}</b>",
                "x": place,
                "y": -0.02,
                "yanchor": "top",
                "xanchor": "center",
                "textangle": -30 if crowded else 0,
                "font": {"size": 11 if crowded else 13, "color": INK},
            }
        )
    figure.update_layout(annotations=[*figure.layout.annotations, *notes], shapes=shapes)
    air = (0.09 if len(axes) > 2 else 0.06) * len(axes)
    figure.update_xaxes(visible=False, range=[-0.04 * len(axes), len(axes) - 1 + air])
    figure.update_yaxes(visible=False, range=[-0.2 if crowded else -0.12, 1.03])
