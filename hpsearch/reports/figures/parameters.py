"""A hyperparameter as an axis: its scale, its ranges, and where its values stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hpsearch.errors import BadInput
from hpsearch.reports.figures.style import log_axis
from hpsearch.space import Categorical, Float, Int, Parameter, from_scale, to_scale

_HALF = 0.42
"""How far a choice's stretch of the axis reaches to each side of it; choices stand 1 apart."""


class ParameterAxis:
    """An axis for the values of one hyperparameter, wide enough for all its ranges.

    Choices stand at 0, 1, ..., in the order of the lists, and their trials are spread about them so that they do
    not hide each other.

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
            raise BadInput(f"{name} is a list of choices in one stage and a range in another; draw them apart")
        self._choices = list(dict.fromkeys(choice for parameter in lists for choice in parameter.choices))
        self._scale: Float | Int | None = ranges[0] if ranges else None
        self.log = self._scale is not None and self._scale.log
        self._low = min((parameter.low for parameter in ranges), default=0.0)
        self._high = max((parameter.high for parameter in ranges), default=0.0)
        if self.log and self._low <= 0:
            raise BadInput(f"{name} is on a log scale in one stage and reaches {self._low!r} in another")

    def positions(self, values: Iterable[Any]) -> list[float]:
        """Where values stand; NaN for one that is missing or no choice."""
        if self._scale is not None:
            return [math.nan if value is None else float(value) for value in values]
        # Multiples of the golden section spread evenly, whatever their number.
        return [
            self._choices.index(value) + 0.6 * ((place * 0.618034) % 1 - 0.5) if value in self._choices else math.nan
            for place, value in enumerate(values)
        ]

    def spans(self, parameter: Parameter) -> list[tuple[float, float]]:
        """The stretches of the axis that a range covers: one, or one for each run of neighbouring choices."""
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
        """How far along the axis a position stands, from 0 to 1."""
        low, high = self.range
        on_scale = position if self._scale is None else to_scale(self._scale, position)
        return (on_scale - low) / (high - low)

    def at(self, fraction: float) -> float:
        """The inverse of `fraction`."""
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

    def layout(self) -> dict[str, Any]:
        """The axis as Plotly's properties."""
        axis: dict[str, Any] = {"title": {"text": self.name}, "range": list(self.range)}
        if self._scale is None:
            places = list(range(len(self._choices)))
            return axis | {"tickvals": places, "ticktext": [str(choice) for choice in self._choices], "showgrid": False}
        return axis | (log_axis(self.at(0), self.at(1)) if self.log else {})
