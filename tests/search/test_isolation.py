"""Isolation: the best of each part of a range, and the score with the other parameters tuned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.records import Direction, Stage
from hpsearch.samplers import RandomSampler
from hpsearch.search.isolation import Bucket, isolate
from hpsearch.space import Categorical, Float, Int, Space

SPACE: Space = {"a": Float(1e-3, 1.0, log=True), "b": Float(0.0, 1.0), "c": Float(0.0, 1.0)}
Response = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def stage(space: Space = SPACE, *, sign: float = 1.0, metric: str = "score") -> Stage:
    direction: Direction = "maximize" if sign > 0 else "minimize"
    objective = {"objective": {"function": "f", "metric": metric, "direction": direction}}
    return Stage("s", 1, direction, 0, space, objective, study_id=1)


def bowl(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.9 - 0.1 * (np.log10(a) + 1) ** 2 - 0.6 * (b - 0.3) ** 2)


def tried(seed: int, response: Response = bowl, *, trials: int = 60) -> tuple[NDArray[np.float64], dict[str, Any]]:
    rng = np.random.default_rng(seed)
    params = {"a": 10 ** rng.uniform(-3, 0, trials), "b": rng.uniform(size=trials), "c": rng.uniform(size=trials)}
    return response(*params.values()) + rng.normal(0, 0.02, trials), params


def test_the_parts_of_a_range_hold_all_trials_and_name_the_best_of_each() -> None:
    scores, params = tried(0)
    buckets = isolate(stage(), scores, params, ["a"])["a"]
    assert sum(of.trials for of in buckets) == 60
    assert [buckets[0].low, buckets[-1].high] == pytest.approx([1e-3, 1.0])
    for of in buckets:
        assert isinstance(of.low, float)
        assert isinstance(of.high, float)
        inside = scores[(params["a"] >= of.low) & (params["a"] <= of.high)]
        assert scores[of.best] == inside.max()
        assert len(inside) == of.trials


def holds(of: Bucket, value: float) -> bool:
    return of.interval is not None and of.interval.low <= value <= of.interval.high


def test_the_interval_holds_the_score_with_the_others_tuned() -> None:
    held = []
    for seed in range(8):
        buckets = isolate(stage(), *tried(seed), ["a", "c"])
        for of in buckets["a"]:
            assert isinstance(of.low, float)
            assert isinstance(of.high, float)
            nearest = min(max(np.log10(of.low), -1.0), np.log10(of.high))
            held.append(holds(of, 0.9 - 0.1 * (nearest + 1) ** 2))
        held += [holds(of, 0.9) for of in buckets["c"]]  # without effect: the same everywhere
    assert np.mean(held) >= 0.88


def test_a_part_beside_better_values_is_best_at_its_end() -> None:
    low, *_, high = isolate(stage(), *tried(0), ["a"])["a"]  # the best value, 0.1, lies between them
    assert isinstance(low.at, float)
    assert isinstance(high.at, float)
    assert low.at == pytest.approx(low.high, rel=0.1)
    assert high.at == pytest.approx(high.low, rel=0.2)


def test_it_holds_where_the_response_is_no_smooth_function() -> None:
    def plateau(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(0.85 - 0.8 * np.maximum(b - 0.5, 0) + 0 * a * c)

    held = [holds(of, 0.85) for seed in range(8) for of in isolate(stage(), *tried(seed, plateau), ["c"])["c"]]
    assert np.mean(held) >= 0.95


def test_a_loss_is_the_same_upside_down() -> None:
    scores, params = tried(1)
    up, down = (isolate(stage(sign=sign), sign * scores, params, ["b"])["b"] for sign in (1.0, -1.0))
    assert [of.best for of in up] == [of.best for of in down]
    for one, other in zip(up, down, strict=True):
        assert one.interval is not None
        assert other.interval is not None
        assert one.tuned == pytest.approx(-(other.tuned or 0.0))
        assert one.interval.low == pytest.approx(-other.interval.high)


def test_choices_and_few_whole_numbers_are_a_part_each() -> None:
    rng = np.random.default_rng(0)
    space: Space = {"kind": Categorical(("x", "y", None)), "layers": Int(1, 3), "units": Int(10, 200)}
    kinds = np.array(["x", "y"], dtype=object)[rng.integers(0, 2, 40)]
    params = {"kind": kinds, "layers": rng.integers(1, 4, 40), "units": rng.integers(10, 201, 40)}
    scores = 0.1 * (kinds == "y") + rng.normal(0, 0.01, 40)
    buckets = isolate(stage(space), scores, params, [*space])
    assert [(of.low, of.high) for of in buckets["kind"]] == [("x", "x"), ("y", "y")]
    assert [of.low for of in buckets["layers"]] == [1, 2, 3]
    assert len(buckets["units"]) == 4
    x, y = buckets["kind"]
    assert x.interval is not None
    assert y.interval is not None
    assert x.interval.high < y.interval.low


def test_a_part_in_which_all_fail_is_left_out_and_the_best_is_not_sought_there() -> None:
    def cliff(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(b > 0.5, np.nan, 0.5 + 0.8 * b)

    scores, params = tried(2, cliff)
    buckets = isolate(stage(), scores, params, ["a", "b"])
    assert max(of.high for of in buckets["b"] if isinstance(of.high, float)) <= 0.5 + 1e-9
    assert all(of.tuned is not None and of.tuned < 0.93 for of in buckets["a"])


def test_trials_without_the_parameter_are_in_no_part() -> None:
    scores, params = tried(0)
    params["b"] = np.where(np.arange(60) < 20, np.nan, params["b"])
    assert sum(of.trials for of in isolate(stage(), scores, params, ["b"])["b"]) == 40


def test_few_trials_have_best_ones_alone() -> None:
    scores, params = tried(0, trials=5)
    assert all(of.tuned is None and of.interval is None for of in isolate(stage(), scores, params, ["a"])["a"])
    assert isolate(stage(), scores[:0], {name: of[:0] for name, of in params.items()}, ["a"]) == {"a": []}


OF_EACH: Space = {
    "kind": Categorical(("slow", "quick")),
    "lr[slow]": Float(1e-4, 1.0, log=True, when={"kind": ("slow",)}),
    "lr[quick]": Float(1e-4, 1.0, log=True, when={"kind": ("quick",)}),
}


def of_each(rows: list[dict[str, Any]]) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Trials of two kinds that need other rates, and are as good with them."""
    best = {"slow": -0.5, "quick": -3.5}
    exponents = [np.log10(row[f"lr[{row['kind']}]"]) - best[row["kind"]] for row in rows]
    scores = 0.9 - 0.1 * np.square(exponents) + np.random.default_rng(0).normal(0, 0.01, len(rows))
    return scores, {name: [row.get(name) for row in rows] for name in OF_EACH}


def test_a_parameter_with_a_condition_is_isolated_where_the_condition_holds() -> None:
    """Bad rates of one kind stay bad, however good the other kind is."""
    sampler, of = RandomSampler(), stage(OF_EACH)
    scores, params = of_each([sampler.params(of, number) for number in range(60)])
    buckets = isolate(of, scores, params, ["kind", "lr[slow]"])
    low, *_, high = buckets["lr[slow]"]
    assert low.interval is not None
    assert low.interval.high < 0.75 < 0.85 < (high.tuned or 0.0)
    assert all(0.85 < (of.tuned or 0.0) < 0.95 for of in buckets["kind"])


def test_trials_that_have_the_parameter_may_be_too_few() -> None:
    sampler, of = RandomSampler(), stage(OF_EACH)
    scores, params = of_each([sampler.params(of, number) for number in range(12)])
    buckets = isolate(of, scores, params, ["lr[slow]", "lr[quick]"])
    assert [of.tuned for several in buckets.values() for of in several] == [None] * sum(map(len, buckets.values()))


def test_no_band_leaves_the_possible_scores() -> None:
    scores, params = tried(0, trials=30)
    (free, bound) = (
        isolate(stage(metric=metric), scores + 0.1, params, ["a"])["a"] for metric in ("score", "accuracy")
    )
    highest = [max(of.interval.high for of in several if of.interval is not None) for several in (free, bound)]
    assert highest[0] > 1.0 == highest[1]


def test_equal_values_of_everything_are_one_part() -> None:
    params = {name: [0.5] * 12 for name in SPACE}
    (only,) = isolate(stage(), np.full(12, 0.7), params, ["a"])["a"]
    assert only.tuned == pytest.approx(0.7, abs=1e-3)
