"""How sure a score is: intervals, paired comparisons, ranks, and what follows from them for a search.

Pure functions of numbers; NumPy and the standard library alone.
"""

from hpsearch.statistics.comparisons import mann_whitney, mcnemar
from hpsearch.statistics.intervals import Interval, mean_interval, wilson
from hpsearch.statistics.selection import corrected_share

__all__ = [
    "Interval",
    "corrected_share",
    "mann_whitney",
    "mcnemar",
    "mean_interval",
    "wilson",
]
