"""Laws of narrowing: the new ranges' ends, what moves them, and what does not matter to them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_stages import as_number

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.objectives.base import UsedBy
from hpsearch.objectives.network.kind import HYPERPARAMETERS
from hpsearch.records import Direction
from hpsearch.search.evidence import spread_p
from hpsearch.search.narrowing import reachable
from hpsearch.search.range_analysis import Finished, NarrowedRange, Narrowing, narrow, used_trials
from hpsearch.serialization import to_plain
from hpsearch.space import Categorical, Float, Int, Parameter, Space, Value, to_distribution, to_scale

UNIT: Space = {"x": Float(0.0, 1.0)}


def trials(
    columns: Mapping[str, Sequence[Value]],
    scores: Sequence[float],
    losses: Sequence[float | None] | None = None,
    order: Sequence[int] | None = None,
) -> Finished:
    """Trials 0, 1, ... with these values and scores, in an order."""
    which = np.array(range(len(scores)) if order is None else order, dtype=np.int64)
    params = {name: np.array(list(column), dtype=object)[which] for name, column in columns.items()}
    loss = np.array([None] * len(scores) if losses is None else losses, dtype=float)
    return Finished(which, np.array(scores, dtype=float)[which], loss[which], params)


def best_first(
    space: Space, columns: Mapping[str, Sequence[Value]], *, top: int | None = 5, **options: Any
) -> Narrowing:
    """Narrow trials of which the earlier ones are the better ones."""
    count = len(next(iter(columns.values())))
    scored = trials(columns, [-float(i) for i in range(count)])
    return narrow(space, scored, **{"top": top, "direction": "maximize", "first_space": space, **options})


def sides(made: NarrowedRange) -> list[str]:
    """The bounds of a range that are edges."""
    return [edge.side for edge in made.edges]


def one(
    parameter: Parameter,
    values: Sequence[Value],
    *,
    top: int = 5,
    first: Parameter | None = None,
    natural: tuple[float | None, float | None] = (None, None),
    scores: Sequence[float] | None = None,
    **options: Any,
) -> Narrowing:
    """Narrow a single parameter x; without scores, the earlier values are the better ones."""
    scored = trials({"x": values}, [-float(i) for i in range(len(values))] if scores is None else scores)
    chosen = {"top": top, "direction": "maximize", "first_space": {"x": first or parameter}, **options}
    return narrow({"x": parameter}, scored, natural={"x": natural}, **chosen)


def numeric(narrowing: Narrowing) -> Float | Int:
    new = narrowing.space["x"]
    assert not isinstance(new, Categorical)
    return new


def sentences(narrowing: Narrowing, name: str = "x") -> list[str]:
    return list(map(str, narrowing.ranges[name].sentences))


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
    case: tuple[Float | Int, list[Value]], top: int, random: Any
) -> None:
    old, values = case
    top = min(top, len(values))
    scores = [-float(i // 2) for i in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)
    options: dict[str, Any] = {"top": top, "direction": "maximize", "first_space": {"x": old}}
    result = narrow({"x": old}, trials({"x": values}, scores, order=order), **options)
    new = numeric(result)
    assert old.low <= new.low < new.high <= old.high
    assert all(new.low <= as_number(values[number]) <= new.high for number in result.used)
    width = to_scale(old, new.high) - to_scale(old, new.low)
    assert width >= 0.02 * (to_scale(old, old.high) - to_scale(old, old.low)) * (1 - 1e-9)
    if isinstance(old, Int) and isinstance(new, Int):
        assert new.step == old.step
        assert (new.low - old.low) % old.step == 0
    assert (new.log, new.limit) == (old.log, old.limit)
    # The order in which trials come does not matter.
    assert narrow({"x": old}, trials({"x": values}, scores), **options) == result


@given(_cases(), st.data())
def test_only_the_order_of_the_scores_matters_to_ranges_and_evidence(
    case: tuple[Float | Int, list[Value]], data: st.DataObject
) -> None:
    old, values = case
    scores = data.draw(st.lists(st.integers(-9, 9), min_size=len(values), max_size=len(values)))

    def made(transformed: Sequence[float], direction: str = "maximize") -> Any:
        return one(old, values, top=min(5, len(values)), scores=transformed, direction=direction)

    plain = made([float(s) for s in scores])
    for other in (made([math.exp(s / 3) for s in scores]), made([-(float(s) ** 3) for s in scores], "minimize")):
        assert (other.used, other.ranges["x"].evidence) == (plain.used, plain.ranges["x"].evidence)
        # How steeply scores rise at a bound is a matter of their size; a range does not narrow away from such an edge.
        if not (plain.ranges["x"].edges or other.ranges["x"].edges):
            assert other.space == plain.space


@given(st.lists(st.floats(0, 1), min_size=5, max_size=40))
def test_a_log_range_narrows_like_a_linear_range_of_the_exponents(units: list[float]) -> None:
    exponents = [-6.0 + 4 * u for u in units]
    values = [min(max(10**e, 1e-6), 1e-2) for e in exponents]
    linear, log = one(Float(-6, -2), exponents), one(Float(1e-6, 1e-2, log=True), values)
    assert math.log10(numeric(log).low) == pytest.approx(numeric(linear).low, abs=1e-9)
    assert math.log10(numeric(log).high) == pytest.approx(numeric(linear).high, abs=1e-9)
    assert log.ranges["x"].evidence == pytest.approx(linear.ranges["x"].evidence, abs=1e-9)
    assert log.ranges["x"].kept == pytest.approx(linear.ranges["x"].kept, abs=1e-9)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_the_new_ends_are_unbiased(k: int) -> None:
    # Of as many parameters of the same trials, each with draws of its own: one narrowing gives all of the ends.
    names = [f"x{n}" for n in range(2500)]
    draws = dict(zip(names, np.random.default_rng([1, k]).uniform(4.0, 6.0, (2500, k)).tolist(), strict=True))
    space = dict.fromkeys(names, Float(-100, 100))
    no_floor = dict.fromkeys(names, Float(0, 1e-6))
    result = best_first(space, draws, top=k, first_space=no_floor)
    ends = np.array([[r.low, r.high] for r in result.space.values() if isinstance(r, Float)])
    assert len(ends) == 2500
    error = 4 * ends.std(axis=0) / math.sqrt(len(ends))
    assert np.all(np.abs(ends.mean(axis=0) - [4.0, 6.0]) < error)


def test_the_estimate_by_hand() -> None:
    result = one(Float(0, 1), [0.5, 0.3, 0.4, 0.45, 0.35, 0.9, 0.1])
    assert [numeric(result).low, numeric(result).high] == pytest.approx([0.25, 0.55])
    r = result.ranges["x"]
    assert r.kept == pytest.approx(0.3)
    assert r.spread == pytest.approx(5 * 0.2**4 - 4 * 0.2**5)


@pytest.mark.parametrize(
    ("old", "values", "first", "new"),
    [
        # The floor is 2 % of the first stage's width, shifted inside.
        (Float(2, 4), [3.0] * 5, Float(0, 10), Float(2.9, 3.1)),
        (Float(2, 4), [4.0] * 5, Float(0, 10), Float(3.8, 4.0)),
        (Float(2, 2.1), [2.0] * 5, Float(0, 10), Float(2, 2.1)),
        # Ints round outwards: a = 16, b = 24, w = 2: 14 .. 26, in steps of 4 from 0 that is 12 .. 28.
        (Int(0, 40, step=4), [16, 24, 20, 20, 16], None, Int(12, 28, step=4)),
        (Int(10, 20), [15] * 5, None, Int(14, 16)),
        (Int(1, 2), [2] * 5, None, Int(1, 2)),
        # Exactly on a value, up to rounding: nothing further out.
        (Int(1, 10_000, log=True), [1000, 10, 100], None, Int(1, 10_000, log=True)),
        *((Int(1, 10**6, log=True), [b**3, b**2], None, Int(b, b**4, log=True)) for b in range(3, 30)),
        # Choices keep their old order.
        (Categorical(("r", "t", "s", "e")), ["s", "r", "s", "r", "r", "t"], None, Categorical(("r", "s"))),
        (Categorical(("r",)), ["r"] * 5, None, Categorical(("r",))),
    ],
)
def test_new_ranges_by_hand(old: Any, values: list[Value], first: Any, new: Any) -> None:
    made = one(old, values, top=min(5, len(values)), first=first).space["x"]
    if isinstance(new, Float):
        assert isinstance(made, Float)
        assert [made.low, made.high] == pytest.approx([new.low, new.high])
    else:
        assert made == new


def test_a_condition_stays_with_what_is_narrowed() -> None:
    when = {"optimizer": ("sgd",)}
    assert one(Categorical(("p", "q", "r"), when=when), ["p", "q"] * 4).space["x"] == Categorical(("p", "q"), when=when)
    assert one(Float(0, 1, when=when), [0.5, 0.3, 0.4, 0.45, 0.35, 0.9]).space["x"].when == when


def test_a_range_of_floats_with_steps_keeps_to_them() -> None:
    old = Float(0, 1, step=0.1)
    made = one(old, [0.1 * 3, 0.5, 0.4, 0.4, 0.5, 0.9])
    assert made.space["x"] == Float(0.2, 0.6, step=0.1)  # [0.25, 0.55] rounded outwards, as people write it
    to_distribution(made.space["x"])  # Optuna warns of bounds that are not whole steps apart
    assert made.ranges["x"].evidence == one(Int(0, 10), [3, 5, 4, 4, 5, 9]).ranges["x"].evidence


def test_a_range_that_stays_keeps_its_bounds_to_the_bit() -> None:
    for low in np.random.default_rng(4).uniform(1e-6, 1e-5, 50).tolist():
        old = Float(low, low * 777, log=True)
        assert one(old, [old.low * 2, old.high / 2], top=2).space["x"] == old  # clipped at both ends


def test_ties_go_to_the_lower_loss_then_to_the_lower_number() -> None:
    scored = trials({"x": [0.1] * 7}, [0.8] * 6 + [0.81], [None, 0.9, 0.2, 0.9, None, math.nan, None], range(6, -1, -1))
    assert narrow(UNIT, scored, top=7, direction="maximize", first_space=UNIT).used == (6, 2, 1, 3, 0, 4, 5)
    assert narrow(UNIT, scored, top=7, direction="minimize", first_space=UNIT).used == (2, 1, 3, 0, 4, 5, 6)


@pytest.mark.parametrize(
    ("quantile", "n", "pruned", "k"),
    [(0.07, 100, 0, 7), (0.1, 101, 0, 11), (0.01, 50, 0, 2), (1.0, 9, 0, 9), (0.05, 9, 91, 5)],
)
def test_a_quantile_of_all_trials_rounds_up_and_takes_at_least_two(
    quantile: float, n: int, pruned: int, k: int
) -> None:
    result = best_first(UNIT, {"x": [0.5] * n}, top=None, quantile=quantile, pruned=pruned)
    assert len(result.used) == k
    assert result.rule["quantile"] == quantile


_NEEDS = "trials that finished with a score and there"


@pytest.mark.parametrize(
    ("n", "pruned", "options", "error", "message"),
    [
        (9, 0, {"top": 1}, BadInput, "top=1: one value has no spread; give at least 2"),
        (9, 0, {"top": 5, "quantile": 0.1}, BadInput, "top=5 and quantile=0.1: give one of them"),
        (9, 0, {"top": None}, BadInput, "top and quantile: give one of them"),
        (9, 0, {"top": None, "quantile": 0.0}, BadInput, "quantile=0.0: give a share above 0 and at most 1, such as"),
        (9, 0, {"top": None, "quantile": math.nan}, BadInput, "quantile=nan: give a share above 0"),
        (3, 0, {}, NotEnoughTrials, f"the top 5 needs 5 {_NEEDS} are 3; run more trials or use the top 3"),
        (1, 0, {}, NotEnoughTrials, f"the top 5 needs 5 {_NEEDS} is 1; run more trials"),
        (1, 0, {"top": None, "quantile": 0.5}, NotEnoughTrials, f"a quantile of 0.5 needs 2 {_NEEDS} is 1; run more"),
        (3, 97, {}, NotEnoughTrials, f"the top 5 needs 5 {_NEEDS} are 3 (97 more were pruned); run more trials or use"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    n: int, pruned: int, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        best_first(UNIT, {"x": [0.5] * n}, pruned=pruned, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("old", "values", "words"),
    [
        (Float(0, 1), [0.5, 0.52, 0.48, 0.51, 0.49], "p = 2e-05: the top 5 lie far closer together than chance"),
        (
            Float(0, 1),
            [0.4, 0.6, 0.5, 0.42, 0.45],
            "p = 0.01, weak evidence: the top 5 lie closer together than chance",
        ),
        (Float(0, 1), [0.2, 0.9, 0.5, 0.4, 0.35], "p = 1.00, no evidence: the top 5 are spread as if x did not matter"),
        (Categorical(("a", "b", "c", "d")), ["a"] * 5, "p = 0.008: the top 5 agree far more than chance would"),
        (Categorical(("a",)), ["a"] * 5, "no evidence: there was only one choice"),
    ],
)
def test_the_evidence_in_words(old: Any, values: list[Value], words: str) -> None:
    others = old.choices * 40 if isinstance(old, Categorical) else [i * 7 % 20 / 20 for i in range(40)]
    (sentence,) = sentences(one(old, [*values, *others[:40]]))
    assert sentence.startswith(words)


def test_an_effect_that_the_best_few_do_not_show_is_evidence_within_the_range() -> None:
    """The middle is good and the best are two lucky ones of each part."""
    x = np.linspace(0, 1, 90)
    scores = np.where((x < 1 / 3) | (x > 2 / 3), 0.4, 0.7) + 0.05 * np.random.default_rng(1).standard_normal(90)
    scores[[2, 20, 40, 70, 88]] = 0.9
    made = one(Float(0, 1), x.tolist(), scores=scores.tolist(), first=Float(0, 2))
    of_x = made.ranges["x"]
    assert of_x.spread is not None
    assert of_x.spread > 0.5
    assert of_x.verdict == "clear"
    assert re.fullmatch(
        r"p = \de-\d\d within this range: mean score by x: low third 0\.\d+, middle third 0\.\d+, high .*",
        sentences(made)[0],
    )


def test_a_narrowing_is_plain_data() -> None:
    rng = np.random.default_rng(2)
    space: Space = {
        "lr": Float(1e-6, 1e-2, log=True, limit=(1e-9, 1.0)),
        "units": Int(10, 100, step=10),
        "activation": Categorical(("relu", "tanh")),
    }
    lr = (10 ** rng.uniform(-6, -2, 100)).tolist()
    columns = {"lr": lr, "units": (10 * rng.integers(1, 11, 100)).tolist(), "activation": ["relu", "tanh"] * 50}
    result = narrow(space, trials(columns, lr), top=5, direction="maximize", first_space=space, expand=True)
    assert list(result.space) == list(result.ranges) == list(space)
    plain = to_plain(result)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["used"] == sorted(range(100), key=lambda i: -lr[i])[:5]
    assert plain["ranges"]["lr"]["edges"][0]["side"] == "high"
    assert plain["space"]["lr"]["limit"] == [1e-9, 1.0]
    assert plain["rule"]["top"] == 5
    kept = "before after top evidence kept expanded edges stopped sentences"
    assert set(plain["ranges"]["lr"]) == set(kept.split())


# Bounds moved outwards: expansion.


def _rising(old: Float | Int, *, towards: str = "high", **options: Any) -> Narrowing:
    """Sixty values over the range whose score rises up to one bound."""
    a, b = to_scale(old, old.low), to_scale(old, old.high)
    values: list[Value] = []
    for place in np.linspace(a, b, 60):
        value = 10**place if old.log else place
        value = round((value - old.low) / old.step) * old.step + old.low if isinstance(old, Int) else value
        values.append(min(max(value if isinstance(old, Int) else float(value), old.low), old.high))
    sign = 1 if towards == "high" else -1
    return one(old, values, scores=[sign * to_scale(old, as_number(v)) for v in values], **options)


def test_a_bound_towards_which_the_score_rises_is_kept_where_no_trial_is_next_to_it() -> None:
    values = np.linspace(0, 0.97, 60).tolist()
    made = one(Float(0, 1), values, scores=values)
    assert (sides(made.ranges["x"]), numeric(made).high) == (["high"], 1.0)


def test_without_expansion_an_edge_is_only_pointed_out() -> None:
    result = _rising(Float(1e-6, 1e-2, log=True))
    assert numeric(result).high == 1e-2
    assert (sides(result.ranges["x"]), result.ranges["x"].expanded) == (["high"], False)
    assert sentences(result)[1] == "the score still rises towards the upper bound 0.01: widen with expand"


def test_expansion_moves_the_bound_by_a_quarter_of_the_old_width_or_more() -> None:
    up = _rising(Float(1e-6, 1e-2, log=True), expand=True)
    assert numeric(up).high == pytest.approx(0.1)
    assert numeric(up).low > 1e-3
    assert up.ranges["x"].expanded
    assert sentences(up)[1] == "the score still rises towards the upper bound 0.01: widened to 0.1"
    down = _rising(Float(1e-6, 1e-2, log=True), towards="low", expand=True)
    assert numeric(down).low == pytest.approx(1e-7)
    assert "the score still rises towards the lower bound 1e-06: widened to 1e-07" in sentences(down)
    assert numeric(_rising(Float(0, 1), towards="low", expand=True)).low == pytest.approx(-0.25)
    x = np.linspace(0, 1, 60).tolist()
    falling = one(Float(0, 1), x, scores=[-v for v in x], direction="minimize")
    assert sentences(falling)[1].startswith("the score still falls towards the upper bound 1")


def test_expansion_reaches_as_far_out_as_the_narrowed_range_reaches_in() -> None:
    # The ten best fill the last third, so that a third is what it moves by: more than a quarter.
    x = np.linspace(0, 1, 30).tolist()
    new = numeric(one(Float(0, 1), x, scores=x, top=10, expand=True))
    assert new.high - 1 == pytest.approx(1 - new.low)
    assert new.high - 1 > 0.25


@pytest.mark.parametrize("by", ["limit", "natural"])
def test_a_limit_ends_or_forbids_the_move(by: str) -> None:
    def result(high: float) -> Narrowing:
        old = Float(0, 1, limit=(0, high)) if by == "limit" else Float(0, 1)
        return _rising(old, expand=True, natural=(None, None) if by == "limit" else (0, high))

    some = result(1.1)
    start = "the score still rises towards the upper bound 1"
    assert numeric(some).high == 1.1
    assert sentences(some)[1] == f"{start}: widened to 1.1, where the limit 1.1 stopped it"
    if by == "natural":  # a range beyond what is possible is left alone, not drawn in
        assert numeric(result(0.9)).high == 1.0
    none = result(1.0)
    assert numeric(none).high == 1.0
    assert not none.ranges["x"].expanded
    assert none.ranges["x"].stopped == {"high": 1.0}
    assert sentences(none)[1] == f"{start}, but the limit 1 allows no wider range"


def test_ints_expand_along_their_steps_and_stop_at_limits() -> None:
    assert numeric(_rising(Int(0, 40, step=4), expand=True)).high == 52  # 40 + at least 10, to the next step
    assert numeric(_rising(Int(0, 40, step=4, limit=(0, 51)), expand=True)).high == 48
    down = numeric(_rising(Int(8, 48, step=4), towards="low", expand=True, natural=(1, None)))
    assert down.low == 4  # -2 and lower, but for the natural limit; 0 is not allowed, and 1 is off the steps
    assert numeric(_rising(Int(2, 512, log=True), towards="low", expand=True)).low == 1


def test_an_expansion_never_reaches_a_value_that_is_left_out() -> None:
    momentum, eps = HYPERPARAMETERS["momentum"], HYPERPARAMETERS["eps"]
    assert reachable(momentum, Float(0.5, 0.9)) == (0.0, 0.95)
    assert reachable(eps, Float(0.5, 0.9)) == (0.25, None)
    assert reachable(eps, Float(0.5, 0.9, log=True)) == (None, None)  # 0 is infinitely far away
    assert reachable(HYPERPARAMETERS["batch_size"], Int(5, 9)) == (1, None)
    assert reachable(HYPERPARAMETERS["optimizer"], Categorical(("sgd",))) == (None, None)
    up = _rising(Float(0.5, 0.9), expand=True, natural=reachable(momentum, Float(0.5, 0.9)))
    assert numeric(up).high == 0.95


# A parameter that not every trial uses.

BY = {"momentum": UsedBy("optimizer", ("momentum", "nesterov"))}
SPACE: Space = {"optimizer": Categorical(("sgd", "momentum", "nesterov", "adam")), "momentum": Float(0.0, 0.99)}
BEST = ["momentum", "adam", "nesterov", "sgd", "momentum"]


def mixed(optimizers: Sequence[Value], values: Sequence[Value], **options: Any) -> Narrowing:
    return best_first(SPACE, {"optimizer": optimizers, "momentum": values}, **{"used_by": BY, **options})


def test_only_the_best_trials_that_use_it_make_its_range() -> None:
    values = [0.8, 0.1, 0.9, 0.05, 0.85, *np.linspace(0, 0.7, 20)]
    result = mixed([*BEST, *["momentum"] * 20], values)
    made = result.ranges["momentum"]
    single = one(Float(0.0, 0.99), [0.8, 0.9, 0.85, *np.linspace(0, 0.7, 20)], top=3)
    alone = single.ranges["x"]
    assert (made.after, made.evidence, made.top, made.edges) == (alone.after, alone.evidence, 3, alone.edges)
    assert sentences(result, "momentum")[0] == sentences(single)[0].replace(
        "the top 3", "of the best 5 the 3 that use it"
    ).replace("as if x", "as if momentum")
    every = mixed(["momentum"] * 25, [0.5, 0.52, 0.48, 0.51, 0.49, *np.linspace(0, 0.9, 20)])
    assert "the top 5 lie" in sentences(every, "momentum")[0]


@given(st.lists(st.floats(0, 0.99), min_size=20, max_size=20), st.lists(st.floats(0, 0.99), min_size=20, max_size=20))
def test_what_the_others_sampled_does_not_matter(used: list[float], unused: list[float]) -> None:
    optimizers = (["momentum", "adam", "nesterov", "sgd"] * 5)[:20]
    other = [u if o in ("momentum", "nesterov") else v for o, u, v in zip(optimizers, used, unused, strict=True)]
    assert mixed(optimizers, used, expand=True) == mixed(optimizers, other, expand=True)


def test_an_edge_is_seen_among_those_that_use_it() -> None:
    # 60 trials of momentum rise to the upper bound; of adam as many, whose values lie elsewhere, are mixed in.
    values = [v for rising in np.linspace(0.99, 0.0, 60) for v in (float(rising), 0.2)]
    (edge,) = mixed(["momentum", "adam"] * 60, values, top=10).ranges["momentum"].edges
    assert (edge.side, edge.trials) == ("high", 60)


@pytest.mark.parametrize(("users", "says"), [(1, "only 1"), (0, "none")])
def test_of_fewer_than_two_the_range_is_kept(users: int, says: str) -> None:
    optimizers = (["nesterov"] * users + ["adam"] * 5)[:5] + ["momentum"] * 20
    narrowing = mixed(optimizers, [0.5] * 25, expand=True)
    made = narrowing.ranges["momentum"]
    assert made.after == made.before == narrowing.space["momentum"]
    assert (made.evidence, made.kept, made.top) == (None, 1.0, users)
    where = "(optimizer momentum, nesterov)"
    assert sentences(narrowing, "momentum") == [f"{says} of the best 5 trials used momentum {where}: range kept"]
    assert narrowing.used == (0, 1, 2, 3, 4)


def test_the_condition_is_the_study_file_s_where_it_is_not_sampled() -> None:
    space: Space = {"momentum": Float(0.0, 0.99)}

    def top(settings: dict[str, Any]) -> int:
        columns: dict[str, list[Value]] = {"momentum": [0.5, 0.6, 0.55, 0.1]}
        made = best_first(space, columns, top=3, used_by=BY, settings=settings)
        return made.ranges["momentum"].top

    assert [top(settings) for settings in ({"optimizer": "momentum"}, {"optimizer": "adam"}, {})] == [3, 0, 3]
    # A sampled value stands before one that is set.
    assert mixed(BEST, [0.5] * 5, settings={"optimizer": "adam"}).ranges["momentum"].top == 3


# Trials that were pruned: they are beaten, and nothing more.


def pruned(complete: int, others: int) -> Narrowing:
    """The higher lr, the better; all of it presses against the upper bound."""
    space: Space = {"lr": Float(0.0, 1.0), "kind": Categorical(("a", "b"))}
    columns: dict[str, list[Value]] = {"lr": [1 - 0.001 * n for n in range(complete)], "kind": ["a"] * complete}
    return best_first(space, columns, expand=True, pruned=others)


def test_ranges_and_evidence_rest_on_the_complete_trials_alone() -> None:
    alone, others = pruned(9, 0), pruned(9, 91)
    assert others.used == alone.used
    for name in others.ranges:
        assert others.ranges[name].evidence == alone.ranges[name].evidence
    assert alone.rule == {"top": 5, "quantile": None, "used": 5, "finished": 9, "expand": True, "direction": "maximize"}
    assert others.rule == {**alone.rule, "finished": 100, "pruned": 91}


def test_too_few_complete_trials_say_nothing_of_a_bound() -> None:
    few, enough = pruned(19, 81), pruned(20, 80)
    assert few.ranges["lr"].edges == ()
    assert sentences(few, "lr")[-1] == "19 complete trials are too few to say whether a bound was cut too low"
    assert (sides(enough.ranges["lr"]), enough.ranges["lr"].expanded) == (["high"], True)
    assert len(sentences(enough, "lr")) == 2
    assert len(sentences(few, "kind")) == 1  # a list of choices has no bounds


# Leaders: trials that other means than their scores put first.

VALUES = [i / 20 for i in range(20)]


def led(leaders: Sequence[int] | None, scores: Sequence[float], top: int = 3) -> Narrowing:
    means = None if leaders is None else {leader: -float(place) for place, leader in enumerate(leaders)}
    return one(Float(0.0, 1.0), VALUES, top=top, scores=scores, leaders=means)


def test_leaders_are_the_best_in_their_order_and_edges_come_from_all_scores() -> None:
    scores = [1 - abs(value - 0.51) for value in VALUES]
    result = led([12, 9, 14, 10], scores)
    assert result.used == (12, 9, 14)
    by_score = led(None, [100.0 - [12, 9, 14].index(i) if i in (12, 9, 14) else 0.0 for i in range(20)])
    assert (by_score.used, by_score.space) == (result.used, result.space)
    assert result.ranges["x"].spread == by_score.ranges["x"].spread
    plain = led(None, scores)
    assert led(list(plain.used), scores) == plain
    assert sides(led(None, VALUES).ranges["x"]) == sides(led([18, 19, 17], VALUES).ranges["x"]) == ["high"]


def by_loss(x: Sequence[float], scores: Sequence[float], **options: Any) -> NarrowedRange:
    """Narrow trials whose losses fall with x, whatever their scores."""
    losses = [1 - value for value in x]
    chosen: dict[str, Any] = {"top": 5, "direction": "maximize", "first_space": UNIT, **options}
    return narrow(UNIT, trials({"x": x}, scores, losses), **chosen).ranges["x"]


@pytest.mark.parametrize(("count", "scores"), [(20, 3), (100, 5), (100, 2), (300, 8)])
def test_losses_among_equal_scores_are_no_evidence(count: int, scores: int) -> None:
    rngs = [np.random.default_rng([23, count, seed]) for seed in range(300)]
    ps = [by_loss(rng.random(count).tolist(), rng.integers(0, scores, count).tolist()).evidence for rng in rngs]
    assert np.mean(np.array(ps) <= 0.01) <= 0.03
    assert np.mean(np.array(ps) <= 0.05) <= 0.09


def test_trials_with_the_score_of_the_last_of_the_best_count_as_evidence() -> None:
    made = by_loss(VALUES, [0.9] * 5 + [0.8] * 15)
    assert (made.equal, made.spread) == (0, spread_p(UNIT["x"], VALUES[:5]))
    made = by_loss(VALUES, [0.9 * (1 + 1e-12 * i) for i in range(10)] + [0.8] * 10)  # equal but for rounding
    assert (made.equal, made.spread) == (5, spread_p(UNIT["x"], VALUES[:10]))
    assert "the top 5 and 5 more that score the same as the last of them" in str(made.sentences[0])
    assert by_loss(VALUES, [0.5] * 20).spread == by_loss(VALUES, [0.6] * 3 + [0.5] * 17).spread == 1
    assert by_loss(VALUES, [0.5] * 20, pruned=80).spread == spread_p(UNIT["x"], VALUES)


def test_leaders_with_equal_means_are_no_evidence_and_neither_are_they_before_equals() -> None:
    means = dict.fromkeys([19, 18, 17, 16, 15], 0.7)
    scores = [0.9 if i > 14 else 0.5 for i in range(20)]
    assert by_loss(VALUES, scores, leaders=means, top=2).spread == spread_p(UNIT["x"], VALUES[15:])
    assert by_loss(VALUES, [0.9] * 20, leaders=means).spread == 1


@given(
    count=st.integers(2, 90),
    others=st.sampled_from([0, 40]),
    rule=st.sampled_from([{"top": 2}, {"top": 5}, {"top": 40}, {"quantile": 0.02}, {"quantile": 0.4}]),
    direction=st.sampled_from(["maximize", "minimize"]),
    scores=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_losses_of_trials_that_are_not_ranked_make_no_difference(
    count: int, others: int, rule: dict[str, Any], direction: Direction, scores: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    space: Space = {"lr": Float(1e-4, 1.0, log=True), "dropout": Float(0.0, 0.9)}
    # Better and better up to the upper bound, where narrowing looks closest; and many tie.
    at = rng.random(count)
    score = np.round(at * scores) / scores * (1 if direction == "maximize" else -1)
    loss = np.round(rng.random(count), 1)
    params = {"lr": 10 ** (4 * at - 4), "dropout": rng.uniform(0, 0.9, count)}
    apart = used_trials(count, others, rule.get("top"), rule.get("quantile"))
    bad = -score if direction == "maximize" else score
    beyond = bad > np.sort(bad)[min(apart, count) - 1]

    def narrowed(of: np.ndarray[Any, Any]) -> Narrowing | str:
        options: dict[str, Any] = {"direction": direction, "first_space": space, "expand": True, "pruned": others}
        try:
            return narrow(space, Finished(np.arange(count), score, of, params), **rule, **options)
        except NotEnoughTrials as error:
            return str(error)

    assert narrowed(np.where(beyond, np.nan, loss)) == narrowed(loss)


def _found(search: int, *, effect: bool, ties: bool) -> list[bool]:
    """Return about what there is evidence in 60 complete trials of 90; a constraint ties layers to units."""
    rng = np.random.default_rng([29, search])
    units, layers = rng.integers(8, 257, 600), rng.integers(1, 9, 600)
    drawn = np.flatnonzero(units * layers <= 512)[:90]
    units, layers, idle = units[drawn], layers[drawn], rng.random(90)
    score = effect * np.log(units) + 0.3 * rng.standard_normal(90)
    score = np.round(score) if ties else score
    complete = np.argsort(-score, kind="stable")[:60]
    columns = {"units": units[complete].tolist(), "layers": layers[complete].tolist(), "idle": idle[complete].tolist()}
    space: Space = {"units": Int(8, 256), "layers": Int(1, 8), "idle": Float(0, 1)}
    options: dict[str, Any] = {"top": 5, "direction": "maximize", "first_space": space, "pruned": 30}
    made = narrow(space, trials(columns, score[complete].tolist()), constrained=("units", "layers"), **options).ranges
    return [made[name].verdict != "none" for name in ("units", "layers", "idle")]


@pytest.mark.parametrize("ties", [False, True])
def test_false_evidence_is_no_more_than_its_level_with_pruning_ties_and_constraints(ties: bool) -> None:
    nothing = np.mean([_found(search, effect=False, ties=ties) for search in range(60)], axis=0)
    assert np.all(nothing <= 0.1)
    units, layers, idle = np.mean([_found(search, effect=True, ties=ties) for search in range(60)], axis=0)
    assert units >= 0.9
    assert max(layers, idle) <= 0.12
