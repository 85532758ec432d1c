"""When runners that share a cohort decide, and that they decide alike: two of them, step by step."""

from __future__ import annotations

import statistics

from pausing_objectives import EPOCHS

from hpsearch.records import Completed, Failed, Paused, Stage
from hpsearch.search.batches import Cohorts
from hpsearch.search.pruning import Plan
from hpsearch.store import Owner, Store


class Side:
    """One of two runners, by hand: its cohorts, its trials and where they stand."""

    def __init__(self, store: Store, stage: Stage, plan: Plan, *, most: int) -> None:
        self.owner = Owner.current()
        self.cohorts = Cohorts(store, stage, plan, self.owner)
        self.trials = store.claim(stage, until=12, most=most, owner=self.owner).trials
        self.ids = {trial.number: trial.trial_id for trial in self.trials}
        self.cohorts.send(self.trials, 2)

    def come(self, *numbers: int) -> None:
        """Some of its trials come to the rung at epoch 2, all with the values of `ten`."""
        self.cohorts.arrive(self.trials, [Paused(number, (0.0, ten(number))) for number in numbers])
        self.cohorts.write(self.ids)

    def decide(self, until: int = 12) -> list[tuple[list[int], list[int], int | None]]:
        return [
            ([trial.number for trial, _ in one.survivors], [pruned.number for pruned in one.beaten], one.until)
            for one in self.cohorts.decide(self.ids, until=until)
        ]


def ten(number: int) -> float:
    return (number * 7 % 12) / 16


def test_nothing_is_decided_before_all_members_are_known_and_then_the_same_by_all(store: Store, stage: Stage) -> None:
    plan = Plan("halving", 3, (2, 6), 12, 5, EPOCHS)
    one = Side(store, stage, plan, most=5)
    one.come(0, 1, 2, 3, 4)
    assert one.decide() == []  # 5 to 11 have not begun
    other = Side(store, stage, plan, most=7)
    assert [trial.number for trial in other.trials] == [5, 6, 7, 8, 9, 10, 11]
    other.come(5, 6, 7)
    assert one.decide() == other.decide() == []
    # One that ended before the rung is not waited for, and not compared.
    other.cohorts.forget(8)
    store.record(stage, [Failed(8, "diverged", (0.5,))], other.ids, owner=other.owner)
    other.come(9, 10)
    assert one.decide() == other.decide() == []
    # One that its runner gave back is waited for again, whatever it came to before.
    other.come(11)
    store.release(stage, owner=other.owner)
    assert one.decide() == []
    again = {trial.number: trial.trial_id for trial in store.claim(stage, until=12, most=9, owner=other.owner).trials}
    assert again == {number: other.ids[number] for number in (5, 6, 7, 9, 10, 11)}
    best = sorted((n for n in range(12) if n != 8), key=ten, reverse=True)[: 11 // 3]
    beaten: dict[bool, list[int]] = {True: [], False: []}
    for number in sorted(set(range(12)) - {8, *best}):
        beaten[number < 5].append(number)
    # It holds them still, and writes what was lost once it decides itself.
    assert other.decide() == [([n for n in best if n >= 5], beaten[False], 6)]
    assert one.decide() == [([n for n in best if n < 5], beaten[True], 6)]
    assert one.decide() == other.decide() == []


def test_the_median_of_earlier_cohorts_waits_for_all_of_them_and_for_nobody_else(store: Store, stage: Stage) -> None:
    plan = Plan("median", 3, (2, 6), 6, 5, EPOCHS)
    early, late = Side(store, stage, plan, most=6), Side(store, stage, plan, most=5)
    late.come(6, 7, 8, 9, 10)  # 11 has not begun
    assert late.decide() == []
    done = [Completed(number, 0.5, (0.0, number / 16, 0.5)) for number in range(6)]
    store.record(stage, done[:5], early.ids, owner=early.owner)
    assert late.decide() == []
    store.record(stage, done[5:], early.ids, owner=early.owner)
    median = statistics.median(number / 16 for number in range(6))
    going = sorted((n for n in range(6, 11) if ten(n) >= median), key=ten, reverse=True)
    assert late.decide() == [(going, [n for n in range(6, 11) if n not in going], 6)]
