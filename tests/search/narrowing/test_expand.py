"""Edges pointed out, and bounds moved: what ``--expand`` does."""

from __future__ import annotations

import narrowings
import numpy as np
import pytest

from hpsearch.search.range_analysis import Narrowing, narrow
from hpsearch.space import Float, Int, Space, Value, to_scale


def _rising(old: Float | Int, *, towards: str = "high", **options: object) -> Narrowing:
    """Sixty values over the range whose score rises up to one bound."""
    a, b = to_scale(old, old.low), to_scale(old, old.high)
    values: list[Value] = []
    for place in np.linspace(a, b, 60):
        value = 10**place if old.log else place
        value = round((value - old.low) / old.step) * old.step + old.low if isinstance(old, Int) else value
        values.append(min(max(value if isinstance(old, Int) else float(value), old.low), old.high))
    scores = [float(v) if towards == "high" else -float(v) for v in values]
    return narrowings.one(old, values, scores=scores, **options)  # type: ignore[arg-type]


def test_without_expand_an_edge_is_only_pointed_out() -> None:
    result = _rising(Float(1e-6, 1e-2, log=True))
    r = result.ranges["x"]
    assert narrowings.numeric(result).high == 1e-2
    assert [edge.side for edge in r.edges] == ["high"]
    assert not r.expanded
    assert r.sentences()[1] == "the score still rises towards the upper bound 0.01: widen with --expand"


def test_expand_moves_the_bound_by_a_quarter_of_the_old_width_or_more() -> None:
    up = _rising(Float(1e-6, 1e-2, log=True), expand=True)
    assert narrowings.numeric(up).high == pytest.approx(0.1)
    assert narrowings.numeric(up).low > 1e-3
    assert up.ranges["x"].expanded
    assert up.ranges["x"].sentences()[1] == "the score still rises towards the upper bound 0.01: widened to 0.1"
    down = _rising(Float(1e-6, 1e-2, log=True), towards="low", expand=True)
    assert narrowings.numeric(down).low == pytest.approx(1e-7)
    assert "the score still rises towards the lower bound 1e-06: widened to 1e-07" in down.ranges["x"].sentences()
    below_zero = narrowings.numeric(_rising(Float(0, 1), towards="low", expand=True))
    assert below_zero.low == pytest.approx(-0.25)


def test_expand_reaches_as_far_out_as_the_narrowed_range_reaches_in() -> None:
    # The ten best fill the last third, so that a third is what it moves by: more than a quarter.
    x = [0.66, 1.0, *np.linspace(0.7, 0.99, 8).tolist(), *np.linspace(0, 0.6, 90).tolist()]
    scores = [0.9 + 0.1 * v for v in x[:10]] + [0.5 + 0.1 * v for v in x[10:]]
    result = narrowings.one(Float(0, 1), x, scores=scores, top=10, expand=True)
    new = narrowings.numeric(result)
    assert new.high - 1 == pytest.approx(1 - new.low)
    assert new.high - 1 > 0.25


@pytest.mark.parametrize("by", ["limit", "natural"])
def test_a_limit_ends_or_forbids_the_move(by: str) -> None:
    def result(high: float) -> Narrowing:
        old = Float(0, 1, limit=(0, high)) if by == "limit" else Float(0, 1)
        return _rising(old, expand=True, natural=(None, None) if by == "limit" else (0, high))

    some = result(1.1)
    assert narrowings.numeric(some).high == 1.1
    assert some.ranges["x"].sentences()[1] == (
        "the score still rises towards the upper bound 1: widened to 1.1, where the limit 1.1 stopped it"
    )
    if by == "natural":  # a range beyond what is possible is left alone, not drawn in
        assert narrowings.numeric(result(0.9)).high == 1.0
    none = result(1.0)
    assert narrowings.numeric(none).high == 1.0
    assert not none.ranges["x"].expanded
    assert none.ranges["x"].stopped == {"high": 1.0}
    assert none.ranges["x"].sentences()[1] == (
        "the score still rises towards the upper bound 1, but the limit 1 allows no wider range"
    )


def test_ints_expand_along_their_steps_and_stop_at_limits() -> None:
    assert narrowings.numeric(_rising(Int(0, 40, step=4), expand=True)).high == 52  # 40 + at least 10, to the next step
    assert narrowings.numeric(_rising(Int(0, 40, step=4, limit=(0, 51)), expand=True)).high == 48
    down = narrowings.numeric(_rising(Int(8, 48, step=4), towards="low", expand=True, natural=(1, None)))
    assert down.low == 4  # -2 and lower, but for the natural limit; 0 is not allowed, and 1 is off the steps
    log = narrowings.numeric(_rising(Int(2, 512, log=True), towards="low", expand=True))
    assert log.low == 1


def test_a_score_to_minimize_falls_towards_its_bound() -> None:
    x = np.linspace(0, 1, 60).tolist()
    space: Space = {"x": Float(0, 1)}
    result = narrow(space, narrowings.trials({"x": x}, [-v for v in x]), top=5, direction="minimize", first_space=space)
    assert result.ranges["x"].sentences()[1].startswith("the score still falls towards the upper bound 1")
