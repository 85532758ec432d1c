"""Statistics of scores: intervals, ties, correction for selection, rank tests. NumPy and the standard library alone."""

from hpsearch.statistics.intervals import Interval, mean_interval, wilson
from hpsearch.statistics.selection import corrected_share

__all__ = ["Interval", "corrected_share", "mean_interval", "wilson"]
