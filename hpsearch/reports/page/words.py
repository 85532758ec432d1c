"""Numbers, intervals and values in the words of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.space import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.records import Stage
    from hpsearch.statistics import Interval


def between(interval: Interval) -> str:
    """An interval in words: ``95 % interval 0.82 to 0.94``."""
    return f"{interval.level * 100:.4g}\N{NO-BREAK SPACE}% interval {interval.low:.2f} to {interval.high:.2f}"


def counted(number: int, what: str) -> str:
    """A number of things: ``1 trial``, ``1,000 trials``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def drawn_values(stage: Stage, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's values for people: None where it does not use one, a yes or no as study files have it."""
    used = stage.used(drawn)
    return {
        name: (shown(value) if isinstance(value, bool) else value) if name in used else None
        for name, value in drawn.items()
    }
