"""Learning curves in plain characters: charts, and sparklines for a column of a table."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WIDTH = 10
"""Characters of a sparkline that runs to the end."""
BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "0123456789"
"""Tenths of the scale, where there are no blocks."""
_LEFT = 11
"""Columns of a chart's axis labels."""


def chart(curves: Mapping[str, Sequence[float]], *, width: int = 72, height: int = 12) -> list[str]:
    """Return curves over epochs as lines of text, one mark a curve; where curves meet, the later one's mark is seen.

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


@dataclass(frozen=True, slots=True)
class Scale:
    """The common scale of the sparklines of a table, so that its rows compare.

    Args:
        low: Value of the lowest character.
        high: Value of the highest one.
        epochs: Epochs of a curve that runs to the end: a pruned one is as much shorter.
        blocks: Whether the output can show blocks; otherwise digits.
    """

    low: float
    high: float
    epochs: int
    blocks: bool = True

    @classmethod
    def of(cls, curves: Iterable[Sequence[float]], *, epochs: int | None = None, blocks: bool = True) -> Scale:
        """Return the scale that holds all finite values of some curves.

        Args:
            curves: (E,) values each, from epoch 1.
            epochs: Of a curve that runs to the end; None: those of the longest.
            blocks: Whether the output can show blocks.
        """
        listed = list(curves)
        finite = [value for curve in listed for value in curve if math.isfinite(value)]
        longest = max((len(curve) for curve in listed), default=0)
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        return cls(low, high, max(longest, epochs or 0, 1), blocks)

    @property
    def words(self) -> str:
        """The scale for a heading: ``0.09 to 0.79``, or with digits ``0 = 0.09, 9 = 0.79``."""
        if self.blocks:
            return f"{self.low:.2g} to {self.high:.2g}"
        return f"{DIGITS[0]} = {self.low:.2g}, {DIGITS[-1]} = {self.high:.2g}"

    def sparkline(self, curve: Sequence[float]) -> str:
        """Return a curve, (E,) values from epoch 1, as at most `WIDTH` characters, each the mean of its epochs.

        An infinite value stands at its end of the scale, a blank for NaN.
        """
        marks = BLOCKS if self.blocks else DIGITS
        columns = min(WIDTH, self.epochs)
        edges = [round(column * self.epochs / columns) for column in range(columns + 1)]
        stretches = (curve[start:end] for start, end in itertools.pairwise(edges))
        return "".join(self._mark(marks, stretch) for stretch in stretches if len(stretch)).rstrip()

    def _mark(self, marks: str, values: Sequence[float]) -> str:
        known = [min(max(value, self.low), self.high) for value in values if not math.isnan(value)]
        if not known:
            return " "
        mean = sum(known) / len(known)
        share = (mean - self.low) / (self.high - self.low) if self.high > self.low else 1.0
        return marks[min(int(share * len(marks)), len(marks) - 1)]


def shows_blocks(encoding: str | None) -> bool:
    """Return whether an output of this encoding can show blocks."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
