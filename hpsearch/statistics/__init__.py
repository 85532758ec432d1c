"""How sure a score is: intervals, paired comparisons, ranks, and what follows from them for a search.

Pure functions of numbers; NumPy and the standard library alone.
"""

from hpsearch.statistics.findings import Best, Findings, RangeFinding
from hpsearch.statistics.intervals import Interval, mean_interval, wilson
from hpsearch.statistics.paired import mcnemar
from hpsearch.statistics.ranks import mann_whitney
from hpsearch.statistics.selection import corrected_share

__all__ = [
    "Best",
    "Findings",
    "Interval",
    "RangeFinding",
    "corrected_share",
    "mann_whitney",
    "mcnemar",
    "mean_interval",
    "wilson",
]
