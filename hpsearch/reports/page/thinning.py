"""Fewer trials where there are more than a figure can show: the best, and every so many of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.reports.figures.frames import ranked

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Direction

MOST = 2000
"""Trials that one figure draws at most: a phone draws no more in a second, and a reader tells no more apart."""
BEST = 50
"""Of these the best that are always drawn."""


def thinned(trials: pd.DataFrame, direction: Direction, *, most: int = MOST) -> pd.DataFrame:
    """The trials, or where they are more than ``most`` the best of them and an even sample of the others.

    Args:
        trials: Rows of `hpsearch.store.Store.trials`.
        direction: ``maximize`` or ``minimize``.
        most: How many rows the result has at most.
    """
    if len(trials) <= most:
        return trials
    best = ranked(trials, direction).index[: min(BEST, most)]
    others = trials.index.difference(best)
    even = np.linspace(0, len(others) - 1, most - len(best)).round().astype(int)
    return trials.loc[best.union(others[even])]


def said(shown: int, there: int) -> str:
    """A sentence about what was left out; nothing where nothing was."""
    if shown == there:
        return ""
    return f" {shown:,} of {there:,} trials are drawn: the best, and an even sample of the others."
