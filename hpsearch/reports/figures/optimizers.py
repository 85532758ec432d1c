"""The paths that optimizers take over a function of two variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from hpsearch.errors import BadInput
from hpsearch.reports.figures.style import INK, colour, nothing, panels

Function: TypeAlias = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Values of f(x, y) at arrays x and y of one shape."""
_MESH = 61


def bowl(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chapter's function, twenty times as steep in y^2 as in x^2: x^2 / 20 + y^2."""
    return x**2 / 20 + y**2


def _window(along: list[NDArray[np.float64]], minimum: float, farthest: float) -> tuple[float, float]:
    """The range of one axis: where the paths are, but no farther out than ``farthest`` from the minimum."""
    values = np.concatenate([*along, np.array([minimum])])
    values = np.clip(values[np.isfinite(values)], minimum - farthest, minimum + farthest)
    low, high = float(values.min()), float(values.max())
    air = 0.12 * (high - low) or 1.0
    return low - air, high + air


def optimizer_paths(
    paths: Mapping[str, ArrayLike],
    f: Function = bowl,
    *,
    minimum: tuple[float, float] = (0.0, 0.0),
    columns: int | None = None,
    title: str | None = None,
) -> go.Figure:
    """One panel for each optimizer: the contours of a function, the path taken, and the minimum, a star.

    Args:
        paths: Of each name its points, (T + 1, 2), the starting point first.
        f: The function that was minimised.
        minimum: Where its minimum is, (x, y).
        columns: Panels side by side; by default two, or three for five names and more.
        title: Above the panels.

    Raises:
        BadInput: A path that is not an array (T + 1, 2) of numbers.
    """
    points = {}
    for name, path in paths.items():
        try:
            points[name] = np.asarray(path, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise BadInput(f"the path of {name}: not an array of numbers; give (T + 1, 2)") from error
        if points[name].ndim != 2 or points[name].shape[1] != 2 or not len(points[name]):
            raise BadInput(f"the path of {name} has the shape {points[name].shape}; give (T + 1, 2)")
    if not points:
        return nothing("there is no path to draw", title=title)
    # A path that flies off does not shrink the others to a dot.
    starts = np.stack([path[0] for path in points.values()])
    farthest = 1.5 * float(np.nanmax(np.abs(starts - np.array(minimum)), initial=1.0))
    x_range = _window([path[:, 0] for path in points.values()], minimum[0], farthest)
    y_range = _window([path[:, 1] for path in points.values()], minimum[1], farthest)
    columns = columns or (2 if len(points) < 5 else 3)
    rows = -(-len(points) // columns)
    figure = panels(
        list(points),
        columns=columns,
        panel_height=max(150, 400 // rows),
        title=title,
        x_title="x",
        y_title="y",
    )
    x, y = np.linspace(*x_range, _MESH), np.linspace(*y_range, _MESH)
    # Contours at even steps of the root: as dense at the bottom of a bowl as at its rim.
    height = f(*np.meshgrid(x, y))
    root = np.sqrt(np.maximum(height - np.nanmin(height), 0.0))
    for place, (name, path) in enumerate(points.items()):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        figure.add_trace(
            go.Contour(
                x=x,
                y=y,
                z=root,
                ncontours=12,
                contours={"coloring": "none", "showlabels": False},
                line={"color": "#BDBDBD", "width": 1},
                showscale=False,
                showlegend=False,
                hoverinfo="skip",
                name="f",
            ),
            **at,
        )
        figure.add_trace(
            go.Scatter(
                x=path[:, 0],
                y=path[:, 1],
                name=name,
                mode="lines+markers",
                line={"color": colour(place), "width": 1.8},
                marker={"size": 5},
                showlegend=False,
                text=[f"step {step}" for step in range(len(path))],
                hovertemplate="%{text}: (%{x:.3g}, %{y:.3g})<extra>%{fullData.name}</extra>",
            ),
            **at,
        )
        figure.add_trace(
            go.Scatter(
                x=[minimum[0]],
                y=[minimum[1]],
                name="minimum",
                mode="markers",
                marker={"symbol": "star", "size": 13, "color": INK, "line": {"color": "white", "width": 1}},
                showlegend=False,
                hovertemplate="minimum (%{x:.3g}, %{y:.3g})<extra></extra>",
            ),
            **at,
        )
    figure.update_xaxes(range=x_range, showgrid=False)
    figure.update_yaxes(range=y_range, showgrid=False)
    return figure
