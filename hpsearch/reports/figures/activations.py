"""Histograms of activations, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from hpsearch.errors import BadInput
from hpsearch.reports.figures.style import PANEL_FONT, colour, nothing, panels

BINS = 30
_MANY_ZEROS = 0.1


def _range_of(layers: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    values = np.concatenate([np.zeros(1), *layers])
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _bars(values: NDArray[np.float64], ends: tuple[float, float]) -> tuple[NDArray[np.float64], str]:
    """The share of the values in each bin, and a line about them.

    Exact zeros, which ReLU makes of half of all values, are told and not drawn: their bar would hide the rest.
    """
    if not len(values):
        return np.zeros(BINS), "no values"
    spread = f"std {_short(float(values.std()))}"
    zeros = float((values == 0).mean())
    if _MANY_ZEROS <= zeros < 1:
        values, spread = values[values != 0], f"{spread}, {zeros:.0%} zero"
    counts, _ = np.histogram(values, bins=BINS, range=ends)
    return counts / len(values), spread


def activation_histograms(
    values: Mapping[str, Sequence[ArrayLike]],
    *,
    x_range: tuple[float, float] | None = None,
    x_title: str = "activation",
    title: str | None = None,
) -> go.Figure:
    """Histograms of the activations: a row for each scheme of initial weights, a column for each layer.

    Each panel's bars are scaled to its own highest, and its standard deviation stands in it. Where a tenth of a
    layer's values or more are exactly zero, their share is written and the bars are of the others.

    Args:
        values: Of each scheme the activations of each layer, arrays of any shape.
        x_range: Of all panels, such as (0, 1) of the sigmoid and (-1, 1) of tanh; by default that of each
            scheme's own values.
        x_title: What the values are.
        title: Above the panels.

    Raises:
        BadInput: Values that are not numbers.
    """
    schemes = {}
    for scheme, layers in values.items():
        try:
            rows = [np.asarray(layer, dtype=np.float64).ravel() for layer in layers]
        except (TypeError, ValueError) as error:
            raise BadInput(f"the activations of {scheme}: not arrays of numbers; give one a layer") from error
        schemes[scheme] = [row[np.isfinite(row)] for row in rows]
    columns = max(map(len, schemes.values()), default=0)
    if not columns:
        return nothing("there are no activations to draw", title=title)
    titles = [f"layer {layer}" for layer in range(1, columns + 1)] + [""] * (columns * (len(schemes) - 1))
    height = max(76, min(150, 300 // len(schemes)))
    gap = 38.0 if x_range is None else 16.0
    figure = panels(
        titles, columns=columns, panel_height=height, title=title, x_title=x_title, shared=False, gaps=(12.0, gap)
    )
    for row, (scheme, layers) in enumerate(schemes.items(), start=1):
        ends = x_range or _range_of(layers)
        edges = np.linspace(*ends, BINS + 1)
        for column, layer in enumerate(layers, start=1):
            share, note = _bars(layer, ends)
            figure.add_trace(
                go.Bar(
                    x=(edges[:-1] + edges[1:]) / 2,
                    y=share,
                    width=(ends[1] - ends[0]) / BINS,
                    name=scheme,
                    marker={"color": colour(row - 1), "line": {"width": 0}},
                    showlegend=False,
                    hovertemplate=f"layer {column}, %{{x:.3g}}: %{{y:.1%}}<extra>{scheme}</extra>",
                ),
                row=row,
                col=column,
            )
            # Room above the highest bar for the words.
            top = 1.38 * float(share.max() or 1.0)
            figure.update_yaxes(range=[0, top], row=row, col=column)
            figure.add_annotation(
                text=note,
                xref="x domain",
                yref="y domain",
                x=0.98,
                y=0.99,
                xanchor="right",
                yanchor="top",
                font={"size": PANEL_FONT},
                row=row,
                col=column,
            )
        air = 0.03 * (ends[1] - ends[0])
        figure.update_xaxes(range=[ends[0] - air, ends[1] + air], nticks=4, row=row)
        if max(map(abs, ends)) >= 1000:
            figure.update_xaxes(tickformat="~s", nticks=3, row=row)
        if x_range is not None and row < len(schemes):
            figure.update_xaxes(showticklabels=False, row=row)
        figure.update_yaxes(title={"text": scheme, "font": {"size": 13}}, row=row, col=1)
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False)
    figure.update_layout(bargap=0)
    return figure
