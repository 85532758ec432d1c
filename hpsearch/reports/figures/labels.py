"""Names written at the ends of lines, so that the eye needs no legend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go

MOST = 10
"""More names than this do not fit beside the data; they go into a legend."""
_SIZE = 13
_LINE = 17
"""The height of a line of text, in px."""


def apart(places: list[float], distance: float, *, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Places moved as little as needed to stand a distance apart, in their order.

    Args:
        places: Where they would stand.
        distance: The least between neighbours; they are spread evenly where there is no room for it.
        low: The lowest that one may stand.
        high: The highest.

    Returns:
        A place for each, in the order given.
    """
    if not places:
        return []
    distance = min(distance, (high - low) / max(len(places) - 1, 1))
    order = sorted(range(len(places)), key=places.__getitem__)
    # Groups that touch are merged and stand around the middle of what their members want.
    groups: list[tuple[list[int], float]] = []
    for index in order:
        group, middle = [index], min(max(places[index], low), high)
        while groups and middle - groups[-1][1] < (len(group) + len(groups[-1][0])) / 2 * distance - 1e-12:
            below, _ = groups.pop()
            group = below + group
            half = (len(group) - 1) / 2 * distance
            middle = min(max(sum(places[i] for i in group) / len(group), low + half), high - half)
        groups.append((group, middle))
    moved = [0.0] * len(places)
    for group, middle in groups:
        for step, index in enumerate(group):
            moved[index] = middle + (step - (len(group) - 1) / 2) * distance
    return moved


def label_ends(
    figure: go.Figure,
    ends: Mapping[str, tuple[float, str]],
    *,
    y_range: tuple[float, float],
    height: int = 420,
) -> None:
    """Write each name beside the end of its line, to the right of the data, in the line's colour.

    Args:
        figure: With one pair of axes; its right margin is widened.
        ends: Of each name: where its line ends, in the unit of ``y_range``, and its colour.
        y_range: The lower and upper end of the y axis (``log10`` of the values on a log axis).
        height: Of the plotting area in px, as far as it is known.
    """
    low, high = y_range
    known = {name: (end - low) / (high - low) for name, (end, _) in ends.items() if math.isfinite(end)}
    for name, place in zip(known, apart(list(known.values()), _LINE / height), strict=True):
        figure.add_annotation(
            text=name,
            xref="paper",
            yref="paper",
            x=1,
            y=place,
            xshift=6,
            xanchor="left",
            yanchor="middle",
            align="left",
            font={"size": _SIZE, "color": ends[name][1]},
        )
    longest = max(map(len, known), default=0)
    figure.update_layout(margin={"r": max(28, 24 + math.ceil(8.4 * longest))})
