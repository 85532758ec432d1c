"""Intervals: hand-computed values, and what must hold of any."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadInput
from hpsearch.statistics import Interval, mean_interval, wilson
from hpsearch.statistics.intervals import student_cdf, student_quantile, wilson_of_share

COUNTS = st.integers(1, 3000).flatmap(lambda images: st.tuples(st.integers(0, images), st.just(images)))


@pytest.mark.parametrize(
    ("hits", "images", "low", "high"),
    [
        # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with z = 1.959964, by hand.
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (79, 100, 0.700200, 0.858343),
        (50, 100, 0.403832, 0.596168),
    ],
)
def test_wilson_by_hand(hits: int, images: int, low: float, high: float) -> None:
    found = wilson(hits, images)
    assert [found.low, found.high, found.level] == pytest.approx([low, high, 0.95], abs=1e-6)


@given(COUNTS)
def test_wilson_lies_within_0_and_1_around_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    hits, images = counts
    found, mirrored = wilson(hits, images), wilson(images - hits, images)
    assert 0 <= found.low <= hits / images <= found.high <= 1
    assert found.low < found.high
    assert [mirrored.low, mirrored.high] == pytest.approx([1 - found.high, 1 - found.low])


@given(COUNTS)
def test_wilson_moves_with_hits_and_narrows_with_images(counts: tuple[int, int]) -> None:
    hits, images = counts
    found, more, sure = wilson(hits, images), wilson(4 * hits, 4 * images), wilson(hits, images, level=0.99)
    assert more.high - more.low < found.high - found.low < sure.high - sure.low
    if hits < images:
        better = wilson(hits + 1, images)
        assert better.low > found.low
        assert better.high > found.high or better.high == 1


def test_an_interval_holds_its_ends() -> None:
    assert Interval(0.1, 0.2).holds(0.1)
    assert not Interval(0.1, 0.2).holds(0.2001)


@pytest.mark.parametrize(("hits", "images", "level"), [(1, 0, 0.95), (11, 10, 0.95), (-1, 10, 0.95), (1, 2, 1.0)])
def test_what_is_no_share_is_refused(hits: int, images: int, level: float) -> None:
    with pytest.raises(BadInput):
        wilson(hits, images, level=level)
    with pytest.raises(BadInput):
        wilson_of_share(1.5, 10)


def test_a_mean_s_interval_by_hand() -> None:
    found = mean_interval([1.0, 2.0, 3.0])  # t = 4.302653 with 2 degrees of freedom, s = 1
    assert found.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)
    with pytest.raises(BadInput, match="needs at least 2"):
        mean_interval([1.0])
    with pytest.raises(BadInput, match="finite"):
        mean_interval([1.0, math.nan])


@given(st.floats(-50, 50))
def test_student_s_t_in_closed_form(t: float) -> None:
    assert student_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)
    assert student_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-12)


@given(st.floats(0.001, 0.999), st.integers(1, 300))
def test_a_quantile_is_the_inverse_of_the_distribution(probability: float, freedom: int) -> None:
    assert student_cdf(student_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=1e-9)


def test_student_s_t_as_scipy_has_it() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 4, 9, 30, 101):
        for t in (-4.0, -0.3, 0.0, 1.0, 12.0):
            assert student_cdf(t, freedom) == pytest.approx(float(stats.t.cdf(t, freedom)), abs=1e-12)
