"""Statistics of scores: intervals, ties, correction for selection, rank tests. NumPy and the standard library alone."""

from hpsearch.statistics.hits import corrected_share
from hpsearch.statistics.intervals import Interval, mean_interval, wilson

__all__ = ["Interval", "corrected_share", "mean_interval", "wilson"]
