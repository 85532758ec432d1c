"""The best score without its luck."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interval_coverage import best_score, order_of, searches

from hpsearch.errors import BadInput
from hpsearch.statistics import corrected_share

TRIALS = st.integers(2, 40).flatmap(
    lambda images: st.tuples(st.just(images), st.lists(st.integers(0, 2**images - 1), min_size=1, max_size=8))
)


@given(TRIALS, st.integers(0, 2**32))
def test_it_is_a_share_and_never_above_the_best(case: tuple[int, list[int]], seed: int) -> None:
    images, hits = case
    found = corrected_share(hits, images, seed=seed, resamples=20)
    assert 0 <= found <= max(map(int.bit_count, hits)) / images
    assert corrected_share(hits, images, seed=seed, resamples=20) == found
    shuffled = list(hits)
    Random(1).shuffle(shuffled)
    assert corrected_share(shuffled, images, seed=seed, resamples=20) == pytest.approx(found)


def test_where_nothing_was_chosen_nothing_is_taken_away() -> None:
    assert corrected_share([0b0111], 4, seed=0) == 0.75
    certain = 2**90 - 1
    assert corrected_share([certain, 0b1111, 0b11], 100, seed=0) == pytest.approx(0.9, abs=0.005)


def test_what_cannot_be_corrected_is_refused() -> None:
    for hits, images in (([], 10), ([1], 1)):
        with pytest.raises(BadInput):
            corrected_share(hits, images, seed=0)


def test_of_equal_trials_it_finds_what_they_are_worth() -> None:
    """A hundred trials that are right on an image with probability 0.8 each: the best has 0.90, by luck alone."""
    best, corrected = [], []
    for seed in range(12):
        hits = np.random.default_rng(seed).random((100, 100)) < 0.8
        numbers = [int("".join("01"[int(h)] for h in row), 2) for row in hits]
        best.append(hits.mean(axis=1).max())
        corrected.append(corrected_share(numbers, 100, seed=seed))
    assert np.mean(best) > 0.88
    assert np.mean(corrected) == pytest.approx(0.8, abs=0.01)


def test_the_corrected_interval_covers_and_the_plain_one_does_not() -> None:
    """A small tests/benchmarks/interval_coverage.py, which has the figures: of 80 searches 76 should be right."""
    found = [
        best_score(one.hits, one.accuracy, order_of(one), seed=seed)
        for seed, one in enumerate(searches(80, 1000, 100, margin=0.5, seed=3))
    ]
    corrected, naive = sum(s.corrected for s in found), sum(s.naive for s in found)
    assert 73 <= corrected <= 79
    assert naive < 70
    assert np.mean([s.luck for s in found]) > 0.025
    assert abs(np.mean([s.error for s in found])) < 0.012
    assert sum(s.holds_best for s in found) >= 76
