"""Intervals: hand-computed values, and what must hold of any."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.statistics import mean_interval, wilson
from hpsearch.statistics.intervals import student_cdf, student_quantile

COUNTS = st.integers(1, 3000).flatmap(lambda examples: st.tuples(st.integers(0, examples), st.just(examples)))


@pytest.mark.parametrize(
    ("hits", "examples", "low", "high"),
    [
        # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with z = 1.959964, by hand.
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (79, 100, 0.700200, 0.858343),
        (50, 100, 0.403832, 0.596168),
    ],
)
def test_wilson_by_hand(hits: int, examples: int, low: float, high: float) -> None:
    interval = wilson(hits, examples)
    assert [interval.low, interval.high, interval.level] == pytest.approx([low, high, 0.95], abs=1e-6)


@given(COUNTS)
def test_wilson_lies_within_0_and_1_around_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    hits, examples = counts
    interval, mirrored = wilson(hits, examples), wilson(examples - hits, examples)
    assert 0 <= interval.low <= hits / examples <= interval.high <= 1
    assert interval.low < interval.high
    assert [mirrored.low, mirrored.high] == pytest.approx([1 - interval.high, 1 - interval.low])


def test_a_mean_s_interval_by_hand() -> None:
    interval = mean_interval([1.0, 2.0, 3.0])  # t = 4.302653 with 2 degrees of freedom, s = 1
    assert interval.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert interval.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)


@given(st.floats(-50, 50))
def test_student_s_t_in_closed_form(t: float) -> None:
    assert student_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)
    assert student_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-12)


@settings(max_examples=50)
@given(st.floats(0.001, 0.999), st.integers(1, 300))
def test_a_quantile_is_the_inverse_of_the_distribution(probability: float, freedom: int) -> None:
    assert student_cdf(student_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize(
    ("freedom", "below"),
    [
        (3, (0.014004228005073076, 0.3918816460199595, 0.8044988905221148)),
        (4, (0.008065044950046273, 0.3895607141387299, 0.8130495168499705)),
        (9, (0.0015552141551929272, 0.3854953518707624, 0.8282818019310432)),
        (30, (0.0001909228180418782, 0.3831230526421764, 0.8373456922869849)),
        (101, (6.040654923592983e-05, 0.3823968615372555, 0.840149841111709)),
    ],
)
def test_student_s_t_as_scipy_has_it(freedom: int, below: tuple[float, ...]) -> None:
    assert [student_cdf(t, freedom) for t in (-4.0, -0.3, 1.0)] == pytest.approx(below, abs=1e-12)
