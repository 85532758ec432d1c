"""Learning curves: of one training, and a grid of the best trials'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from hpsearch.errors import BadInput
from hpsearch.reports import MOST_CURVES
from hpsearch.reports.figures.style import (
    BREAK,
    LINE,
    NO_NAME,
    at,
    colour,
    empty_figure,
    field,
    nothing,
    panels,
    tell,
    words,
)
from hpsearch.reports.figures.trials import usual

# Values after each epoch, from epoch 1, (E,), of ``train_<quantity>`` and ``validation_<quantity>``.
Curves: TypeAlias = Mapping[str, ArrayLike]
Bounds: TypeAlias = Mapping[str, tuple[float, float] | None]
_KEY = "solid: validation, dashed: train"
_NONE = "there is no learning curve to plot"
_PARTS = ("train", "validation")


def training_curves(curves: Curves, *, bounds: Bounds | None = None, title: str | None = None) -> go.Figure:
    """Plot one training: a panel for each quantity, train dashed and validation solid.

    Args:
        curves: Its values after each epoch; see `Curves`.
        bounds: Of a quantity the least and the most that it can be.
    """
    quantities = dict.fromkeys(name.partition("_")[2] for name in curves)
    parts = {quantity: _by_part(curves, quantity) for quantity in quantities}
    rows = [values for of_quantity in parts.values() for values in of_quantity.values()]
    if not any(np.isfinite(row).any() for row in rows):
        return tell(nothing(_NONE, title=title), _NONE)
    ends = {quantity: _ends(parts[quantity].values(), (bounds or {}).get(quantity)) for quantity in quantities}
    cut = (f"{words(quantity)} {beyond}" for quantity, (_, beyond) in ends.items() if beyond)
    figure = panels(
        [words(quantity) for quantity in quantities],
        columns=2,
        panel_height=330,
        title=title,
        key="; ".join([_KEY, *cut]),
        x_title="epoch",
        shared=False,
        gaps=(70.0, 34.0),
    )
    for place, (quantity, of_quantity) in enumerate(parts.items()):
        for part, values in of_quantity.items():
            figure.add_trace(_trace(values, part), **at(place, 2))
        figure.update_xaxes(**_epochs(of_quantity.values()), **at(place, 2))
        figure.update_yaxes(range=ends[quantity][0], **at(place, 2))
    return tell(figure, f"By epoch: {', '.join(map(words, quantities))}.")


def curve_grid(
    rows: Sequence[Mapping[str, Any]],
    *,
    quantity: str,
    bounds: tuple[float, float] | None = None,
    parameter: str | None = None,
    columns: int = 5,
    title: str | None = None,
) -> go.Figure:
    """Plot the learning curves of the best trials, up to 20, as small panels with the same axes.

    Args:
        rows: One of each trial, the best first: ``score``, ``param:<name>`` (as in rows of
            `hpsearch.store.Store.trials`), and the curves of the quantity (see `Curves`).
        bounds: The least and the most that it can be.
        parameter: What stands in a panel's title beside rank and score, in trials that have it.
    """
    rows = rows[:MOST_CURVES]
    titles = []
    for rank, row in enumerate(rows, start=1):
        value = row.get(f"param:{parameter}") if parameter else None
        shown = f"{value:.2g}" if isinstance(value, float) else value
        titles.append(f"{rank}: {row['score']:.3g}" + (f", {parameter} {shown}" if value is not None else ""))
    parts = [_by_part(row, quantity) for row in rows]
    values = [curve for of_panel in parts for curve in of_panel.values()]
    y_range, beyond = _ends(values, bounds)
    if y_range is None:
        return tell(nothing(_NONE, title=title), _NONE)
    figure = panels(
        titles,
        columns=columns,
        panel_height=118,
        title=title,
        key="; ".join(filter(None, [_KEY, beyond])),
        x_title="epoch",
        y_title=words(quantity),
    )
    for place, of_panel in enumerate(parts):
        for part, curve in of_panel.items():
            figure.add_trace(_trace(curve, part, name=titles[place], width=1.8), **at(place, columns))
    figure.update_xaxes(**_epochs(values))
    figure.update_yaxes(range=y_range)
    whose = f"the best {len(rows)} trials" if len(rows) > 1 else "the best trial"
    text = f"{words(quantity).capitalize()} by epoch of {whose}, by rank and score: {'; '.join(titles[:5])}."
    return tell(figure, text, least_width=144 * columns)


def curves_together(
    groups: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    metric: str,
    bounds: tuple[float, float] | None = None,
    title: str | None = None,
) -> go.Figure:
    """Plot the scores of many trials after each epoch on the same axes, for those who watch.

    Args:
        groups: Curves by the trial's number, by the words for the group; a later group lies above an earlier one.
        metric: What the scores are.
        bounds: The least and the most that one can be.
    """
    known = {
        name: {number: _finite(curve) for number, curve in curves.items() if len(curve)}
        for name, curves in groups.items()
    }
    rows = [curve for curves in known.values() for curve in curves.values()]
    y_range, beyond = _ends(rows, bounds)
    if y_range is None:
        return tell(nothing(_NONE, title=title), _NONE)
    figure = empty_figure(title=title, key=beyond or None, legend=True)
    inks = (LINE, colour(0), colour(1))
    for place, (name, curves) in enumerate(known.items()):
        if not curves:
            continue
        ink, last = inks[place % len(inks)], place == len(known) - 1
        figure.add_scatter(
            x=[x for curve in curves.values() for x in (*range(1, len(curve) + 1), None)],
            y=[y for curve in curves.values() for y in (*curve.tolist(), None)],
            text=[f"trial {number}" for number, curve in curves.items() for _ in range(len(curve) + 1)],
            name=name,
            mode="lines+markers",
            line={"color": ink, "width": 2.6 if last else 1.4},
            marker={"color": ink, "size": 4},
            hovertemplate=f"{field('text')}{BREAK}epoch {field('x')}: {field('y:.4g')}{NO_NAME}",
        )
    figure.update_xaxes(title_text="epoch", **_epochs(rows))
    figure.update_yaxes(title_text=words(metric), range=y_range)
    counts = ", ".join(f"{len(curves)} {name}" for name, curves in known.items() if curves)
    return tell(figure, f"{words(metric).capitalize()} by epoch of trials: {counts}.")


def _by_part(curves: Mapping[str, Any], quantity: str) -> dict[str, NDArray[np.float64]]:
    """Return the curves of one quantity by part, train first; what is not finite becomes NaN, a gap in the line."""
    keys = {part: f"{part}_{quantity}" for part in _PARTS if f"{part}_{quantity}" in curves}
    if not keys:
        raise BadInput(f"a trial has no curve of its {words(quantity)}")
    return {part: _finite(curves[key]) for part, key in keys.items()}


def _finite(curve: ArrayLike) -> NDArray[np.float64]:
    row = np.asarray(curve, dtype=np.float64)
    return np.where(np.isfinite(row), row, np.nan)


def _trace(values: NDArray[np.float64], part: str, *, name: str = "", width: float = 2.2) -> go.Scatter:
    """Return one curve over its epochs, in the style of its part."""
    ink = colour(1 if part == "train" else 0)
    return go.Scatter(
        x=np.arange(1, len(values) + 1),
        y=values,
        name=f"{name}, {part}" if name else part,
        mode="lines" if len(values) > 1 else "markers",
        line={"color": ink, "width": width, "dash": "dash" if part == "train" else "solid"},
        marker={"color": ink, "symbol": "circle-open" if part == "train" else "circle"},
        showlegend=False,
        hovertemplate=f"epoch {field('x')}: {field('y:.4g')}",
    )


def _ends(
    rows: Iterable[NDArray[np.float64]], bounds: tuple[float, float] | None
) -> tuple[tuple[float, float] | None, str]:
    """Return the ends of a y axis on which curves do not look flat, and in words the values that it leaves out.

    It holds no more than the bounds. Of first epochs far from all others it holds none; see
    `hpsearch.reports.figures.trials.usual`. None: no finite value.
    """
    values = np.concatenate([np.empty(0), *rows])
    values = values[np.isfinite(values)]
    if not len(values):
        return None, ""
    low, high = usual(values, minimize=False)[0], usual(values, minimize=True)[1]
    left_out = [f"below {low:.2g}"] * bool(low > values.min()) + [f"above {high:.2g}"] * bool(high < values.max())
    words = f"{' and '.join(left_out)} left out" if left_out else ""
    air = 0.05 * (high - low) or 0.1 * abs(low) or 0.1
    low, high = low - air, high + air
    if bounds is not None:
        slack = 0.02 * (bounds[1] - bounds[0])
        low, high = max(low, bounds[0] - slack), min(high, bounds[1] + slack)
    return (low, high), words


def _epochs(rows: Iterable[NDArray[np.float64]]) -> dict[str, Any]:
    """Return the epochs' axis: from 1 to the last, with ticks at whole epochs only."""
    last = max((len(row) for row in rows), default=1)
    return {"range": [1 - 0.01 * last, last + 0.01 * last], **({"dtick": 1} if last <= 10 else {})}
