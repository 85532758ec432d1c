"""Data sets: by name or from files, checked, and cut into train, validation and test."""

from hpsearch.data.datasets import KNOWN, Dataset, load, whereabouts
from hpsearch.data.fetch import SOURCES, fetch
from hpsearch.data.formats import read_idx
from hpsearch.data.splits import Split, split, test_part

__all__ = [
    "KNOWN",
    "SOURCES",
    "Dataset",
    "Split",
    "fetch",
    "load",
    "read_idx",
    "split",
    "test_part",
    "whereabouts",
]
