"""Runs with pruning: the same trials are pruned, whatever the lanes, the processes, the runners or a kill."""

from __future__ import annotations

import itertools
import statistics
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
from stub_objectives import EPOCHS, TRAINED, Pausing, curve

from hpsearch.executors.base import Batch, Executor, InlineExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.records import Completed, Failed, NewStage, Paused, Stage
from hpsearch.search.batches import Cohorts
from hpsearch.search.pruning import Plan
from hpsearch.search.runner import Runner, Summary, Tick
from hpsearch.space import Float
from hpsearch.store import Counts, Owner, Store, open_store

HALVING = Plan("halving", 2, (1, 2, 4, 8), 16, 5, EPOCHS)
MEDIAN = Plan("median", 2, (1, 2, 4, 8), 12, 5, EPOCHS)
PLANS = [HALVING, replace(HALVING, factor=4, rungs=(1, 4)), MEDIAN]
UNTIL = 40

Ends = dict[int, tuple[str, tuple[float, ...]]]
"""By number: the state that a trial is left in, and its curve."""


@cache
def expected(plan: Plan, until: int = UNTIL) -> Ends:
    """What becomes of all trials, worked out rung by rung with all curves at hand."""
    made: Ends = {}
    ran: list[tuple[float, ...]] = []
    for first in range(0, until, plan.cohort):
        alive = list(range(first, min(first + plan.cohort, until)))
        for rung in plan.rungs:
            at = {number: curve(number)[rung - 1] for number in alive if len(curve(number)) >= rung}
            if plan.rule == "halving":
                least = sorted(at.values(), reverse=True)[max(1, len(at) // plan.factor) - 1]
                # One that diverges later was compared as long as it had values.
                beaten = [number for number, score in at.items() if score < least]
            elif len(ran) < plan.startup:
                beaten = []
            else:
                median = statistics.median(other[rung - 1] for other in ran)
                beaten = [number for number in at if max(curve(number, rung)) < median]
            made |= {number: ("PRUNED", curve(number, rung)) for number in beaten}
            alive = [number for number in alive if number not in beaten]
        made |= {number: ("COMPLETE" if len(curve(number)) == EPOCHS else "FAIL", curve(number)) for number in alive}
        ran += [curve(number) for number in alive if len(curve(number)) == EPOCHS]
    return made


def ends(store: Store, stage: Stage) -> Ends:
    frame = store.trials(stage).sort_values("number")
    states = dict(zip(frame["number"].tolist(), frame["state"].tolist(), strict=True))
    points = store.curves(stage, list(states))
    return {number: (state, tuple(points[points["number"] == number]["value"])) for number, state in states.items()}


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


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("lanes", [None, 1, 5])
@pytest.mark.parametrize("kinds", [1, 3])
def test_the_same_trials_stop_whatever_the_lanes(
    store: Store, stage: Stage, plan: Plan, lanes: int | None, kinds: int
) -> None:
    ticks: list[Tick] = []
    summary = run(store, stage, plan, Pausing(kinds=kinds), lanes=lanes, on_tick=ticks.append)
    wanted = expected(plan)
    assert ends(store, stage) == wanted
    states = [state for state, _ in wanted.values()]
    assert set(states) == {"COMPLETE", "PRUNED", "FAIL"}  # or this test would show little
    assert len({len(points) for state, points in wanted.values() if state == "PRUNED"}) > 1
    assert summary.recorded == UNTIL
    assert summary.counts == Counts(states.count("COMPLETE"), states.count("PRUNED"), states.count("FAIL"))
    assert sorted(outcome.number for tick in ticks for outcome in tick.recorded) == list(range(UNTIL))
    # Nothing is trained twice, and nothing beyond the rung at which it was stopped.
    trained = store.attribute(stage, range(UNTIL), TRAINED)
    assert trained == {number: len(points) for number, (_, points) in wanted.items()}
    assert run(store, stage, plan).recorded == 0


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("how", ["in processes", "growing by cohorts", "without keeping state at a pause"])
def test_nor_do_they_differ(store: Store, stage: Stage, plan: Plan, how: str) -> None:
    until = UNTIL
    if how == "in processes":
        run(store, stage, plan, executor=PoolExecutor(2))
    elif how == "growing by cohorts":
        for cohorts in (1, 2, 3):
            run(store, stage, plan, until=(until := cohorts * plan.cohort))
    else:
        run(store, stage, plan, Pausing(keeps=False))
        assert max(store.attribute(stage, range(UNTIL), TRAINED).values()) == sum(plan.rungs) + EPOCHS
    assert ends(store, stage) == expected(plan, until)


def test_survivors_go_on_together_and_best_first(store: Store, stage: Stage) -> None:
    batches: list[list[int]] = []

    class Watched(InlineExecutor):  # type: ignore[misc]  # final, but for this
        def submit(self, batch: Any) -> None:
            batches.append([trial.number for trial in batch.trials])
            super().submit(batch)

    plan = Plan("halving", 2, (1,), 16, 5, EPOCHS)
    run(store, stage, plan, executor=Watched(), until=16, lanes=4)
    assert batches[:4] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    *full, last = batches[4:]
    survivors = [n for n, (state, _) in expected(plan, 16).items() if state != "PRUNED" and curve(n)]
    assert [len(batch) for batch in full] == [4] * len(full)
    assert [*itertools.chain(*full), *last] == sorted(survivors, key=lambda number: (-curve(number)[0], number))


@pytest.mark.parametrize("plan", PLANS)
def test_two_runners_share_cohorts(store: Store, stage: Stage, plan: Plan) -> None:
    together = threading.Barrier(2)
    begun: set[int] = set()

    class Starts(Pausing):
        """Begins only once both runners have a trial."""

        def evaluate(self, trials: Any, **more: Any) -> Any:
            if threading.get_ident() not in begun:
                begun.add(threading.get_ident())
                together.wait(timeout=60)
            yield from super().evaluate(trials, **more)

    def recorded(_: int) -> int:
        with closing(open_store(store.url, write=True)) as own:
            return run(own, stage, plan, Starts(), lanes=1).recorded

    with ThreadPoolExecutor(2) as runners:
        both = list(runners.map(recorded, range(2)))
    assert all(both)
    assert sum(both) == UNTIL
    assert ends(store, stage) == expected(plan)


class Killed(BaseException):
    """What a SIGKILL is to a runner: nothing of it happens afterwards."""


class Dying:
    """A store whose n-th write is the last thing that its runner does, or the first that it no longer does."""

    def __init__(self, store: Store, last: int, *, done: bool) -> None:
        self._store, self._left, self._done = store, last, done

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return partial(self._write, name, method) if name in ("claim", "report", "record", "release") else method

    def _write(self, name: str, write: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self._left -= 1
        if name == "release" or (self._left <= 0 and not self._done):
            raise Killed
        result = write(*arguments, **options)
        if self._left <= 0:
            raise Killed
        return result


@pytest.mark.parametrize("plan", PLANS)
def test_killed_at_any_write_a_stage_comes_to_the_same(
    tmp_path: Path, empty_database: bytes, plan: Plan, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = Owner.current
    wanted = expected(plan, 18)
    for last in itertools.count(1):
        (tmp_path / f"{last}.db").write_bytes(empty_database)
        store = open_store(str(tmp_path / f"{last}.db"), write=True)
        stage = store.create_stage(NewStage("stub", 1, "maximize", 7, {"lr": Float(1e-3, 1.0)}, {"name": "stub"}))
        killed = False
        with monkeypatch.context() as patch:
            patch.setattr(Owner, "current", lambda **_: replace(alive(), pid=gone, started=""))
            try:
                run(cast(Store, Dying(store, last, done=last % 2 == 0)), stage, plan, until=18, lanes=6)
            except Killed:
                killed = True
        summary = run(store, stage, plan, until=18, lanes=8)
        assert ends(store, stage) == wanted, last
        assert summary.counts.finished == summary.counts.rows == 18
        store.close()
        if not killed:
            break
    assert last > 8


def test_what_ran_with_optuna_alone_is_waited_for_by_nobody(store: Store, stage: Stage) -> None:
    study = optuna.load_study(study_name=stage.name, storage=store.url)
    study.ask()
    finished = study.ask()
    finished.report(0.5, 1)
    study.tell(finished, 0.5)
    summary = run(store, stage, HALVING, until=20)
    assert summary.counts.finished == 20
    assert ends(store, stage)[0][0] == "RUNNING"


@pytest.mark.parametrize("plan", PLANS)
def test_trials_given_back_beyond_those_asked_for_are_waited_for_by_nobody(
    store: Store, stage: Stage, plan: Plan
) -> None:
    """As after Ctrl-C in a larger run: a smaller one that goes on has no use for the rest of its trials."""
    owner = Owner.current()
    store.claim(stage, until=30, most=30, owner=owner)
    store.release(stage, owner=owner)
    waits: list[bool] = []
    options: dict[str, Any] = {"on_tick": lambda tick: waits.append(bool(tick.waiting_for_others))}
    summary = run(store, stage, plan, until=20, stopping=lambda: sum(waits) > 3, **options)
    assert (summary.counts.finished, summary.counts.waiting, any(waits)) == (20, 10, False)


def test_a_trial_that_breaks_after_a_rung_keeps_its_curve(store: Store, stage: Stage) -> None:
    best = next(number for number, (state, _) in expected(HALVING).items() if state == "COMPLETE")
    run(store, stage, HALVING, Pausing(breaks=(best,)))
    state, points = ends(store, stage)[best]
    assert (state, points) == ("FAIL", curve(best, 1))
    # So that the others were compared with it there, as if it had not broken.
    for number, (state, points) in expected(HALVING).items():
        if len(points) == 1:
            assert ends(store, stage)[number] == (state, points)


def test_a_stop_records_what_was_decided_and_gives_the_rest_back(store: Store, stage: Stage) -> None:
    summary = run(store, stage, HALVING, stopping=lambda: store.counts(stage).pruned > 0)
    assert summary.stopped
    assert summary.counts.running == 0
    assert summary.given_back > 0
    run(store, stage, HALVING)
    assert ends(store, stage) == expected(HALVING)


def test_a_runner_that_lost_its_points_and_got_its_trials_again(store: Store, stage: Stage) -> None:
    """It slept past its lease; another gave its trials back, and it claims them itself."""
    released: list[int] = []

    class Slept(InlineExecutor):  # type: ignore[misc]  # final, but for this
        def wait(self, timeout: float) -> Any:
            if len(store.curves(stage, range(16))) >= 8 and not released:
                (owner,) = store.runners(stage)
                released.append(store.release(stage, owner=owner))
            return super().wait(timeout)

    summary = run(store, stage, HALVING, executor=Slept(), until=20, lanes=4)
    assert released[0] > 8
    assert ends(store, stage) == expected(HALVING, 20)
    assert summary.counts.finished == 20


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


def test_trials_that_wait_show_that_others_can_be_evaluated(store: Store, stage: Stage) -> None:
    """Nothing is finished yet when the last three of a cohort break: their fault, not the machine's."""
    plan = Plan("halving", 2, (2,), 16, 5, EPOCHS)
    never = (*(number for number in range(13) if len(curve(number)) < 2), 13, 14, 15)
    summary = run(store, stage, plan, Pausing(never=never), until=16, lanes=1)
    assert summary.counts.finished == 16
    left = ends(store, stage)
    assert {left.pop(number)[0] for number in never} == {"FAIL"}
    assert {"PRUNED", "COMPLETE"} <= {state for state, _ in left.values()}


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
    left, whole = (
        {n for n, (state, _) in of.items() if state == "PRUNED"} for of in (ends(store, stage), expected(plan, 12))
    )
    assert left == whole != set()
    assert store.counts(stage).running == 0


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


def test_without_a_plan_nothing_pauses(store: Store, stage: Stage) -> None:
    run(store, stage, None, until=10)
    assert ends(store, stage) == {n: ("COMPLETE" if len(curve(n)) == EPOCHS else "FAIL", curve(n)) for n in range(10)}
