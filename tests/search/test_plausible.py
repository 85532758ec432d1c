"""Ranges by the surrogate: what may be as good as the best stays, together for all parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.search.plausible import Plausible, plausible
from hpsearch.search.range_analysis import Finished, Narrowing, narrow
from hpsearch.search.surrogate import fit
from hpsearch.space import Categorical, Float, Space
from hpsearch.statistics.gaussian_process import GaussianProcess

SPACE: Space = {"a": Float(0.0, 1.0), "b": Float(0.0, 1.0), "dummy": Float(0.0, 1.0)}
Table = dict[str, NDArray[Any]]


def made(score: Callable[[Table], NDArray[np.float64]], *, seed: int, trials: int = 100) -> tuple[Table, NDArray[Any]]:
    """Trials of a stage, and their scores on 400 examples; NaN of those that fail."""
    rng = np.random.default_rng(seed)
    table: Table = {name: rng.random(trials) for name in SPACE}
    expected = score(table)
    scores = rng.binomial(400, np.nan_to_num(np.clip(expected, 0, 1))) / 400
    return table, np.where(np.isnan(expected), np.nan, scores)


def narrowed(table: Table, scores: NDArray[Any], *, sign: float = 1.0) -> tuple[Narrowing, dict[str, Plausible]]:
    of = fit(SPACE, scores, table, sign=sign)
    assert of is not None
    done = np.flatnonzero(~np.isnan(scores))
    trials = Finished(done, scores[done], np.full(len(done), np.nan), {name: of[done] for name, of in table.items()})
    values = plausible(of, SPACE, trials.params, 5, fixed={}, used_by={})
    direction: Any = "maximize" if sign > 0 else "minimize"
    options: dict[str, Any] = {"top": 5, "direction": direction, "first_space": SPACE, "by_evidence": True}
    return narrow(SPACE, trials, plausible=lambda: values, **options), values


def ends(narrowing: Narrowing, name: str) -> tuple[float, float]:
    of = narrowing.space[name]
    assert isinstance(of, Float)
    return of.low, of.high


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_optimum_stays_and_what_has_no_effect_is_not_narrowed(sign: float) -> None:
    kept, widths = [], []
    for seed in range(8):
        table, scores = made(lambda t: 0.9 - (t["a"] - 0.3) ** 2 - (t["b"] - 0.6) ** 2, seed=seed)
        narrowing, _ = narrowed(table, sign * scores, sign=sign)
        (a, b), (c, d) = ends(narrowing, "a"), ends(narrowing, "b")
        kept.append(a <= 0.3 <= b and c <= 0.6 <= d)
        widths.append(b - a)
        assert ends(narrowing, "dummy") == (0.0, 1.0)
    assert sum(kept) >= 7
    assert np.mean(widths) < 0.5


def test_of_two_that_compensate_each_other_the_whole_ridge_stays() -> None:
    table, scores = made(lambda t: 0.9 - 2 * (t["a"] + t["b"] - 1) ** 2, seed=0)
    narrowing, values = narrowed(table, scores)
    for name in ("a", "b"):
        low, high = ends(narrowing, name)
        assert low < 0.15
        assert high > 0.85
        assert values[name].gap is None


def test_a_second_group_of_good_values_stays_and_is_named() -> None:
    table, scores = made(
        lambda t: 0.5 + 0.4 * np.exp(-(np.minimum(abs(t["a"] - 0.15), abs(t["a"] - 0.85)) ** 2) / 0.005), seed=1
    )
    narrowing, values = narrowed(table, scores)
    low, high = ends(narrowing, "a")
    assert low < 0.15 < 0.85 < high
    gap = values["a"].gap
    assert gap is not None
    assert 0.15 < gap[0] < gap[1] < 0.85
    assert any("two groups of good values" in str(sentence) for sentence in narrowing.ranges["a"].sentences)


def test_values_that_fail_end_a_range() -> None:
    table, scores = made(lambda t: np.where(t["a"] > 0.6, np.nan, 0.3 + t["a"]), seed=2)
    low, high = ends(narrowed(table, scores)[0], "a")
    assert low > 0.3
    assert 0.57 < high < 0.7


def test_a_range_reaches_to_the_next_value_that_was_tried() -> None:
    for seed in range(4):
        table, scores = made(lambda t: 0.9 - 4 * (t["a"] - 0.5) ** 2, seed=seed)
        for end in narrowed(table, scores)[1]["a"].values:
            assert np.abs(table["a"] - end).min() < 1e-9


def test_without_evidence_a_range_stays_whatever_is_plausible() -> None:
    table, scores = made(lambda t: 0.9 - (t["a"] - 0.3) ** 2, seed=0)
    trials = Finished(np.arange(100), scores, np.full(100, np.nan), table)
    values = {name: Plausible([0.2, 0.4], 20) for name in SPACE}
    options: dict[str, Any] = {"top": 5, "direction": "maximize", "first_space": SPACE, "plausible": lambda: values}
    by_evidence, regardless = (narrow(SPACE, trials, by_evidence=of, **options) for of in (True, False))
    assert by_evidence.ranges["dummy"].verdict == "none"
    assert by_evidence.space["dummy"] == SPACE["dummy"] != regardless.space["dummy"]
    assert by_evidence.space["a"] == regardless.space["a"] != SPACE["a"]


def test_none_of_the_best_trials_is_cut_off() -> None:
    table, scores = made(lambda t: 0.5 - (t["a"] - 0.3) ** 2, seed=3)
    table["a"][0], scores[0] = 0.99, 0.95  # alone of its kind
    trials = Finished(np.arange(100), scores, np.full(100, np.nan), table)
    options: dict[str, Any] = {"top": 5, "direction": "maximize", "first_space": SPACE}
    made_of = narrow(SPACE, trials, plausible=lambda: {"a": Plausible([0.2, 0.4], 20)}, **options)
    assert ends(made_of, "a")[0] <= 0.2
    assert ends(made_of, "a")[1] >= 0.99


def test_choices_stay_unless_they_are_clearly_worse() -> None:
    space: Space = {"kind": Categorical(("good", "same", "bad")), "a": Float(0.0, 1.0)}
    rng = np.random.default_rng(0)
    kinds = np.array(["good", "same", "bad"], dtype=object)[rng.integers(3, size=120)]
    table: Table = {"kind": kinds, "a": rng.random(120)}
    scores = 0.8 - 0.3 * (kinds == "bad") - (table["a"] - 0.5) ** 2 + 0.01 * rng.normal(size=120)
    of = fit(space, scores, table, sign=1.0)
    assert of is not None
    trials = Finished(np.arange(120), scores, np.full(120, np.nan), table)
    values = plausible(of, space, table, 5, fixed={}, used_by={})
    options: dict[str, Any] = {"top": 5, "direction": "maximize", "first_space": space, "by_evidence": True}
    after = narrow(space, trials, plausible=lambda: values, **options).space["kind"]
    assert isinstance(after, Categorical)
    assert after.choices == ("good", "same")


def test_a_conditional_parameter_is_narrowed_by_the_trials_that_have_it() -> None:
    space: Space = {"kind": Categorical(("x", "y")), "depth": Float(0.0, 1.0, when={"kind": ("x",)})}
    rng = np.random.default_rng(0)
    kinds = np.array(["x", "y"], dtype=object)[rng.integers(2, size=120)]
    depth = np.where(kinds == "x", rng.random(120), np.nan)
    scores = np.where(kinds == "x", 0.9 - (depth - 0.2) ** 2, 0.7) + 0.01 * rng.normal(size=120)
    table: Table = {"kind": kinds, "depth": depth}
    of = fit(space, scores, table, sign=1.0)
    assert of is not None
    values = plausible(of, space, table, 5, fixed={}, used_by={})
    assert values["kind"].values == ["x"]
    low, high = values["depth"].values
    assert low < 0.2 < high < 0.6


def test_a_parameter_that_some_trials_lack_is_varied_only_where_trials_have_it() -> None:
    # As functions that suggest their values make them: the conditions are not known.
    space: Space = {"kind": Categorical(("x", "y")), "depth": Float(0.0, 1.0), "size": Float(0.0, 1.0)}
    rng = np.random.default_rng(0)
    kinds = np.array(["x", "y"], dtype=object)[rng.integers(2, size=120)]
    table: Table = {"kind": kinds}
    table |= {name: np.where(kinds == of, rng.random(120), np.nan) for name, of in [("depth", "x"), ("size", "y")]}
    distance = np.where(kinds == "x", table["depth"], table["size"]) - 0.2
    scores = 0.9 - distance**2 + 0.01 * rng.normal(size=120)
    of = fit(space, scores, table, sign=1.0)
    assert of is not None
    values = plausible(of, space, table, 10, fixed={}, used_by={})
    for name in ("depth", "size"):
        low, high = values[name].values
        assert low < 0.2 < high < 0.7


def test_of_many_best_trials_some_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    table, scores = made(lambda t: 0.9 - (t["a"] - 0.3) ** 2, seed=0, trials=1500)
    of = fit(SPACE, scores, table, sign=1.0)
    assert of is not None
    sizes, difference = [], GaussianProcess.difference

    def counted(self: GaussianProcess, points: NDArray[Any], marks: NDArray[Any]) -> Any:
        sizes.append(len(points) * len(marks))
        return difference(self, points, marks)

    monkeypatch.setattr(GaussianProcess, "difference", counted)
    low, high = plausible(of, SPACE, table, 1000, fixed={}, used_by={})["a"].values
    assert low < 0.3 < high < 1
    assert max(sizes) < 2_000_000
