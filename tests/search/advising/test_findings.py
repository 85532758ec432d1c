"""What was learned and what to do next: the advice follows from what was found, and says how little is known."""

from __future__ import annotations

import math
from collections.abc import Mapping

import hit_stages
import pytest

from hpsearch.search.findings import findings
from hpsearch.search.narrowing import narrow_stage
from hpsearch.space import Float, Value
from hpsearch.store import Store


def rising(number: int, params: Mapping[str, Value]) -> float:
    """Better with every decade of the learning rate, up to the upper bound and beyond it."""
    return 0.5 + 0.1 * (math.log10(float(params["lr"])) + 4)


def humped(number: int, params: Mapping[str, Value]) -> float:
    """Best in the middle of the learning rate's range."""
    return 0.9 - 0.15 * (math.log10(float(params["lr"])) + 2) ** 2


def test_before_any_trial_the_advice_is_to_run_them(store: Store) -> None:
    found = findings(store, [hit_stages.make(store, [], trials=0)])
    assert (found.best, found.tied, found.distinguishable, found.ranges) == (None, (), None, {})
    start = f"hpsearch start made --storage {store.where}"
    assert found.advice == (f"no trial has a score yet: run them ({start})",)
    assert (found.step, found.commands) == ("start", (start,))
    assert (found.search, found.stage) == ("made", "made/stage-01")


def test_an_edge_comes_first_and_the_command_that_widens_last(store: Store) -> None:
    found = findings(store, [hit_stages.make(store, rising, images=400)])
    lr = found.ranges["lr"]
    assert lr.at_edge == "high"
    assert isinstance(lr.after, Float)
    assert isinstance(lr.expanding, Float)
    assert lr.after.high <= 1.0 < lr.expanding.high
    assert found.advice[0].startswith(
        "the best lr lies at the upper edge, 1, and the score still gets better towards it"
    )
    assert found.advice[-1].startswith(f"next: hpsearch narrow --top 5 --expand --storage {store.where}, then ")
    assert found.commands[0] in found.advice[0]
    assert found.step == "expand"
    # The range that is advised is the one of that command.
    assert lr.advised == lr.expanding
    assert found.ranges["weight_decay"].advised == found.ranges["weight_decay"].after
    assert any("weight_decay shows no effect at this budget" in sentence for sentence in found.advice)


def test_an_edge_at_its_limit_is_not_to_be_widened(store: Store) -> None:
    space = {**hit_stages.SPACE, "lr": Float(1e-4, 1.0, log=True, limit=(1e-4, 1.0))}
    found = findings(store, [hit_stages.make(store, rising, images=400, space=space)])
    assert found.ranges["lr"].at_edge == "high"
    assert found.advice[0].endswith("its limit allows no wider range")
    assert "--expand" not in found.advice[-1]


def test_an_optimum_inside_is_narrowed_to(store: Store) -> None:
    stage = hit_stages.make(store, humped, images=400)
    found = findings(store, [stage], top=6)
    lr = found.ranges["lr"]
    assert lr.at_edge is None
    assert lr.expanding is None
    assert lr.p is not None
    assert lr.p < 0.01
    assert lr.low_moves is not None
    assert 0 < lr.low_moves < 0.5
    assert any(sentence.startswith("lr matters") for sentence in found.advice)
    assert found.commands == (
        f"hpsearch narrow --top 6 --storage {store.where}",
        f"hpsearch start made --storage {store.where}",
    )
    assert found.advice[-1] == f"next: {', then '.join(found.commands)}"
    # Nothing is decided twice: narrowing itself makes the same of the range.
    made = narrow_stage(store, [stage], top=6, dry_run=True)
    assert {name: of.after for name, of in made.narrowing.ranges.items()} == {
        name: of.after for name, of in found.ranges.items()
    }
    assert made.movement["lr"].low == lr.low_moves


def test_equals_are_not_distinguishable_and_not_narrowed(store: Store) -> None:
    found = findings(store, [hit_stages.make(store, [0.8] * 100)])
    assert found.distinguishable is False
    assert set(found.tied) >= {1, 2, 3, 4}
    assert any(sentence.startswith("the top 5 are not distinguishable: 99 ") for sentence in found.advice)
    assert all(of.p is not None and of.p > 0.05 for of in found.ranges.values())
    assert "hpsearch confirm" in found.advice[-1]


def test_a_winner_is_told_from_the_others(store: Store) -> None:
    found = findings(store, [hit_stages.make(store, [0.95, *[0.4] * 39], trials=40)])
    assert (found.distinguishable, found.tied) == (True, ())
    assert any("better than every other trial" in sentence for sentence in found.advice)


def test_few_trials_are_called_few(store: Store) -> None:
    few = findings(store, [hit_stages.make(store, rising, trials=8)])
    assert "only 8 trials" in few.advice[0]
    assert few.commands == (f"hpsearch start made --trials 100 --storage {store.where}",)
    assert few.advice[-1] == f"next: run more trials ({few.commands[0]})"
    fewer = findings(store, [hit_stages.make(store, rising, trials=3, number=2)])
    assert fewer.ranges == {}
    assert fewer.distinguishable is None
    assert "too few for a top 5" in fewer.advice[0]


def test_a_loss_is_not_given_an_error_that_nobody_knows(store: Store) -> None:
    found = findings(store, [hit_stages.make(store, humped, metric="validation_loss")])
    assert found.best is not None
    assert (found.best.interval, found.distinguishable) == (None, None)
    assert any("cannot be told apart by validation_loss" in sentence for sentence in found.advice)
    assert found.ranges["lr"].low_moves is not None  # over trials alone


def test_the_same_database_gives_the_same_findings(store: Store) -> None:
    stage = hit_stages.make(store, humped)
    assert findings(store, [stage]) == findings(store, [stage])


@pytest.mark.parametrize("hits", [True, False])
def test_an_empty_next_stage_is_not_what_the_ranges_are_about(store: Store, hits: bool) -> None:
    stage = hit_stages.make(store, humped, trials=30, hits=hits)
    narrow_stage(store, [stage], top=5)
    found = findings(store, store.stages())
    assert found.stage == "made/stage-01"
    assert found.step == "start"
    assert "made/stage-02 is made and has no trial yet" in found.advice[-1]
    assert found.best is not None
    assert (found.best.corrected is None) is not hits
