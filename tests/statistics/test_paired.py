"""Trials compared on the same images: McNemar's exact test, and ties with the best of many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadInput
from hpsearch.statistics import mcnemar
from hpsearch.statistics.comparisons import LEVEL, discordant, is_tied, lower_tail, paired_p, two_sided, unpaired_p
from hpsearch.statistics.hits import as_number, pack

HITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def test_mcnemar_by_hand() -> None:
    # 8 images only the one gets right, 2 only the other: 2 (1 + 10 + 45) / 2^10.
    a = np.array([1] * 8 + [0] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    b = np.array([0] * 8 + [1] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    assert mcnemar(a, b) == 112 / 1024
    assert two_sided(5, 0) == 2 / 32
    assert two_sided(3, 3) == 1.0
    with pytest.raises(BadInput, match="the same images"):
        mcnemar(a, b[:-1])


@given(HITS)
def test_neither_order_nor_common_images_matter(pairs: list[tuple[bool, bool]]) -> None:
    a, b = (np.array(column) for column in zip(*pairs, strict=True))
    p = mcnemar(a, b)
    assert 0 < p <= 1
    assert mcnemar(b, a) == p
    order = np.random.default_rng(0).permutation(len(a))
    assert mcnemar(a[order], b[order]) == p
    assert mcnemar(np.append(a, [True, False]), np.append(b, [True, False])) == p
    assert mcnemar(~b, ~a) == p
    assert mcnemar(a, a) == 1.0


@given(HITS)
def test_whole_numbers_say_the_same_as_arrays(pairs: list[tuple[bool, bool]]) -> None:
    a, b = (np.array(column) for column in zip(*pairs, strict=True))
    numbers = [as_number(pack(hits), len(hits)) for hits in (a, b)]
    assert [number.bit_count() for number in numbers] == [a.sum(), b.sum()]
    assert discordant(numbers[0], numbers[1]) == ((a & ~b).sum(), (b & ~a).sum())
    assert two_sided(*discordant(numbers[0], numbers[1])) == mcnemar(a, b)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_tails_of_a_fair_coin(hits: int, more: int) -> None:
    throws = hits + more
    whole = lower_tail(hits, throws) + (lower_tail(throws - hits - 1, throws) if throws > hits else 0)
    assert whole == pytest.approx(1.0)
    # Clearer evidence is never called weaker.
    assert two_sided(hits, throws + 1) <= two_sided(hits, throws) or throws < hits


def test_mcnemar_as_scipy_has_it() -> None:
    stats = pytest.importorskip("scipy.stats")
    for only_a, only_b in ((0, 1), (3, 9), (17, 40), (400, 470)):
        expected = float(stats.binomtest(only_a, only_a + only_b).pvalue)
        assert two_sided(only_a, only_b) == pytest.approx(expected, rel=1e-9)


def test_ties_among_a_hundred_by_hand() -> None:
    # One-sided, at 0.05/99: 11 images that only the best gets right (2^-11) tell the two apart, 10 do not.
    best = 2**90 - 1
    assert not is_tied(paired_p(best, best >> 11), 100)
    assert is_tied(paired_p(best, best >> 10), 100)
    assert not is_tied(paired_p(best, best >> 5), 2)  # 2^-5 beside one other trial
    assert is_tied(paired_p(best, best), 2)
    assert LEVEL == 0.05


@given(st.integers(0, 60), st.integers(2, 10_000))
def test_among_more_trials_more_tie(behind: int, trials: int) -> None:
    p = paired_p(2**90 - 1, 2 ** (90 - behind) - 1)
    assert is_tied(p, trials + 1) or not is_tied(p, trials)


@given(st.integers(50, 100), st.integers(0, 25))
def test_without_hits_more_is_called_tied(best: int, behind: int) -> None:
    # The other's hits are the best's but for some: the surest case, which two shares alone cannot see.
    paired = paired_p(2**best - 1, 2 ** (best - behind) - 1)
    unpaired = unpaired_p(best / 100, (best - behind) / 100, 100)
    assert 0 <= unpaired <= 1
    assert is_tied(unpaired, 100) or not is_tied(paired, 100)
