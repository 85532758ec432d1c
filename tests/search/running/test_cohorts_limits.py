"""What a runner with cohorts holds at most, and what it does when it is stopped or its trials break at that moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pausing_objectives import EPOCHS, Pausing, curve
from pruned_runs import expected, found, run

from hpsearch.executors.base import Batch
from hpsearch.executors.inline import InlineExecutor
from hpsearch.records import Completed, Outcome, Paused, Report, Stage, Trial
from hpsearch.search.pruning import Plan
from hpsearch.search.runner import Tick
from hpsearch.store import Owner, Store


def test_where_many_wait_for_another_runner_no_new_ones_begin(store: Store, stage: Stage) -> None:
    """Each that waits keeps its state in memory."""
    plan = Plan("median", 2, (1, 2, 4, 8), 4, 1, EPOCHS)
    other = Owner.current()
    (theirs,) = store.claim(stage, until=60, most=1, owner=other).trials
    rows: list[int] = []

    def other_ends(tick: Tick) -> None:
        if tick.waiting_for_others and not rows:
            rows.append(store.counts(stage).rows)
            done = Completed(theirs.number, 1.0, curve(1))
            store.record(stage, [done], {theirs.number: theirs.trial_id}, owner=other)

    summary = run(store, stage, plan, until=60, lanes=1, on_tick=other_ends)
    # The first cohort, two that wait, and what is claimed at a time.
    assert rows[0] <= plan.cohort + 2 * plan.cohort + 4
    assert summary.counts.finished == summary.counts.rows == 60


@dataclass(frozen=True)
class Breaking(Pausing):
    """Cannot evaluate some trials, whatever is tried."""

    never: tuple[int, ...] = ()

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        if any(trial.number in self.never for trial in trials):
            raise ValueError("broken")
        yield from super().evaluate(trials, until=until, paused=paused)


def test_trials_that_wait_show_that_others_can_be_evaluated(store: Store, stage: Stage) -> None:
    """Nothing is finished yet when the last three of a cohort break: their fault, not the machine's."""
    plan = Plan("halving", 2, (2,), 16, 5, EPOCHS)
    never = (*(number for number in range(13) if len(curve(number)) < 2), 13, 14, 15)
    summary = run(store, stage, plan, Breaking(never=never), until=16, lanes=1)
    assert summary.counts.finished == 16
    states = {number: state for number, (state, _) in found(store, stage).items()}
    assert {states.pop(number) for number in never} == {"FAIL"}
    assert {"PRUNED", "COMPLETE"} <= set(states.values())


def test_what_was_decided_just_before_a_stop_is_recorded(store: Store, stage: Stage) -> None:
    decided: list[Batch] = []

    class Watched(InlineExecutor):  # type: ignore[misc]  # final, but for this
        def expect(self, batches: int) -> None:
            pass

        def submit(self, batch: Any) -> None:
            if batch.paused:  # survivors: the others of their rung are beaten, and nobody has written that yet
                decided.append(batch)
            super().submit(batch)

    plan = Plan("halving", 2, (2,), 12, 5, EPOCHS)  # of whose last batch none diverges before the rung
    run(store, stage, plan, executor=Watched(), until=12, stopping=lambda: bool(decided))
    pruned = {number for number, (state, _) in found(store, stage).items() if state == "PRUNED"}
    assert pruned == {number for number, (state, _) in expected(plan, 12).items() if state == "PRUNED"} != set()
    assert store.counts(stage).running == 0
