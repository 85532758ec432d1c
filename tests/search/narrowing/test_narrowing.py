"""Laws of narrowing: what the new ranges contain, how they move, what does not matter to them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import narrowings
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.search.range_analysis import Narrowing, Scored, narrow, narrowing_to_dict
from hpsearch.space import Categorical, Float, Int, Space, Value, to_scale


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Float | Int, list[Value]]:
    """A numeric range and values inside it."""
    log, size = draw(st.booleans()), draw(st.integers(2, 40))
    if draw(st.booleans()):
        low = draw(st.integers(1, 200) if log else st.integers(-200, 200))
        step = 1 if log else draw(st.integers(1, 7))
        count = draw(st.integers(1, 60))
        cells = draw(st.lists(st.integers(0, count), min_size=size, max_size=size))
        return Int(low, low + count * step, log=log, step=step), [low + step * cell for cell in cells]
    start = draw(st.floats(1e-8, 1e3) if log else st.floats(-1e3, 1e3))
    real = Float(start, start * draw(st.floats(1.5, 1e6)) if log else start + draw(st.floats(0.1, 1e4)), log=log)
    units = draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))
    a, b = to_scale(real, real.low), to_scale(real, real.high)
    places = [a + u * (b - a) for u in units]
    return real, [float(np.clip(10**p if log else p, real.low, real.high)) for p in places]


@given(_cases(), st.integers(2, 6), st.randoms())
def test_a_new_range_lies_within_the_old_one_and_holds_the_best(
    case: tuple[Float | Int, list[Value]], top: int, random: Random
) -> None:
    old, values = case
    top = min(top, len(values))
    trials = narrowings.trials({"x": values}, [-float(i // 2) for i in range(len(values))])
    shuffled = list(trials)
    random.shuffle(shuffled)
    result = narrow({"x": old}, shuffled, top=top, direction="maximize", first_space={"x": old})
    new = narrowings.numeric(result)
    assert old.low <= new.low < new.high <= old.high
    best = [trials[number].params["x"] for number in result.used]
    assert all(new.low <= float(value) <= new.high for value in best)
    width = to_scale(old, new.high) - to_scale(old, new.low)
    assert width >= 0.02 * (to_scale(old, old.high) - to_scale(old, old.low)) * (1 - 1e-9)
    if isinstance(old, Int) and isinstance(new, Int):
        assert new.step == old.step
        assert (new.low - old.low) % old.step == 0
    assert (new.log, new.limit) == (old.log, old.limit)
    # The order in which trials come does not matter.
    assert narrow({"x": old}, trials, top=top, direction="maximize", first_space={"x": old}) == result


@given(_cases(), st.data())
def test_only_the_order_of_the_scores_matters(case: tuple[Float | Int, list[Value]], data: st.DataObject) -> None:
    old, values = case
    scores = data.draw(st.lists(st.integers(-9, 9), min_size=len(values), max_size=len(values)))
    top = min(5, len(values))

    def result(transformed: Sequence[float], direction: str = "maximize") -> Narrowing:
        trials = narrowings.trials({"x": values}, transformed)
        sense = "minimize" if direction == "minimize" else "maximize"
        return narrow({"x": old}, trials, top=top, direction=sense, first_space={"x": old})  # type: ignore[arg-type]

    plain = result([float(s) for s in scores])
    assert result([math.exp(s / 3) for s in scores]) == plain
    mirrored = result([-(float(s) ** 3) for s in scores], "minimize")
    assert (mirrored.space, mirrored.used) == (plain.space, plain.used)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=40))
def test_a_log_range_narrows_like_a_linear_range_of_the_exponents(units: list[float]) -> None:
    exponents = [-6.0 + 4 * u for u in units]
    values = [min(max(10**e, 1e-6), 1e-2) for e in exponents]
    linear, log = narrowings.one(Float(-6, -2), exponents), narrowings.one(Float(1e-6, 1e-2, log=True), values)
    assert math.log10(narrowings.numeric(log).low) == pytest.approx(narrowings.numeric(linear).low, abs=1e-9)
    assert math.log10(narrowings.numeric(log).high) == pytest.approx(narrowings.numeric(linear).high, abs=1e-9)
    assert log.ranges["x"].evidence == pytest.approx(linear.ranges["x"].evidence, abs=1e-9)
    assert log.ranges["x"].kept == pytest.approx(linear.ranges["x"].kept, abs=1e-9)


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_the_new_ends_are_unbiased(k: int) -> None:
    # Of as many parameters of the same trials, each with draws of its own: one narrowing gives all of the ends.
    names = [f"x{n}" for n in range(2500)]
    draws = dict(zip(names, np.random.default_rng([1, k]).uniform(4.0, 6.0, (2500, k)).tolist(), strict=True))
    result = narrow(
        dict.fromkeys(names, Float(-100, 100)),
        narrowings.trials(draws, [-float(i) for i in range(k)]),
        top=k,
        direction="maximize",
        first_space=dict.fromkeys(names, Float(0, 1e-6)),  # no floor
    )
    new = [result.space[name] for name in names]
    ends = np.array([[r.low, r.high] for r in new if not isinstance(r, Categorical)])
    assert len(ends) == 2500
    error = 4 * ends.std(axis=0) / math.sqrt(len(ends))
    assert abs(ends[:, 0].mean() - 4.0) < error[0]
    assert abs(ends[:, 1].mean() - 6.0) < error[1]


def test_the_estimate_by_hand() -> None:
    result = narrowings.one(Float(0, 1), [0.5, 0.3, 0.4, 0.45, 0.35, 0.9, 0.1])
    new = narrowings.numeric(result)
    assert [new.low, new.high] == pytest.approx([0.25, 0.55])
    r = result.ranges["x"]
    assert [r.lowest, r.highest, r.kept] == pytest.approx([0.3, 0.5, 0.3])
    assert r.evidence == pytest.approx(5 * 0.2**4 - 4 * 0.2**5)


def test_the_floor_is_two_percent_of_the_first_stage_shifted_inside() -> None:
    first = Float(0, 10)
    inner = narrowings.numeric(narrowings.one(Float(2, 4), [3.0] * 5, first=first))
    assert [inner.low, inner.high] == pytest.approx([2.9, 3.1])
    at_bound = narrowings.numeric(narrowings.one(Float(2, 4), [4.0] * 5, first=first))
    assert [at_bound.low, at_bound.high] == pytest.approx([3.8, 4.0])
    assert narrowings.numeric(narrowings.one(Float(2, 2.1), [2.0] * 5, first=first)) == Float(2, 2.1)


def test_ints_round_outwards_along_their_steps() -> None:
    # a = 16, b = 24, w = 2: 14 .. 26, in steps of 4 from 0 that is 12 .. 28.
    assert narrowings.one(Int(0, 40, step=4), [16, 24, 20, 20, 16]).space["x"] == Int(12, 28, step=4)
    assert narrowings.one(Int(10, 20), [15] * 5).space["x"] == Int(14, 16)
    assert narrowings.one(Int(1, 2), [2] * 5).space["x"] == Int(1, 2)
    # Exactly on a value, up to rounding: nothing further out.
    assert narrowings.one(Int(1, 10_000, log=True), [1000, 10, 100], top=3).space["x"] == Int(1, 10_000, log=True)
    assert narrowings.one(Int(1, 10**6, log=True), [1000, 100], top=2).space["x"] == Int(10, 10_000, log=True)


def test_ends_that_are_values_up_to_rounding_are_those_values() -> None:
    for base in range(3, 30):
        result = narrowings.one(Int(1, 10**6, log=True), [base**3, base**2], top=2)
        assert result.space["x"] == Int(base, base**4, log=True)


def test_a_range_that_stays_keeps_its_bounds_to_the_bit() -> None:
    for low in np.random.default_rng(4).uniform(1e-6, 1e-5, 50).tolist():
        old = Float(low, low * 777, log=True)
        assert narrowings.one(old, [old.low * 2, old.high / 2], top=2).space["x"] == old  # clipped at both ends


def test_choices_keep_their_old_order() -> None:
    old = Categorical(("relu", "tanh", "sigmoid", "elu"))
    result = narrowings.one(old, ["sigmoid", "relu", "sigmoid", "relu", "relu", "tanh"])
    assert result.space["x"] == Categorical(("relu", "sigmoid"))
    assert result.ranges["x"].kept == 0.5
    only = narrowings.one(Categorical(("relu",)), ["relu"] * 5)
    assert only.space["x"] == Categorical(("relu",))
    assert only.ranges["x"].sentences() == ("no evidence: there was only one choice",)


def test_ties_go_to_the_lower_loss_then_to_the_lower_number() -> None:
    losses = [None, 0.9, 0.2, 0.9, None, math.nan]
    trials = [Scored(i, 0.8, loss, {"x": 0.1 * i}) for i, loss in enumerate(losses)]
    trials.append(Scored(9, 0.81, None, {"x": 1.0}))
    space: Space = {"x": Float(0, 1)}
    up = narrow(space, trials[::-1], top=7, direction="maximize", first_space=space)
    assert up.used == (9, 2, 1, 3, 0, 4, 5)
    down = narrow(space, trials, top=7, direction="minimize", first_space=space)
    assert down.used == (2, 1, 3, 0, 4, 5, 9)


@pytest.mark.parametrize(("quantile", "n", "k"), [(0.07, 100, 7), (0.1, 101, 11), (0.01, 50, 2), (1.0, 9, 9)])
def test_a_quantile_rounds_up_and_takes_at_least_two(quantile: float, n: int, k: int) -> None:
    space: Space = {"x": Float(0, 1)}
    trials = narrowings.trials({"x": [0.5] * n}, range(n))
    result = narrow(space, trials, quantile=quantile, direction="maximize", first_space=space)
    assert len(result.used) == k
    assert result.rule["quantile"] == quantile


@pytest.mark.parametrize(
    ("n", "top", "quantile", "error", "message"),
    [
        (9, 1, None, BadInput, "top = 1; one value has no spread, so give at least 2"),
        (9, 5, 0.1, BadInput, "top = 5 and quantile = 0.1 were both given; give one of them"),
        (9, None, None, BadInput, "neither top nor quantile was given; give one of them"),
        (9, None, 0.0, BadInput, "quantile = 0.0; give a share above 0 and at most 1, such as 0.1"),
        (9, None, math.nan, BadInput, "quantile = nan; give a share above 0 and at most 1, such as 0.1"),
        (
            3,
            5,
            None,
            NotEnoughTrials,
            "the top 5 needs 5 trials that finished with a score and there are 3; run more trials or ask for top 3",
        ),
        (
            1,
            5,
            None,
            NotEnoughTrials,
            "the top 5 needs 5 trials that finished with a score and there is 1; run more trials",
        ),
        (
            1,
            None,
            0.5,
            NotEnoughTrials,
            "a quantile of 0.5 needs 2 trials that finished with a score and there is 1; run more trials",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    n: int, top: int | None, quantile: float | None, error: type[Exception], message: str
) -> None:
    space: Space = {"x": Float(0, 1)}
    trials = narrowings.trials({"x": [0.5] * n}, range(n))
    with pytest.raises(error) as caught:
        narrow(space, trials, top=top, quantile=quantile, direction="maximize", first_space=space)
    assert str(caught.value) == message
    assert type(caught.value) is error


def test_trials_of_another_stage_are_refused() -> None:
    with pytest.raises(BadInput, match=r"trial 1 has x = 2.0, which is not within \[0, 1\]"):
        narrowings.one(Float(0, 1), [0.5, 2.0, 0.4], top=2)
    with pytest.raises(BadInput, match="trial 0 has x = 'elu', which is not one of relu, tanh"):
        narrowings.one(Categorical(("relu", "tanh")), ["elu", "relu"], top=2)
    with pytest.raises(BadInput, match="trial 0 has no value of 'y'"):
        narrow(
            {"y": Float(0, 1)},
            narrowings.trials({"x": [0.1, 0.2]}, [1, 2]),
            top=2,
            direction="maximize",
            first_space={},
        )


def test_the_evidence_in_words() -> None:
    r = narrowings.one(Float(0, 1), [0.5, 0.52, 0.48, 0.51, 0.49, 0.1]).ranges["x"]
    for p, words in (
        (0.0002, "evidence 0.0002: the top 5 lie far closer together than chance would put them"),
        (0.03, "some evidence (0.03): the top 5 lie closer together than chance would put them"),
        (0.43, "no evidence (0.43): the top 5 are spread as if x did not matter"),
    ):
        assert replace(r, evidence=p).sentences() == (words,)
    choice = narrowings.one(Categorical(("a", "b", "c", "d")), ["a"] * 5).ranges["x"]
    assert choice.sentences() == ("evidence 0.004: the top 5 agree far more than chance would",)


def test_a_narrowing_is_plain_data() -> None:
    rng = np.random.default_rng(2)
    space: Space = {
        "lr": Float(1e-6, 1e-2, log=True, limit=(1e-9, 1.0)),
        "units": Int(10, 100, step=10),
        "activation": Categorical(("relu", "tanh")),
    }
    lr = (10 ** rng.uniform(-6, -2, 100)).tolist()
    trials = narrowings.trials(
        {"lr": lr, "units": (10 * rng.integers(1, 11, 100)).tolist(), "activation": ["relu", "tanh"] * 50}, lr
    )
    result = narrow(space, trials, top=5, direction="maximize", first_space=space, expand=True)
    assert list(result.space) == list(space)
    assert list(result.ranges) == list(space)
    plain = narrowing_to_dict(result)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["used"] == sorted(range(100), key=lambda i: -lr[i])[:5]
    assert plain["ranges"]["lr"]["edges"][0]["side"] == "high"
    assert plain["space"]["lr"]["limit"] == [1e-9, 1.0]
    assert plain["rule"]["top"] == 5
