"""Hits as text, McNemar's exact test, ties with the best of many, and its score corrected for selection."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interval_coverage import best_score, searches

from hpsearch.errors import BadInput
from hpsearch.statistics import corrected_share
from hpsearch.statistics.hits import (
    LEVEL,
    as_number,
    is_tied,
    lower_tail,
    matching,
    pack,
    paired_p,
    unpack,
)

COUNTS = st.integers(0, 60)
TRIALS = st.integers(2, 40).flatmap(
    lambda examples: st.tuples(st.just(examples), st.lists(st.integers(0, 2**examples - 1), min_size=1, max_size=8))
)


@pytest.mark.parametrize(
    ("only_best", "only_other", "p"),
    [
        (8, 2, 56 / 1024),  # (1 + 10 + 45) / 2^10
        (5, 0, 1 / 32),
        (0, 0, 1.0),
        (40, 17, 0.0032015437674503813 / 2),  # scipy.stats.binomtest(17, 57), which is two-sided
        (470, 400, 0.019267052848609047 / 2),
    ],
)
def test_mcnemar_by_hand(only_best: int, only_other: int, p: float) -> None:
    best, other = 2**only_best - 1, (2**only_other - 1) << only_best
    assert paired_p(best, other) == pytest.approx(p, rel=1e-9)


@given(COUNTS, COUNTS)
def test_the_tails_of_a_fair_coin(hits: int, more: int) -> None:
    throws = hits + more
    whole = lower_tail(hits, throws) + (lower_tail(throws - hits - 1, throws) if throws > hits else 0)
    assert whole == pytest.approx(1.0)
    # Clearer evidence is never called weaker.
    assert lower_tail(hits, throws + 1) <= lower_tail(hits, throws)


def test_ties_among_a_hundred_by_hand() -> None:
    # One-sided, at 0.05/99: 11 examples that only the best gets right (2^-11) tell the two apart, 10 do not.
    best = 2**90 - 1
    assert not is_tied(paired_p(best, best >> 11), 100)
    assert is_tied(paired_p(best, best >> 10), 100)
    assert not is_tied(paired_p(best, best >> 5), 2)  # 2^-5 beside one other trial
    assert is_tied(paired_p(best, best), 2)
    assert LEVEL == 0.05


@given(TRIALS, st.integers(0, 2**32))
def test_a_corrected_share_is_never_above_the_best(case: tuple[int, list[int]], seed: int) -> None:
    examples, hits = case
    share = corrected_share(hits, examples, seed=seed, resamples=20)
    assert 0 <= share <= max(map(int.bit_count, hits)) / examples
    shuffled = list(hits)
    Random(1).shuffle(shuffled)
    assert corrected_share(shuffled, examples, seed=seed, resamples=20) == pytest.approx(share)


def test_where_nothing_was_chosen_nothing_is_taken_away() -> None:
    assert corrected_share([0b0111], 4, seed=0) == 0.75
    assert corrected_share([2**90 - 1, 0b1111, 0b11], 100, seed=0) == pytest.approx(0.9, abs=0.005)


def test_of_equal_trials_the_best_comes_to_their_worth() -> None:
    """A hundred trials that are right with probability 0.8 each: the best has 0.90, by selection alone."""
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
    scores = [best_score(search, seed=seed) for seed, search in enumerate(searches(80, 1000, 100, margin=0.5, seed=3))]
    assert 73 <= sum(s.corrected for s in scores) <= 79
    assert sum(s.naive for s in scores) < 70
    assert np.mean([s.luck for s in scores]) > 0.025
    assert abs(np.mean([s.error for s in scores])) < 0.012
    assert sum(s.holds_best for s in scores) >= 76


@given(hits=st.lists(st.booleans(), min_size=1, max_size=100))
def test_unpacking_gives_back_what_was_packed(hits: list[bool]) -> None:
    text = pack(np.array(hits))
    assert [*map(bool, unpack(text, len(hits)))] == hits
    assert len(text) == 4 * -(-len(hits) // 24)


@pytest.mark.parametrize("text", ["?", "AAA", "é", "AAAA", ""])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="hits"):
        unpack(text, 100)


def test_a_whole_number_has_the_first_example_as_its_highest_bit() -> None:
    hits = np.array([True, False, True, True, False])
    assert as_number(pack(hits), 5) == 0b10110
    assert as_number(pack(np.ones(17, dtype=bool)), 17) == 2**17 - 1
    with pytest.raises(BadInput, match="of 8 examples at most, not of 9"):
        as_number(pack(hits), 9)
    assert matching(pack(hits), 5, 0.6) == 0b10110
    assert [matching(pack(hits), 5, 0.8), matching("no base64!", 5, None)] == [None, None]
