"""Numbers, intervals and values in the words of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.text import counted as counted

if TYPE_CHECKING:
    from hpsearch.statistics import Interval


def between(interval: Interval) -> str:
    """An interval in words: ``95 % interval 0.82 to 0.94``."""
    return f"{interval.level * 100:.4g}\N{NO-BREAK SPACE}% interval {interval.low:.2f} to {interval.high:.2f}"
