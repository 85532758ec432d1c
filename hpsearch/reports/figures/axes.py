"""A hyperparameter as an axis: its scale, its ranges, and the positions of its values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hpsearch.errors import BadInput
from hpsearch.reports.figures.style import log_axis, words
from hpsearch.reports.figures.trials import value_words
from hpsearch.space import Categorical, Float, Int, Parameter, from_scale, to_scale

_HALF = 0.42
"""Half the width of a choice's stretch of the axis; choices stand 1 apart."""


class ParameterAxis:
    """An axis for the values of one hyperparameter, wide enough for all its ranges.

    Choices stand at 0, 1, ..., in the order of the lists; their trials are spread about them so that they do not hide
    each other.

    Args:
        name: Of the hyperparameter.
        parameters: Its ranges, stage by stage; at least one. The first says whether the axis is logarithmic.

    Raises:
        BadInput: Choices in one stage, numbers in another.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        self.name = name
        lists = [parameter for parameter in parameters if isinstance(parameter, Categorical)]
        ranges = [parameter for parameter in parameters if not isinstance(parameter, Categorical)]
        if lists and ranges:
            raise BadInput(f"{name} is a list of choices in one stage and a range in another; plot them separately")
        self._choices = list(dict.fromkeys(choice for parameter in lists for choice in parameter.choices))
        self._scale: Float | Int | None = ranges[0] if ranges else None
        self.log = self._scale is not None and self._scale.log
        self._low = min((parameter.low for parameter in ranges), default=0.0)
        self._high = max((parameter.high for parameter in ranges), default=0.0)
        if self.log and self._low <= 0:
            raise BadInput(f"{name} is on a log scale in one stage and reaches {self._low!r} in another")

    def positions(self, values: Iterable[Any], *, step: float = 0.618034) -> list[float]:
        """Return the positions of values; NaN for one that is missing or no choice.

        Args:
            values: Of the parameter.
            step: How far along its choice's stretch each trial stands from the one before, wrapping around; 0: all at
                the choice.
        """
        if self._scale is not None:
            return [math.nan if value is None else float(value) for value in values]
        # Multiples of the golden section, or the like, spread evenly, whatever their number.
        return [
            self._choices.index(value) + (0.6 * ((place * step) % 1 - 0.5) if step else 0.0)
            if value in self._choices
            else math.nan
            for place, value in enumerate(values)
        ]

    def spans(self, parameter: Parameter) -> list[tuple[float, float]]:
        """Return the stretches of the axis that a range covers: one, or one for each run of neighbouring choices."""
        if not isinstance(parameter, Categorical):
            return [(float(parameter.low), float(parameter.high))]
        spans: list[tuple[float, float]] = []
        for place in sorted(self._choices.index(choice) for choice in parameter.choices):
            if spans and place - spans[-1][1] < 1:
                spans[-1] = (spans[-1][0], place + _HALF)
            else:
                spans.append((place - _HALF, place + _HALF))
        return spans

    def fraction(self, position: float) -> float:
        """Return how far along the axis a position stands, from 0 to 1."""
        low, high = self.range
        on_scale = position if self._scale is None else to_scale(self._scale, position)
        return (on_scale - low) / (high - low)

    def at(self, fraction: float) -> float:
        """Return the position at a fraction of the axis."""
        low, high = self.range
        on_scale = low + fraction * (high - low)
        return on_scale if self._scale is None else from_scale(self._scale, on_scale)

    @property
    def range(self) -> tuple[float, float]:
        """The ends of the axis, with some air; ``log10`` of the values on a log axis."""
        if self._scale is None:
            return -0.6, len(self._choices) - 0.4
        low, high = to_scale(self._scale, self._low), to_scale(self._scale, self._high)
        air = 0.03 * (high - low)
        return low - air, high + air

    def layout(self, *, short: bool = False) -> dict[str, Any]:
        """Return the axis as Plotly's properties.

        Args:
            short: For a small panel: few ticks, and long choices are cut.
        """
        title = f"{words(self.name)}{', log scale' if self.log else ''}"
        axis: dict[str, Any] = {"title": {"text": title}, "range": list(self.range)}
        if self._scale is None:
            longest = max(4, (28 if short else 80) // len(self._choices))
            texts = [cut(choice, longest) for choice in self._choices]
            return axis | {"tickvals": list(range(len(texts))), "ticktext": texts, "showgrid": False}
        if self.log:
            log = log_axis(self.at(0), self.at(1))
            return axis | log | ({"nticks": min(log["nticks"], 5)} if short else {})
        whole = isinstance(self._scale, Int) and self._high - self._low <= 8
        return axis | ({"tick0": self._low, "dtick": 1} if whole else {"nticks": 5} if short else {})

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return at most so many round values on the axis, or all its choices, as fractions of it with their texts."""
        if self._scale is None:
            return [(self.fraction(place), cut(choice, 12)) for place, choice in enumerate(self._choices)]
        powers = _decades(self._low, self._high, most) if self.log else []
        if len(powers) > 1:
            return [(self.fraction(10.0**power), f"10<sup>{power}</sup>") for power in powers]
        values = _round_values(self._low, self._high, most, whole=isinstance(self._scale, Int))
        return [(self.fraction(value), f"{value:.4g}") for value in values]


def cut(choice: object, longest: int) -> str:
    """Return a choice in words, cut to a length."""
    text = str(choice)
    return value_words(choice if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}")


def _decades(low: float, high: float, most: int) -> list[int]:
    """Return the exponents of the powers of ten from low to high, every so many of them."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return list(range(first, last + 1, max(1, math.ceil((last - first + 1) / most))))


def _round_values(low: float, high: float, most: int, *, whole: bool) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten from low to high."""
    if high <= low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    step = max(step, 1.0) if whole else step
    return [step * place for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
