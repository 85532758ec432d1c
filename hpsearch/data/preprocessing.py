"""The step from raw values to a network's inputs: a record that training, predicting and exporting share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadInput

GREY_LEVELS = 255.0  # the brightest grey level of a byte
_MOST_DIMENSIONS = 8
_DIVISORS = 1e-30, 1e30  # bounds that float32 holds with room to spare


def is_picture(shape: Sequence[int]) -> bool:
    """Return whether examples of this shape can be shown: (H, W), or (H, W, 1) or (H, W, 3)."""
    return len(shape) in (2, 3) and (len(shape) == 2 or shape[2] in (1, 3)) and min(shape[:2]) > 1


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Raw examples of one shape, flattened and divided by one number.

    Raises:
        BadInput: A shape without values, or a divisor or range that makes no sense.
    """

    shape: tuple[int, ...]  # of one raw example: ``(28, 28)`` for an image, ``(D,)`` for a row of a table
    dtype: str = "uint8"  # numPy's name for the type of the raw values that were trained on; ``uint8`` are grey levels
    divisor: float = GREY_LEVELS  # raw values are divided by it: 255 for grey levels, 1 for all others
    low: float = 0.0  # the least raw value in training; 0 for grey levels
    high: float = GREY_LEVELS  # the greatest; 255 for grey levels

    def __post_init__(self) -> None:
        if not 1 <= len(self.shape) <= _MOST_DIMENSIONS or min(self.shape) < 1:
            raise BadInput(f"examples of shape {self.shape}; give 1 to {_MOST_DIMENSIONS} sizes of at least 1")
        numbers = self.divisor, self.low, self.high
        least, most = _DIVISORS
        if not all(map(math.isfinite, numbers)) or not least <= self.divisor <= most or self.low > self.high:
            raise BadInput(
                f"examples of {self.low} .. {self.high}, divided by {self.divisor}; give a range and a number from "
                f"{least:g} to {most:g}"
            )

    @classmethod
    def of(cls, x: npt.NDArray[Any]) -> Preprocessing:
        """Return the preprocessing of raw examples: grey levels are divided by 255, other numbers stay as they are.

        Args:
            x: (N, ...) raw training examples, at least one.
        """
        shape = tuple(x.shape[1:])
        if x.dtype == np.uint8:
            return cls(shape)
        return cls(shape, x.dtype.name, 1.0, float(x.min()), float(x.max()))

    @property
    def inputs(self) -> int:
        """D, the number of inputs of a network over such examples."""
        return math.prod(self.shape)

    def plain(self) -> dict[str, Any]:
        """Return all of it as JSON-able data."""
        plain = dataclasses.asdict(self)
        return plain | {name: float(plain[name]) for name in ("divisor", "low", "high")}

    def apply(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the inputs of a network, (N, D) float32.

        Args:
            raw: (N, ...) numbers, D an example.
        """
        rows = raw.reshape(len(raw), self.inputs)
        if self.divisor == 1:
            return np.ascontiguousarray(rows, dtype=np.float32)
        inputs = rows.astype(np.float32)  # always a copy
        inputs /= np.float32(self.divisor)
        return inputs
