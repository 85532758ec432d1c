"""A confusion matrix for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.store.queries import Columns

_MOST_CLASSES = 12
"""More columns than this do not fit a line of 80 characters."""
_WIDEST = 5
"""Of a class's name in a heading, in characters."""
_MOST_PAIRS = 15


def confusion_table(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Columns:
    """Which classes were taken for which, in 80 columns.

    Args:
        matrix: (C, C) counts, label by row and prediction by column.
        names: Of the C classes.

    Returns:
        The whole matrix, with the share of each class that was right, where it fits; otherwise the pairs of classes
        that were mistaken most often.
    """
    if len(names) <= _MOST_CLASSES and max(map(len, names)) <= _WIDEST:
        return _whole(matrix, names)
    pairs = [
        (matrix[label][taken], label, taken)
        for label in range(len(names))
        for taken in range(len(names))
        if label != taken and matrix[label][taken]
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    worst = pairs[:_MOST_PAIRS]
    return {
        "label": [names[label] for _, label, _ in worst],
        "taken for": [names[taken] for _, _, taken in worst],
        "images": [many for many, *_ in worst],
        "of the label's": [sum(matrix[label]) for _, label, _ in worst],
    }


def _whole(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Columns:
    table: dict[str, list[Any]] = {"label": list(names)}
    for taken, name in enumerate(names):
        # No zeros: what was mistaken stands out.
        table[name] = [row[taken] or None for row in matrix]
    table["right"] = [f"{row[at] / sum(row):.0%}" if sum(row) else None for at, row in enumerate(matrix)]
    return table
