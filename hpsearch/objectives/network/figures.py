"""Figures of an evaluation: the confusion matrix, and mistakes as pictures.

Figures have no template; `hpsearch.reports.figures.styled` gives them the house's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpsearch.text import no_markup

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from hpsearch.objectives.network.evaluation import Mistake

MOST_MISTAKES = 24
_COLUMNS = 8
_SHORT = 12  # of a class's name above a small picture, in characters


def confusion_figure(matrix: ArrayLike, names: Sequence[str], *, title: str) -> go.Figure:
    """Plot a confusion matrix: every cell with its count, coloured by its share of the label's examples.

    The diagonal has no colour: it would outshine all mistakes.

    Args:
        matrix: (C, C) counts, label by row and prediction by column.
        names: Of the C classes.
        title: Above the matrix.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    off = np.where(np.eye(len(names), dtype=bool), np.nan, share)
    highest = float(np.nanmax(off)) if len(names) > 1 else 0.0
    places, texts = list(range(len(names))), [_short(name) for name in names]
    figure = go.Figure(
        go.Heatmap(
            z=off,
            x=places,
            y=places,
            zmin=0,
            zmax=highest or 1,
            colorscale=[[0, "#FFFFFF"], [1, "#D55E00"]],
            xgap=1,
            ygap=1,
            customdata=np.dstack((counts, 100 * share)),
            text=[[f"{label} predicted as {prediction}" for prediction in texts] for label in texts],
            hovertemplate="%{text}: %{customdata[0]} (%{customdata[1]:.1f} %)<extra></extra>",
            hoverongaps=True,
            colorbar={
                "title": {"text": "of the label's<br>examples"},
                "tickformat": ".0%",
                "thickness": 12,
                "len": 0.6,
            },
        )
    )
    size = 12 if len(names) <= 15 else 9
    for row, column in np.argwhere(counts) if len(names) <= 30 else ():
        dark = row == column or share[row, column] < 0.75 * highest
        figure.add_annotation(
            x=int(column),
            y=int(row),
            text=str(counts[row, column]),
            showarrow=False,
            font={"size": size, "color": "#262626" if dark else "white"},
        )
    side = max(420, min(900, 44 * len(names) + 160))
    ends = [-0.5, len(names) - 0.5]
    axis: dict[str, Any] = {
        "tickvals": places,
        "ticktext": texts,
        "showgrid": False,
        "ticks": "",
        "constrain": "domain",
    }
    figure.update_layout(
        width=side + 120,
        height=side + 30,
        margin={"l": 80, "r": 20, "t": 56, "b": 64},
        plot_bgcolor="#E6E6E6",
        xaxis=axis | {"title": {"text": "prediction"}, "range": ends},
        yaxis=axis | {"title": {"text": "label"}, "autorange": False, "range": ends[::-1], "scaleanchor": "x"},
    )
    return _titled(figure, title)


def mistakes_figure(
    mistakes: Sequence[Mistake],
    inputs: NDArray[np.float32],
    shape: Sequence[int],
    names: Sequence[str],
    *,
    title: str,
) -> go.Figure:
    """Show pictures that were classified wrong, each with its label, its prediction and that class's probability.

    Args:
        mistakes: In the order in which they are to be seen.
        inputs: (T, D) the test examples as the network sees them: 0 is black, 1 is white.
        shape: Of one of them, (H, W) or with 1 or 3 channels behind.
        names: Of the classes.
        title: Above the pictures.
    """
    if not mistakes:
        figure = go.Figure().update_xaxes(visible=False).update_yaxes(visible=False)
        return _titled(figure.add_annotation(text="no example was classified wrong", showarrow=False), title)
    columns = min(_COLUMNS, len(mistakes))
    rows = math.ceil(len(mistakes) / columns)
    cell, above = 104, 40
    texts = [_short(name) for name in names]
    figure = make_subplots(
        rows=rows,
        cols=columns,
        horizontal_spacing=8 / (columns * cell),
        vertical_spacing=above / (rows * (cell + above)) if rows > 1 else 0,
        subplot_titles=[f"{texts[m.label]} > {texts[m.prediction]}<br>{m.probability:.1%}" for m in mistakes],
    )
    for place, mistake in enumerate(mistakes):
        hover = f"label {texts[mistake.label]}<br>predicted {texts[mistake.prediction]} ({mistake.probability:.1%})"
        figure.add_trace(
            go.Image(z=_levels(inputs[mistake.index], shape), hovertemplate=f"{hover}<extra></extra>"),
            row=place // columns + 1,
            col=place % columns + 1,
        )
    figure.update_annotations(font={"size": 12})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    top = 54 + above
    figure.update_layout(
        width=columns * cell + 48,
        height=rows * (cell + above) + top - above + 40,
        margin={"l": 24, "r": 24, "t": top, "b": 40},
    )
    figure.add_annotation(
        text="label > prediction, and its probability",
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        xanchor="left",
        yanchor="top",
        yshift=-8,
        showarrow=False,
        font={"size": 12, "color": "#6E6E6E"},
    )
    return _titled(figure, title)


def _titled(figure: go.Figure, title: str) -> go.Figure:
    return figure.update_layout(
        title={"text": no_markup(title), "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14}}
    )


def _short(name: str) -> str:
    """Return a class's name for Plotly: not too long, and no markup."""
    return no_markup(name, _SHORT)


def _levels(values: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return a picture's levels, (H, W, 3), 0..255; values beyond 0..1 are scaled into it."""
    picture = np.asarray(values, dtype=np.float64).reshape(*shape[:2], -1)
    low, high = min(float(picture.min()), 0.0), max(float(picture.max()), 1.0)
    levels = np.rint(255 * (picture - low) / (high - low)).astype(np.uint8)
    return np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels
