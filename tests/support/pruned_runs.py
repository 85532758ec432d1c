"""Runs over `pausing_objectives` in which trials stop early, and what is to become of their trials."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import cache
from typing import Any

from pausing_objectives import EPOCHS, Pausing, curve

from hpsearch.executors.base import Executor, InlineExecutor
from hpsearch.records import Stage
from hpsearch.search.pruning import Plan
from hpsearch.search.runner import Runner, Summary
from hpsearch.store import Store

HALVING = Plan("halving", 2, (1, 2, 4, 8), 16, 5, EPOCHS)
MEDIAN = Plan("median", 2, (1, 2, 4, 8), 12, 5, EPOCHS)
PLANS = [HALVING, replace(HALVING, factor=4, rungs=(1, 4)), MEDIAN]
UNTIL = 40

Found = dict[int, tuple[str, tuple[float, ...]]]
"""By number: the state that a trial is left in, and its curve."""


@cache
def expected(plan: Plan, until: int = UNTIL) -> Found:
    """What becomes of all trials, worked out rung by rung with all curves at hand."""
    found: Found = {}
    ran: list[tuple[float, ...]] = []
    for first in range(0, until, plan.cohort):
        alive = list(range(first, min(first + plan.cohort, until)))
        for rung in plan.rungs:
            at = {number: curve(number)[rung - 1] for number in alive if len(curve(number)) >= rung}
            if plan.rule == "halving":
                least = sorted(at.values(), reverse=True)[max(1, len(at) // plan.factor) - 1]
                beaten = [number for number, score in at.items() if score < least]
            elif len(ran) < plan.startup:
                beaten = []
            else:
                median = statistics.median(other[rung - 1] for other in ran)
                beaten = [number for number in at if max(curve(number, rung)) < median]
            found |= {number: ("PRUNED", curve(number, rung)) for number in beaten}
            alive = [number for number in alive if number not in beaten]
            if plan.rule == "halving":  # one that diverges later was compared as long as it had values
                alive = [number for number in alive if len(curve(number)) >= rung] + [
                    number for number in alive if len(curve(number)) < rung
                ]
        found |= {number: ("COMPLETE" if len(curve(number)) == EPOCHS else "FAIL", curve(number)) for number in alive}
        ran += [curve(number) for number in alive if len(curve(number)) == EPOCHS]
    return found


def found(store: Store, stage: Stage) -> Found:
    frame = store.trials(stage)
    states = dict(zip(frame["number"].tolist(), frame["state"].tolist(), strict=True))
    points = store.curves(stage, list(states))
    return {
        number: (state, tuple(points[points["number"] == number]["value"])) for number, state in sorted(states.items())
    }


def run(
    store: Store,
    stage: Stage,
    plan: Plan | None,
    objective: Pausing | None = None,
    executor: Executor | None = None,
    **more: Any,
) -> Summary:
    used = executor or InlineExecutor()
    try:
        return Runner(store, stage, objective or Pausing(), used, plan=plan, **{"until": UNTIL, **more}).run()
    finally:
        used.close(kill=True)
