"""The best trials of two searches, example by example, in words."""

from __future__ import annotations

import pytest

from hpsearch.search.comparison import Paired


@pytest.mark.parametrize(
    ("only_a", "only_b", "p", "says"),
    [
        (0, 0, 1.0, "get the same of the 40"),
        (3, 4, 1.0, "the two are statistically tied"),
        (1, 12, 0.003, "B's best is better on them"),
        (12, 1, 0.003, "A's best is better on them"),
        (900, 0, 0.0, "(p < 1e-15)"),
    ],
)
def test_examples_in_words(only_a: int, only_b: int, p: float, says: str) -> None:
    assert says in Paired(40, only_a, only_b, p).sentence()
