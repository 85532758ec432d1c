"""Learning curves: one training, several, and grids of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from hpsearch.errors import BadInput, nearest
from hpsearch.reports.figures.labels import MOST, label_ends
from hpsearch.reports.figures.lines import axis, floats, padded
from hpsearch.reports.figures.style import (
    KEY,
    TRAIN,
    VALIDATION,
    colour,
    empty_figure,
    needs,
    nothing,
    panels,
    tell,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Curves: TypeAlias = Mapping[str, ArrayLike]
"""One training's values after each epoch, from epoch 1: any of ``train_loss``, ``train_accuracy``,
``validation_loss`` and ``validation_accuracy``, each (E,)."""
Quantity: TypeAlias = Literal["accuracy", "loss"]
ACCURACY_RANGE = (-0.02, 1.02)
MOST_PANELS = 20
_NONE = "there is no learning curve to draw"
_KNOWN = tuple(f"{part}_{quantity}" for part in ("train", "validation") for quantity in ("loss", "accuracy"))


def _two(name: str, curves: Curves, quantity: str) -> dict[str, NDArray[np.float64]]:
    """The curves of one quantity by part, train first."""
    if quantity not in ("accuracy", "loss"):
        raise BadInput(f"quantity = {quantity!r}; give accuracy or loss")
    found = {
        part: floats(f"{part}_{quantity} of {name}", curves[f"{part}_{quantity}"])
        for part in ("train", "validation")
        if f"{part}_{quantity}" in curves
    }
    if not found:
        raise BadInput(f"{name} has no {quantity}; it has {', '.join(map(str, curves)) or 'nothing'}")
    return found


def _trace(values: NDArray[np.float64], *, part: str, name: str, ink: str, width: float = 2.2) -> go.Scatter:
    """One curve over its epochs, in the style of its part."""
    return go.Scatter(
        x=np.arange(1, len(values) + 1),
        y=values,
        name=f"{name}, {part}" if name else part,
        mode="lines" if len(values) > 1 else "markers",
        line={"color": ink, "width": width, "dash": TRAIN if part == "train" else VALIDATION},
        marker={"color": ink, "symbol": "circle-open" if part == "train" else "circle"},
        showlegend=False,
        hovertemplate="epoch %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
    )


def _y_range(quantity: str, rows: Iterable[NDArray[np.float64]], *, log: bool = False) -> tuple[float, float] | None:
    found = padded(rows, log=log)
    if found is None or quantity == "accuracy":
        return found and ACCURACY_RANGE
    return found if log else (min(found[0], 0.0), found[1])


def _epochs(rows: Iterable[NDArray[np.float64]]) -> dict[str, Any]:
    """The epochs' axis: from 1 to the last, with ticks at whole epochs only."""
    last = max((len(row) for row in rows), default=1)
    return {"range": [1 - 0.01 * last, last + 0.01 * last], **({"dtick": 1} if last <= 10 else {})}


def learning_curves(
    curves: Mapping[str, Curves], *, quantity: Quantity = "accuracy", log_y: bool = False, title: str | None = None
) -> go.Figure:
    """The learning curves of one or several trainings: train dashed, validation solid, a colour a name.

    Args:
        curves: Of each name its values after each epoch; see `Curves`.
        quantity: ``accuracy``, from 0 to 1, or ``loss``.
        log_y: A logarithmic y axis, for losses.
        title: Above the data.

    Raises:
        BadInput: A training without the quantity, or values that are no rows of numbers.
    """
    parts = {name: _two(name, of_name, quantity) for name, of_name in curves.items()}
    rows = [values for of_name in parts.values() for values in of_name.values()]
    log_y = log_y and quantity == "loss"
    y_range = _y_range(quantity, rows, log=log_y)
    if y_range is None:
        return nothing(_NONE, title=title)
    many = len(parts) > MOST
    figure = empty_figure(title=title, key=KEY, legend=many)
    ends = {}
    for place, (name, of_name) in enumerate(parts.items()):
        for part, values in of_name.items():
            trace = _trace(values, part=part, name=name, ink=colour(place))
            figure.add_trace(trace.update(legendgroup=name, showlegend=many and part == list(of_name)[-1]))
            # The validation curve comes last, and the name stands at its end.
            last = values[np.isfinite(values) & ((values > 0) | (not log_y))][-1:]
            end = float(np.log10(last[0]) if log_y else last[0]) if len(last) else math.nan
            ends[name] = (end, colour(place))
    figure.update_xaxes(title_text="epoch", **_epochs(rows))
    figure.update_yaxes(axis(quantity, y_range, log=log_y))
    if not many:
        label_ends(figure, ends, y_range=y_range)
    return figure


def training_history(curves: Curves, *, title: str | None = None) -> go.Figure:
    """One training: its loss and its accuracy side by side, train dashed and validation solid.

    Args:
        curves: Its values after each epoch; see `Curves`.
        title: Above the panels.

    Raises:
        BadInput: An unknown name of a curve, or values that are no rows of numbers.
    """
    for name in curves:
        if name not in _KNOWN:
            raise BadInput(f"no learning curve {name!r}{nearest(name, _KNOWN)}")
    quantities = [quantity for quantity in ("loss", "accuracy") if any(name.endswith(quantity) for name in curves)]
    parts = {quantity: _two("the training", curves, quantity) for quantity in quantities}
    rows = [values for of_quantity in parts.values() for values in of_quantity.values()]
    if not any(np.isfinite(row).any() for row in rows):
        return nothing(_NONE, title=title)
    figure = panels(
        quantities, columns=2, panel_height=330, title=title, key=KEY, x_title="epoch", shared=False, gaps=(70.0, 34.0)
    )
    for column, (quantity, of_quantity) in enumerate(parts.items(), start=1):
        for part, values in of_quantity.items():
            ink = colour(1 if part == "train" else 0)
            figure.add_trace(_trace(values, part=part, name="", ink=ink), row=1, col=column)
        y_range = _y_range(quantity, of_quantity.values())
        figure.update_xaxes(**_epochs(rows), row=1, col=column)
        figure.update_yaxes(range=y_range, row=1, col=column)
    return figure


def curve_grid(
    rows: Sequence[Mapping[str, Any]],
    *,
    quantity: Quantity = "accuracy",
    parameter: str | None = "lr",
    columns: int = 5,
    title: str | None = None,
) -> go.Figure:
    """The learning curves of the best trials, up to 20, as small panels with the same axes.

    Args:
        rows: One of each trial, the best first: ``score``, ``param:<name>`` (as in rows of
            `hpsearch.store.Store.trials`), and the curves of the quantity (see `Curves`).
        quantity: ``accuracy``, from 0 to 1, or ``loss``.
        parameter: What stands in a panel's title beside rank and score, in trials that have it.
        columns: Panels side by side.
        title: Above the panels.

    Raises:
        BadInput: A row without a score or without the quantity, or values that are no rows of numbers.
    """
    rows = rows[:MOST_PANELS]
    titles = []
    for rank, row in enumerate(rows, start=1):
        if "score" not in row:
            raise BadInput(f"row {rank} has no score{nearest('score', map(str, row))}")
        value = row.get(f"param:{parameter}") if parameter else None
        shown = f"{value:.2g}" if isinstance(value, float) else value
        titles.append(f"{rank}: {row['score']:.3g}" + (f", {parameter} {shown}" if value is not None else ""))
    parts = [_two(f"row {rank}", row, quantity) for rank, row in enumerate(rows, start=1)]
    figure = needs(_grid(titles, parts, columns=columns, quantity=quantity, title=title), 144 * columns)
    shown = "; ".join(titles[:5])
    many = f"the best {len(rows)} trials" if len(rows) > 1 else "the best trial"
    return tell(figure, f"{quantity.capitalize()} by epoch of {many}, by rank and score: {shown}." if rows else _NONE)


def _grid(
    titles: Sequence[str],
    parts: Sequence[Mapping[str, NDArray[np.float64]]],
    *,
    columns: int,
    quantity: str,
    title: str | None,
) -> go.Figure:
    values = [row for of_panel in parts for row in of_panel.values()]
    y_range = _y_range(quantity, values)
    if y_range is None:
        return nothing(_NONE, title=title)
    figure = panels(titles, columns=columns, panel_height=118, title=title, key=KEY, x_title="epoch", y_title=quantity)
    for place, of_panel in enumerate(parts):
        for part, row in of_panel.items():
            ink = colour(1 if part == "train" else 0)
            trace = _trace(row, part=part, name=titles[place], ink=ink, width=1.8)
            figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
    figure.update_xaxes(**_epochs(values))
    figure.update_yaxes(range=y_range)
    return figure


def curves_by_scale(
    curves: Mapping[float, Mapping[str, ArrayLike]],
    *,
    y_title: str = "training accuracy",
    dashes: Mapping[str, str] | None = None,
    title: str | None = None,
) -> go.Figure:
    """One panel for each initial scale of the weights, four in a row: with batch normalisation and without.

    Args:
        curves: Of each scale (the standard deviation of the initial weights): of each name (``batch norm``,
            ``plain``) its accuracy after each epoch, (E,).
        y_title: What the curves are.
        dashes: Plotly's dash of a name; solid where it says nothing.
        title: Above the panels.

    Raises:
        BadInput: Values that are no rows of numbers.
    """
    names = list(dict.fromkeys(name for of_scale in curves.values() for name in of_scale))
    parts = [
        {name: floats(f"{name} at {scale}", values) for name, values in of_scale.items()}
        for scale, of_scale in curves.items()
    ]
    rows = [row for of_scale in parts for row in of_scale.values()]
    if not any(np.isfinite(row).any() for row in rows):
        return nothing(_NONE, title=title)
    titles = [f"std {scale:.3g}" for scale in curves]
    figure = panels(titles, columns=4, panel_height=126, title=title, key=" ", x_title="epoch", y_title=y_title)
    for place, of_scale in enumerate(parts):
        for name, row in of_scale.items():
            figure.add_trace(
                go.Scatter(
                    x=np.arange(1, len(row) + 1),
                    y=row,
                    name=name,
                    legendgroup=name,
                    # Once in the legend, from the first panel that has it.
                    showlegend=not any(name in earlier for earlier in parts[:place]),
                    mode="lines" if len(row) > 1 else "markers",
                    line={
                        "color": colour(names.index(name)),
                        "width": 2,
                        "dash": (dashes or {}).get(name, "solid"),
                    },
                    hovertemplate=f"{words(titles[place])}, epoch %{{x}}: %{{y:.4g}}<extra>{name}</extra>",
                ),
                row=place // 4 + 1,
                col=place % 4 + 1,
            )
    # In the place of the key: above the titles of the panels.
    drawn = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    figure.update_layout(legend={"x": 0, "xanchor": "left", "y": 1 + 18 / drawn})
    figure.update_xaxes(**_epochs(rows))
    figure.update_yaxes(range=ACCURACY_RANGE)
    return figure
