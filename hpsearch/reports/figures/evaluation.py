"""What the test images say: which classes are taken for which, and the mistakes themselves."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from hpsearch.errors import BadInput
from hpsearch.reports.figures.style import FONT, GRID, INK, MUTED, TEMPLATE, nothing

_COLUMNS = 8
_SHORT = 12
"""Of a class's name above a small picture, in characters."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture that was classified wrong.

    Args:
        values: (D,) as the network sees it: 0 is black, 1 is white.
        label: Its class.
        prediction: The class that it was taken for.
        probability: How probable that was, by the network.
    """

    values: ArrayLike
    label: int
    prediction: int
    probability: float


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str], *, title: str | None = None) -> go.Figure:
    """A confusion matrix: every cell with its count, coloured by its share of the label's examples.

    The diagonal, what was right, has no colour: it would outshine all mistakes.

    Args:
        matrix: (C, C) counts, label by row and prediction by column.
        names: Of the C classes.
        title: Above the matrix.

    Raises:
        BadInput: Counts of another shape.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    if counts.shape != (len(names), len(names)):
        raise BadInput(f"a confusion matrix of shape {counts.shape} for {len(names)} classes; give one of their number")
    if not counts.sum():
        return nothing("no image was scored", title=title)
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    off = np.where(np.eye(len(names), dtype=bool), np.nan, share)
    highest = float(np.nanmax(off)) if len(names) > 1 else 0.0
    few = len(names) <= 30
    places = list(range(len(names)))
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
            text=[[f"{_short(names[row])} taken for {_short(names[column])}" for column in places] for row in places],
            hovertemplate="%{text}: %{customdata[0]} (%{customdata[1]:.1f} %)<extra></extra>",
            hoverongaps=True,
            colorbar={"title": {"text": "of the label's<br>images"}, "tickformat": ".0%", "thickness": 12, "len": 0.6},
        )
    )
    size = 12 if len(names) <= 15 else 9
    for row in places if few else ():
        for column in places:
            if counts[row, column]:
                right = row == column
                figure.add_annotation(
                    x=column,
                    y=row,
                    text=str(counts[row, column]),
                    font={"size": size, "color": INK if right or share[row, column] < 0.75 * highest else "white"},
                    opacity=1.0,
                )
    side = max(420, min(900, 44 * len(names) + 160))
    axis: dict[str, Any] = {
        "tickvals": places,
        "ticktext": [_short(name) for name in names],
        "showgrid": False,
        "ticks": "",
        "range": [-0.5, len(names) - 0.5],
        "constrain": "domain",
    }
    figure.update_layout(
        template=TEMPLATE,
        width=side + 120,
        height=side + (30 if title else 0),
        margin={"l": 80, "r": 20, "t": 56 if title else 24, "b": 64},
        plot_bgcolor=GRID,
        xaxis=axis | {"title": {"text": "taken for"}},
        yaxis=axis
        | {"title": {"text": "label"}, "autorange": False, "range": [len(names) - 0.5, -0.5]}
        | {"scaleanchor": "x"},
    )
    if title:
        figure.update_layout(title={"text": title, "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14}})
    return figure


def is_picture(shape: Sequence[int]) -> bool:
    """Whether examples of this shape can be drawn: (H, W), or (H, W, 1) or (H, W, 3)."""
    return len(shape) in (2, 3) and (len(shape) == 2 or shape[2] in (1, 3)) and min(shape[:2]) > 1


def mistakes(
    pictures: Sequence[Picture], shape: Sequence[int], names: Sequence[str], *, title: str | None = None
) -> go.Figure:
    """Pictures that were classified wrong, with what they are and what they were taken for, and how surely.

    Args:
        pictures: The pictures, in the order in which they are to be seen.
        shape: Of one of them, (H, W) or with 1 or 3 channels behind.
        names: Of the classes.
        title: Above the pictures.

    Raises:
        BadInput: A shape that is no picture's, or values of another size.
    """
    if not is_picture(shape):
        raise BadInput(f"examples of shape {tuple(shape)} are no pictures; give (H, W), (H, W, 1) or (H, W, 3)")
    if not pictures:
        return nothing("no image was classified wrong", title=title)
    columns = min(_COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    cell, above = 104, 40
    figure = make_subplots(
        rows=rows,
        cols=columns,
        horizontal_spacing=8 / (columns * cell),
        vertical_spacing=above / (rows * (cell + above)) if rows > 1 else 0,
        subplot_titles=[_caption(one, names) for one in pictures],
    )
    for place, one in enumerate(pictures):
        hover = (
            f"label {_short(names[one.label])}<br>taken for {_short(names[one.prediction])} "
            f"({one.probability:.1%})<extra></extra>"
        )
        figure.add_trace(
            go.Image(z=_grey(one.values, shape), hovertemplate=hover),
            row=place // columns + 1,
            col=place % columns + 1,
        )
    figure.update_annotations(font={"size": 12, "color": INK, "family": FONT})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    top = 24 + above + (30 if title else 0)
    figure.update_layout(
        template=TEMPLATE,
        width=columns * cell + 48,
        height=rows * (cell + above) + top - above + 40,
        margin={"l": 24, "r": 24, "t": top, "b": 40},
    )
    if title:
        figure.update_layout(title={"text": title, "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14}})
    figure.add_annotation(
        text="label > what it was taken for, and how probable that was to the network",
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        xanchor="left",
        yanchor="top",
        yshift=-8,
        font={"size": 12, "color": MUTED},
    )
    return figure


def _caption(one: Picture, names: Sequence[str]) -> str:
    return f"{_short(names[one.label])} > {_short(names[one.prediction])}<br>{one.probability:.1%}"


def _short(name: str) -> str:
    """A class's name as Plotly is to write it: not too long, and no markup."""
    return html.escape(name if len(name) <= _SHORT else f"{name[: _SHORT - 1]}…")


def _grey(values: ArrayLike, shape: Sequence[int]) -> NDArray[np.uint8]:
    """A picture's levels, (H, W, 3), 0..255; values beyond 0..1 are scaled into it."""
    picture = np.asarray(values, dtype=np.float64)
    if picture.size != math.prod(shape):
        raise BadInput(f"a picture of {picture.size} values; one of shape {tuple(shape)} has {math.prod(shape)}")
    picture = picture.reshape(*shape[:2], -1)
    low, high = min(float(picture.min()), 0.0), max(float(picture.max()), 1.0)
    levels = np.rint(255 * (picture - low) / (high - low)).astype(np.uint8)
    return np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels
