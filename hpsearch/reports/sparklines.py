"""Learning curves as a few characters each, for a column of a table: all on one scale, so that rows compare."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH = 10
"""Characters of a curve that runs to the end."""
BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "0123456789"
"""Where there are no blocks: tenths of the scale."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the lowest and the highest character stand for, and how long a whole curve is.

    Args:
        low: Value of the lowest character.
        high: Of the highest one.
        epochs: Epochs of a curve that runs to the end: one that was stopped early is as much shorter.
        blocks: Whether the output can show blocks; otherwise digits.
    """

    low: float
    high: float
    epochs: int
    blocks: bool = True

    @classmethod
    def of(cls, curves: Iterable[Sequence[float]], *, epochs: int | None = None, blocks: bool = True) -> Scale:
        """The scale that holds all of some curves.

        Args:
            curves: (E,) values each, from epoch 1. What is not finite has no say.
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

    def draw(self, curve: Sequence[float]) -> str:
        """A curve in characters, each the mean of the epochs at its place.

        Args:
            curve: (E,) values from epoch 1.

        Returns:
            At most `WIDTH` characters; an infinite value stands at its end of the scale, a blank for what is no number.
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
    """Whether an output of this encoding can show blocks."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
