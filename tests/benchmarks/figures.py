"""Figures: what was asked, what was measured, and whether the one is the other. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True, slots=True)
class Spread:
    """A value measured in several rounds: the median of all of them, and the least and the largest of any one."""

    value: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median of values, and their ends.

    Raises:
        ValueError: No values.
    """
    if not values:
        raise ValueError("no values; give at least one round")
    return Spread(median(values), min(values), max(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratio of two medians, and the ends of the ratios round by round.

    Args:
        above: Seconds (or another amount) of each round.
        below: Of the same rounds, measured beside them.

    Raises:
        ValueError: No rounds, or not the same number.
    """
    if not above or len(above) != len(below):
        raise ValueError(f"{len(above)} and {len(below)} rounds; give the same number, at least one")
    rounds = [a / b for a, b in zip(above, below, strict=True)]
    return Spread(median(above) / median(below), min(rounds), max(rounds))


def for_all_trials(seconds: float, work_seconds: float, *, measured: int, trials: int) -> float:
    """What a command would have taken for more trials: its start-up once, and its work in proportion.

    Args:
        seconds: Of the whole command.
        work_seconds: Those of them from its first trial's begin to its last trial's end.
        measured: How many trials that was.
        trials: How many are asked for.
    """
    return seconds - work_seconds + work_seconds * trials / measured


def flop_share(flops: float, seconds: float, *, cores: int, rate: float) -> float:
    """The share of the FLOP limit: what the machine could multiply in that time of which this was multiplied.

    Args:
        flops: Floating-point operations of the work.
        seconds: What it took.
        cores: Cores that worked.
        rate: FLOP/s of one core's sgemm while all cores are at it.
    """
    return flops / (seconds * cores * rate)


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table.

    Args:
        what: What is compared.
        measured: The value.
        unit: Behind the value: ``x`` for a ratio, ``s``, ``MB``; empty for a share.
        asked: What it is to be, or None where it is shown for information.
        bound: Whether that is the least or the most allowed.
        ours: What it took us, in words.
        theirs: What it took the peer, in words.
        note: What one must know.
    """

    what: str
    measured: Spread | None
    unit: str = "x"
    asked: float | None = None
    bound: Literal["at least", "at most"] = "at least"
    ours: str = ""
    theirs: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value is as asked; None where nothing is asked or nothing was measured."""
        if self.asked is None or self.measured is None:
            return None
        value = self.measured.value
        return value >= self.asked if self.bound == "at least" else value <= self.asked


def seconds(values: Sequence[float]) -> str:
    """The median of some seconds in words."""
    return f"{median(values):.3g} s"
