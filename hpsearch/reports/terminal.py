"""Learning curves for a terminal: plain characters, 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LEFT = 11
"""Columns of the axis' labels."""


def chart(curves: Mapping[str, Sequence[float]], *, width: int = 72, height: int = 12) -> list[str]:
    """Curves over epochs as lines of text, one mark a curve; where curves meet, the later one's mark is seen.

    Args:
        curves: By one-character mark: (E,) values, of the same E for all, from epoch 1.
        width: Columns of the whole chart.
        height: Rows of the part with marks.

    Returns:
        Rows from the top, with values on the left and epochs below; nothing for no epochs.
    """
    values = [value for curve in curves.values() for value in curve]
    if not values:
        return []
    low, high = min(values), max(values)
    epochs = max(len(curve) for curve in curves.values())
    columns = min(width - _LEFT - 1, max(epochs, 20))
    grid = [[" "] * columns for _ in range(height)]
    for mark, curve in curves.items():
        for column in range(columns):
            # Each column shows the epoch at its place: some are left out, or of a few each takes several columns.
            value = curve[round(column * (len(curve) - 1) / (columns - 1))]
            share = (value - low) / (high - low) if high > low else 0.5
            grid[round((1 - share) * (height - 1))][column] = mark
    labels = {0: high, height - 1: low}
    lines = [
        f"{labels[row]:{_LEFT - 1}.3g} |{''.join(marks)}" if row in labels else f"{'':{_LEFT}}|{''.join(marks)}"
        for row, marks in enumerate(grid)
    ]
    under = f"{'':{_LEFT}}+{'-' * columns}"
    last = str(epochs) if epochs > 1 else ""
    return [*(line.rstrip() for line in lines), under, f"{'':{_LEFT + 1}}1{last:>{columns - 1}}  epoch"]
