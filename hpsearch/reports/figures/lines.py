"""Labelled lines: anything over iterations, epochs or layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from hpsearch.errors import BadInput, nearest
from hpsearch.reports.figures.labels import MOST, label_ends
from hpsearch.reports.figures.style import colour, empty_figure, log_axis, nothing

if TYPE_CHECKING:
    from collections.abc import Iterable

Line: TypeAlias = ArrayLike | tuple[ArrayLike, ArrayLike]
"""y, (T,), at x = 1 .. T; or a tuple (x, y) of two such arrays."""


def floats(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Values as one row of numbers; what is not finite becomes NaN, a gap in the line.

    Args:
        name: What they are, for the error.
        values: (T,).

    Raises:
        BadInput: Not a row of numbers.
    """
    try:
        row = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name}: not a row of numbers; give one number for each point") from error
    if row.ndim != 1:
        raise BadInput(f"{name} has the shape {row.shape}; give one row of numbers, (T,)")
    return np.where(np.isfinite(row), row, np.nan)


def point_pairs(name: str, line: Line) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A line's x and y, each (T,).

    Raises:
        BadInput: They are no rows of numbers, or not of one length.
    """
    # A tuple of two numbers is a row of y.
    if isinstance(line, tuple) and len(line) == 2 and np.ndim(line[0]) == 1:
        x, y = floats(f"x of {name}", line[0]), floats(f"y of {name}", line[1])
        if x.shape != y.shape:
            raise BadInput(f"{name} has {len(x)} x and {len(y)} y; give as many of both")
        return x, y
    y = floats(name, cast("ArrayLike", line))
    return np.arange(1, len(y) + 1, dtype=np.float64), y


def padded(rows: Iterable[NDArray[np.float64]], *, log: bool, share: float = 0.05) -> tuple[float, float] | None:
    """The range of an axis that holds all values with some air, in ``log10`` on a log axis.

    Args:
        rows: Values; NaN, and on a log axis what is not above 0, is left out.
        log: Whether the axis is logarithmic.
        share: The air on each side, as a share of the values' spread.

    Returns:
        Lower and upper end, or None where no value can be drawn.
    """
    values = np.concatenate([np.empty(0), *rows])
    values = values[np.isfinite(values)]
    if log:
        values = np.log10(values[values > 0])
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    air = share * (high - low) if high > low else 0.1 if log else 0.1 * abs(low) or 0.1
    return low - air, high + air


def axis(title: str | None, ends: tuple[float, float], *, log: bool) -> dict[str, Any]:
    """An axis with a title and fixed ends (``log10`` of them on a log axis, as Plotly wants them)."""
    kind = log_axis(10 ** ends[0], 10 ** ends[1]) if log else {}
    return {"title": {"text": title}, "range": list(ends), **kind}


def _edges(
    name: str, band: tuple[ArrayLike, ArrayLike], x: NDArray[np.float64], *, log: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The outline of a band, there along its lower edge and back along its upper, where both can be drawn."""
    low, high = floats(f"lower edge of {name}", band[0]), floats(f"upper edge of {name}", band[1])
    if not low.shape == high.shape == x.shape:
        raise BadInput(f"the band of {name} has {len(low)} and {len(high)} edges for {len(x)} points; give as many")
    drawn = np.isfinite(low) & np.isfinite(high) & ((low > 0) | (not log))
    x, low, high = x[drawn], low[drawn], high[drawn]
    return np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])


def lines(
    series: Mapping[str, Line],
    *,
    x_title: str,
    y_title: str,
    log_x: bool = False,
    log_y: bool = False,
    dashes: Mapping[str, str] | None = None,
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    markers: bool = False,
    title: str | None = None,
) -> go.Figure:
    """Several lines over the same axes, each with its name at its end.

    Args:
        series: Of each name y, (T,), at x = 1 .. T, or a tuple (x, y). NaN makes a gap.
        x_title: What x is, with its unit.
        y_title: What y is, with its unit.
        log_x: A logarithmic x axis.
        log_y: A logarithmic y axis; what is not above 0 is left out.
        dashes: Plotly's dash of a name (``dash``, ``dot``, ``dashdot``); solid where it says nothing.
        bands: Of a name the lower and the upper edge of a shaded band around its line, two (T,), such as the least
            and the most of several seeds.
        markers: A dot at each point.
        title: Above the data.

    Raises:
        BadInput: Values that are no rows of numbers of one length, or a dash or band for a name that is not there.
    """
    dashes, bands = dashes or {}, bands or {}
    for what, names in (("dash", dashes), ("band", bands)):
        for name in names:
            if name not in series:
                raise BadInput(f"a {what} for {name!r}{nearest(name, series)}")
    points = {name: point_pairs(name, line) for name, line in series.items()}
    x_range = padded((x for x, _ in points.values()), log=log_x, share=0.03 if markers else 0.0)
    edges = {name: _edges(name, band, points[name][0], log=log_y) for name, band in bands.items()}
    every_y = [y for _, y in points.values()] + [y for _, y in edges.values()]
    y_range = padded(every_y, log=log_y)
    if x_range is None or y_range is None:
        return nothing("there is nothing to draw: no line has a point", title=title)
    many = len(points) > MOST
    figure = empty_figure(title=title, legend=many)
    ends = {}
    for place, (name, (x, y)) in enumerate(points.items()):
        shown = np.where(y > 0, y, np.nan) if log_y else y
        if name in edges:
            figure.add_trace(
                go.Scatter(
                    x=edges[name][0],
                    y=edges[name][1],
                    name=f"{name}, band",
                    mode="lines",
                    line={"width": 0},
                    fill="toself",
                    fillcolor=colour(place),
                    opacity=0.18,
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        figure.add_trace(
            go.Scatter(
                x=x,
                y=shown,
                name=name,
                mode="lines+markers" if markers or np.isfinite(shown).sum() == 1 else "lines",
                line={"color": colour(place), "width": 2.2, "dash": dashes.get(name, "solid")},
                marker={"size": 7},
                showlegend=many,
            )
        )
        last = shown[np.isfinite(shown)][-1:]
        ends[name] = (float(np.log10(last[0]) if log_y else last[0]) if len(last) else math.nan, colour(place))
    figure.update_xaxes(axis(x_title, x_range, log=log_x))
    figure.update_yaxes(axis(y_title, y_range, log=log_y))
    if not many:
        label_ends(figure, ends, y_range=y_range)
    return figure


def by_layer(
    series: Mapping[str, Sequence[float]],
    *,
    y_title: str,
    log_y: bool = True,
    dashes: Mapping[str, str] | None = None,
    title: str | None = None,
) -> go.Figure:
    """A quantity layer by layer: the spread of the activations, the norm of the gradient.

    Args:
        series: Of each name one value a layer, (L,), from the first layer.
        y_title: What the quantity is, with its unit.
        log_y: A logarithmic y axis; what is not above 0 is left out.
        dashes: Plotly's dash of a name.
        title: Above the data.

    Raises:
        BadInput: Values that are no rows of numbers, or a dash for a name that is not there.
    """
    figure = lines(series, x_title="layer", y_title=y_title, log_y=log_y, dashes=dashes, markers=True, title=title)
    figure.update_xaxes(dtick=1)
    return figure
