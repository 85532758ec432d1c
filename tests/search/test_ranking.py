"""The ranking of a confirmation, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist, fmean
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.records import Setting
from hpsearch.reports.tables import confirmed_sentences
from hpsearch.search.best import Confirmed, Overview
from hpsearch.search.confirmation import SettingHits, crossed_variance, rank_confirmed
from hpsearch.statistics import Interval, mean_interval, wilson
from hpsearch.statistics.intervals import share_interval

EXAMPLES = 100
Hits = Mapping[int, SettingHits]


def repeats(trial: int, scores: Sequence[float], *, failed: int = 0, losses: Sequence[float] = ()) -> Confirmed:
    return Confirmed(
        Setting(trial, {"lr": 0.1}, 0.9), dict(enumerate(scores)), failed=failed, losses=dict(enumerate(losses))
    )


def from_hits(of: Mapping[int, NDArray[np.bool_]]) -> tuple[list[Confirmed], Hits]:
    """Settings with these hits, (R, N) each."""
    found = [repeats(trial, hits.mean(axis=1).tolist()) for trial, hits in of.items()]
    return found, {trial: dict(enumerate(hits)) for trial, hits in of.items()}


def ranked(given: Sequence[Confirmed], hits: Hits | None = None, *, size: int = EXAMPLES) -> tuple[Confirmed, ...]:
    return rank_confirmed(given, direction="maximize", examples=size, hits=hits)


def interval(of: Confirmed) -> Interval:
    assert of.interval is not None
    return of.interval


def drawn(
    rng: np.random.Generator,
    settings: int,
    rounds: int,
    examples: int,
    *,
    seeds: float,
    spread: float,
    low: float = 0.0,
) -> dict[int, NDArray[np.bool_]]:
    """Hits of settings of the same worth but the last: logits of an image's ease and a repeat's luck."""
    ease = 1.0 + spread * rng.standard_normal(examples)
    found = {}
    for trial in range(settings):
        luck = seeds * rng.standard_normal(rounds) - (low if trial == settings - 1 else 0.0)
        found[trial] = rng.random((rounds, examples)) < 1 / (1 + np.exp(-(luck[:, None] + ease)))
    return found


def test_settings_stand_by_their_means() -> None:
    order = ranked([repeats(1, [0.7, 0.7]), repeats(2, [0.9, 0.7]), repeats(3, [0.8, 0.7])])
    assert [one.trial for one in order] == [2, 3, 1]
    assert [one.mean for one in order] == pytest.approx([0.8, 0.75, 0.7])
    small = rank_confirmed([repeats(1, [0.7, 0.7]), repeats(2, [0.9, 0.7])], direction="minimize")
    assert [one.trial for one in small] == [1, 2]
    assert ranked([]) == ()


def test_repeats_that_are_all_equal_are_not_tested_and_a_sentence_says_so() -> None:
    made = Mock(metric="score", direction="maximize", sizes={}, study_file={"objective": {"function": "train:of"}})

    def sentences(*given: Confirmed) -> str:
        ranking = rank_confirmed(given, direction="maximize")
        return "; ".join(map(str, confirmed_sentences(Overview(made, 8, 0, ranking))))

    near = repeats(2, [0.1 + 0.2] * 4), repeats(1, [0.3, 0.3, 0.3, 0.1 + 0.2])
    equal = sentences(*(replace(of, setting=replace(of.setting, score=of.mean + 1e-16)) for of in near))
    assert equal == (
        "mean: score over 4 repeats; all repeats of each trial are equal: the score does not depend on the seed"
    )
    assert [of.p for of in rank_confirmed([repeats(1, [0.9] * 4), repeats(2, [0.8] * 4)], direction="maximize")] == [
        None,
        None,
    ]
    assert "significantly better" in sentences(repeats(1, [0.91, 0.9, 0.9, 0.91]), repeats(2, [0.8] * 4))


def test_ties_go_to_the_lower_loss_and_failures_to_the_end() -> None:
    order = ranked(
        [
            repeats(1, [0.9, 0.9], failed=1),
            repeats(2, [0.7, 0.7], losses=[2.0, 2.0]),
            repeats(3, [0.7, 0.7], losses=[1.0, 1.5]),
            repeats(4, []),
        ]
    )
    assert [one.trial for one in order] == [3, 2, 1]
    assert order[2].failed == 1


def test_the_variance_is_that_of_the_two_way_layout() -> None:
    """By hand: 2 x 3 values 1 0 1 / 1 1 1."""
    variance, freedom = crossed_variance(np.array([[1.0, 0, 1], [1, 1, 1]]))
    # Row means 2/3, 1; column means 1, 1/2, 1; MS 1/6, 1/6 and 1/6: what is left of seeds and examples is none.
    assert variance == pytest.approx(1 / 6 / 6)
    assert freedom == pytest.approx((1 / 6) ** 2 / ((1 / 6) ** 2 * (1 / 1 + 1 / 2 + 1 / 2)))


def test_examples_that_all_repeats_agree_on_are_no_more_than_themselves() -> None:
    """Ten repeats with the same hits say as much about other examples as one does: the width of about Wilson's."""
    hits = np.zeros((10, EXAMPLES), dtype=bool)
    hits[:, :80] = True
    (one,) = ranked(*from_hits({0: hits}))
    plain = wilson(80, EXAMPLES)
    assert (interval(one).low, interval(one).high) == pytest.approx((plain.low, plain.high), abs=0.003)
    assert one.covers == "seeds and examples"


def test_without_hits_the_interval_is_no_narrower() -> None:
    rng = np.random.default_rng(1)
    given, hits = from_hits(drawn(rng, 3, 10, EXAMPLES, seeds=0.3, spread=1.5))
    with_hits = {one.trial: interval(one) for one in ranked(given, hits)}
    for one in ranked(given):
        known = with_hits[one.trial]
        assert interval(one).high - interval(one).low >= known.high - known.low
        assert one.covers == "seeds and examples"


def test_a_comparison_without_hits_says_that_it_is_of_these_examples() -> None:
    rng = np.random.default_rng(1)
    given, hits = from_hits(drawn(rng, 2, 10, EXAMPLES, seeds=0.3, spread=1.5))
    assert ranked(given, hits)[1].compared == "seeds and examples"
    assert ranked(given)[1].compared == "seeds"
    # Hits of one repeat are missing: then none are used.
    del hits[0][3]  # type: ignore[attr-defined]
    assert ranked(given, hits)[1].compared == "seeds"


def test_a_loss_s_interval_is_student_s_and_says_what_it_covers() -> None:
    scores = [0.5, 0.6, 0.4, 0.55]
    (one,) = rank_confirmed([repeats(0, scores)], direction="minimize")
    assert one.interval == mean_interval(scores)
    assert one.covers == "seeds"


def test_hits_say_nothing_of_losses() -> None:
    """The one classifies far more examples right; their losses are the same."""
    rng = np.random.default_rng(6)
    hits = {0: dict(enumerate(rng.random((5, EXAMPLES)) < 0.9)), 1: dict(enumerate(rng.random((5, EXAMPLES)) < 0.1))}
    losses = [repeats(0, [0.5, 0.6, 0.4, 0.5, 0.5]), repeats(1, [0.6, 0.5, 0.5, 0.4, 0.51])]
    second = rank_confirmed(losses, direction="minimize", hits=hits)[1]
    assert second.compared == "seeds"
    assert not second.distinguishable


def test_an_interval_stays_within_0_and_1_and_has_a_width() -> None:
    for share in (0.0, 0.005, 0.995, 1.0):
        found = share_interval(share, share * (1 - share) / 50, 9, EXAMPLES)
        assert 0 <= found.low <= share <= found.high <= 1
        assert found.high - found.low > 0.01


@pytest.mark.parametrize("share", [0.995, 0.999, 0.9999, 1.0])
def test_an_interval_near_1_is_as_wide_as_that_of_so_many_examples(share: float) -> None:
    """The share's own variance says little there: p (1 - p) by the variance would be as many examples as 0.01."""
    assert 0.95 < share_interval(share, 0.0035**2, 1000, 100).low < 0.985


def test_too_few_repeats_say_nothing() -> None:
    first, second = ranked([repeats(1, [0.8]), repeats(2, [0.7])])
    assert (first.interval, first.p, second.p, second.distinguishable) == (None,) * 4
    assert ranked([repeats(1, [0.8] * 3), repeats(2, [0.7] * 3)])[1].p is None
    assert ranked([repeats(1, [0.8] * 4), repeats(2, [0.7, 0.72, 0.71, 0.7])])[1].p is not None


def test_what_seeds_and_examples_do_to_both_drops_out() -> None:
    """Two settings far less sure than their difference: one gets right what the other does, and five examples more."""
    rng = np.random.default_rng(2)
    base = rng.random((10, EXAMPLES)) < np.linspace(0, 1, EXAMPLES)
    better = base.copy()
    better[:, :6] = True
    first, second = ranked(*from_hits({0: base, 1: better}))
    assert (first.trial, second.trial) == (1, 0)
    assert interval(first).low <= second.mean <= interval(first).high
    assert second.distinguishable
    # Out of step they are the same settings, and cannot be told apart.
    given, _ = from_hits({0: base, 1: better})
    hits = {0: dict(enumerate(base)), 1: dict(enumerate(rng.permutation(better, axis=1)))}
    assert not ranked(given, hits)[1].distinguishable


def test_p_counts_all_pairs() -> None:
    rng = np.random.default_rng(3)
    of = drawn(rng, 2, 10, EXAMPLES, seeds=0.1, spread=1.0, low=0.5)
    pair = ranked(*from_hits(of))[1].p
    more = {**of, 2: np.zeros((10, EXAMPLES), dtype=bool), 3: np.zeros((10, EXAMPLES), dtype=bool)}
    six = next(one for one in ranked(*from_hits(more)) if one.trial == 1).p
    assert pair is not None
    assert six == pytest.approx(min(1.0, 6 * pair))


@pytest.mark.parametrize(
    ("rounds", "examples", "seeds", "spread"), [(10, 100, 0.1, 2.0), (10, 1000, 0.5, 2.0), (4, 100, 0.3, 1.0)]
)
def test_coverage_and_false_claims(rounds: int, examples: int, seeds: float, spread: float) -> None:
    """Of 200 confirmations of five equal settings: how many intervals hold the truth, how many claims are false."""
    rng = np.random.default_rng(4)
    sd = math.hypot(seeds, spread)
    # The mean of logistic(normal), by quadrature.
    truth = fmean(1 / (1 + math.exp(-(1.0 + sd * NormalDist().inv_cdf((i + 0.5) / 2000)))) for i in range(2000))
    holds = false = 0
    for _ in range(200):
        order = ranked(*from_hits(drawn(rng, 5, rounds, examples, seeds=seeds, spread=spread)), size=examples)
        one = next(one for one in order if one.trial == 0)
        holds += interval(one).low <= truth <= interval(one).high
        false += any(other.distinguishable for other in order)
    # 95 % and 5 % within four standard deviations of 200 coin throws.
    assert holds >= 200 * 0.95 - 4 * math.sqrt(200 * 0.95 * 0.05)
    assert false <= 200 * 0.05 + 4 * math.sqrt(200 * 0.95 * 0.05)
