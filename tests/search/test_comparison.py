"""The numbers of a comparison against their definitions."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.search.comparison import Paired, beats, expected_best

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.1 + 0.2, 0.3, 0.75, 1e9]), min_size=1, max_size=7)


@given(SCORES, SCORES)
def test_superiority_is_the_share_of_pairs(winners: list[float], losers: list[float]) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(winners, losers)]
    assert beats(np.array(winners), np.array(losers)) == pytest.approx(sum(pairs) / len(pairs))


@given(SCORES, st.data())
def test_the_expected_best_is_the_mean_over_all_draws(scores: list[float], data: st.DataObject) -> None:
    drawn = data.draw(st.integers(1, len(scores)))
    best = [max(chosen) for chosen in combinations(scores, drawn)]
    assert expected_best(np.array(scores), drawn) == pytest.approx(sum(best) / len(best))


def test_many_scores_take_no_overflow() -> None:
    scores = np.arange(100_000) / 100_000
    # Of n uniform ranks, m of them: the expected highest rank is m (n + 1) / (m + 1).
    assert expected_best(scores, 99) == pytest.approx(99 * 100_001 / 100 / 100_000 - 1e-5)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p", "says"),
    [
        (0, 0, 1.0, "get the same of the 40"),
        (3, 4, 1.0, "cannot be told apart"),
        (1, 12, 0.003, "B's best is better on them"),
        (12, 1, 0.003, "A's best is better on them"),
        (900, 0, 0.0, "(p < 1e-15)"),
    ],
)
def test_images_in_words(only_a: int, only_b: int, p: float, says: str) -> None:
    assert says in Paired(40, only_a, only_b, p).sentence()
