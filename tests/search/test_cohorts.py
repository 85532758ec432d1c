"""Runs in which trials stop early: the same ones, whatever the lanes, the processes, the runners or a kill."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
from pausing_objectives import EPOCHS, TRAINED, Pausing, curve
from pruned_runs import HALVING, PLANS, UNTIL, expected, found, run

from hpsearch.executors.inline import InlineExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.records import Completed, Stage
from hpsearch.search.pruning import Plan
from hpsearch.search.runner import Runner, Summary, Tick
from hpsearch.space import Float
from hpsearch.store import Counts, NewStage, Owner, Store, open_store


def test_the_curves_have_ties_divergence_and_all_kinds_of_ends() -> None:
    for plan in PLANS:
        ends = expected(plan)
        assert {state for state, _ in ends.values()} == {"COMPLETE", "PRUNED", "FAIL"}
        assert len({len(points) for state, points in ends.values() if state == "PRUNED"}) > 1


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("lanes", [None, 1, 5])
@pytest.mark.parametrize("kinds", [1, 3])
def test_the_same_trials_stop_whatever_the_lanes(
    store: Store, stage: Stage, plan: Plan, lanes: int | None, kinds: int
) -> None:
    ticks: list[Tick] = []
    summary = run(store, stage, plan, Pausing(kinds=kinds), lanes=lanes, on_tick=ticks.append)
    wanted = expected(plan)
    assert found(store, stage) == wanted
    states = [state for state, _ in wanted.values()]
    assert summary.recorded == UNTIL
    assert summary.counts == Counts(states.count("COMPLETE"), states.count("PRUNED"), states.count("FAIL"))
    assert sorted(outcome.number for tick in ticks for outcome in tick.recorded) == list(range(UNTIL))
    # Nothing is trained twice, and nothing beyond the rung at which it was stopped.
    trained = store.attribute(stage, range(UNTIL), TRAINED)
    assert trained == {number: len(points) for number, (_, points) in wanted.items()}
    assert run(store, stage, plan).recorded == 0


@pytest.mark.parametrize("plan", PLANS)
def test_an_objective_that_cannot_go_on_from_a_pause_begins_again(store: Store, stage: Stage, plan: Plan) -> None:
    run(store, stage, plan, Pausing(keeps=False))
    assert found(store, stage) == expected(plan)
    assert max(store.attribute(stage, range(UNTIL), TRAINED).values()) == sum(plan.rungs) + EPOCHS


@pytest.mark.parametrize("plan", PLANS)
def test_in_processes(store: Store, stage: Stage, plan: Plan) -> None:
    run(store, stage, plan, executor=PoolExecutor(2))
    assert found(store, stage) == expected(plan)


def test_survivors_go_on_together_and_best_first(store: Store, stage: Stage) -> None:
    batches: list[list[int]] = []

    class Watched(InlineExecutor):  # type: ignore[misc]  # final, but for this
        def submit(self, batch: Any) -> None:
            batches.append([trial.number for trial in batch.trials])
            super().submit(batch)

    plan = Plan("halving", 2, (1,), 16, 5, EPOCHS)
    run(store, stage, plan, executor=Watched(), until=16, lanes=4)
    assert batches[:4] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    (*full, last), survivors = (
        batches[4:],
        [number for number, (state, _) in expected(plan, 16).items() if state != "PRUNED"],
    )
    survivors = [number for number in survivors if curve(number)]
    assert [len(batch) for batch in full] == [4] * len(full)
    assert [*itertools.chain(*full), *last] == sorted(survivors, key=lambda number: (-curve(number)[0], number))


@pytest.mark.parametrize("plan", PLANS)
def test_a_stage_that_grows_by_whole_cohorts(store: Store, stage: Stage, plan: Plan) -> None:
    for cohorts in (1, 2, 3):
        run(store, stage, plan, until=cohorts * plan.cohort)
    assert found(store, stage) == expected(plan, 3 * plan.cohort)


@pytest.mark.parametrize("plan", PLANS)
def test_two_runners_share_cohorts(store: Store, stage: Stage, plan: Plan) -> None:
    together = threading.Barrier(2)
    summaries: list[Summary] = []
    begun: set[int] = set()

    class Starts(Pausing):
        """Begins only once both runners have a trial."""

        def evaluate(self, trials: Any, **more: Any) -> Any:
            if threading.get_ident() not in begun:
                begun.add(threading.get_ident())
                together.wait(timeout=60)
            yield from super().evaluate(trials, **more)

    def one_runner() -> None:
        own = open_store(store.url, write=True)
        summaries.append(run(own, stage, plan, Starts(), lanes=1))
        own.close()

    threads = [threading.Thread(target=one_runner) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(summary.recorded for summary in summaries) == UNTIL
    assert all(summary.recorded for summary in summaries)
    assert found(store, stage) == expected(plan)


class Killed(BaseException):
    """What a SIGKILL is to a runner: nothing of it happens afterwards."""


class Dying:
    """A store whose n-th write is the last thing that its runner does, or the first that it no longer does."""

    def __init__(self, store: Store, last: int, *, done: bool) -> None:
        self._store, self._left, self._done = store, last, done

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name == "release":
            return self._die
        return self._counted(found) if name in ("claim", "report", "record") else found

    def _die(self, *arguments: Any, **options: Any) -> Any:
        raise Killed

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left <= 0:
                if self._done:
                    write(*arguments, **options)
                raise Killed
            return write(*arguments, **options)

        return call


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
            patch.setattr(Owner, "current", lambda: replace(alive(), pid=gone, started=""))
            try:
                run(cast(Store, Dying(store, last, done=last % 2 == 0)), stage, plan, until=18, lanes=6)
            except Killed:
                killed = True
        summary = run(store, stage, plan, until=18, lanes=8)
        assert found(store, stage) == wanted, last
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
    assert found(store, stage)[0][0] == "RUNNING"


@pytest.mark.parametrize("plan", PLANS)
def test_trials_given_back_beyond_those_asked_for_are_waited_for_by_nobody(
    store: Store, stage: Stage, plan: Plan
) -> None:
    """As after Ctrl-C in a larger run: a smaller one that goes on has no use for the rest of its trials."""
    owner = Owner.current()
    store.claim(stage, until=30, most=30, owner=owner)
    store.release(stage, owner=owner)
    waits: list[Tick] = []

    def watch(tick: Tick) -> None:
        waits.extend([tick] * tick.waiting_for_others)

    summary = run(store, stage, plan, until=20, on_tick=watch, stopping=lambda: len(waits) > 3)
    assert summary.counts.finished == 20
    assert summary.counts.waiting == 10
    assert not waits


def test_a_trial_that_breaks_after_a_rung_keeps_its_curve(store: Store, stage: Stage) -> None:
    best = next(number for number, (state, _) in expected(HALVING).items() if state == "COMPLETE")
    run(store, stage, HALVING, Pausing(breaks=(best,)))
    state, points = found(store, stage)[best]
    assert (state, points) == ("FAIL", curve(best, 1))
    # So that the others were compared with it there, as if it had not broken.
    for number, (state, points) in expected(HALVING).items():
        if len(points) == 1:
            assert found(store, stage)[number] == (state, points)


def test_a_stop_records_what_was_decided_and_gives_the_rest_back(store: Store, stage: Stage) -> None:
    def enough() -> bool:
        return store.counts(stage).pruned > 0

    summary = run(store, stage, HALVING, stopping=enough)
    assert summary.stopped
    assert summary.counts.running == 0
    assert summary.given_back > 0
    run(store, stage, HALVING)
    assert found(store, stage) == expected(HALVING)


def test_a_runner_that_lost_its_points_and_got_its_trials_again(store: Store, stage: Stage) -> None:
    """It slept past its lease; another gave its trials back, and it claims them itself."""
    runner: list[Runner] = []
    woken: list[int] = []

    class Slept(InlineExecutor):  # type: ignore[misc]  # final, but for this
        def wait(self, timeout: float) -> Any:
            if len(store.curves(stage, range(16))) >= 8 and not woken:
                woken.append(store.release(stage, owner=runner[0]._owner))
            return super().wait(timeout)

    executor = Slept()
    runner.append(Runner(store, stage, Pausing(), executor, plan=HALVING, until=20, lanes=4))
    summary = runner[0].run()
    executor.close()
    assert woken[0] > 8
    assert found(store, stage) == expected(HALVING, 20)
    assert summary.counts.finished == 20


def test_without_a_plan_nothing_pauses(store: Store, stage: Stage) -> None:
    ticks: list[Tick] = []
    Runner(store, stage, Pausing(), InlineExecutor(), until=10, on_tick=ticks.append).run()
    outcomes = [outcome for tick in ticks for outcome in tick.recorded]
    assert all(len(o.intermediate) == EPOCHS for o in outcomes if isinstance(o, Completed))
    assert found(store, stage) == {
        number: ("COMPLETE" if len(curve(number)) == EPOCHS else "FAIL", curve(number)) for number in range(10)
    }
