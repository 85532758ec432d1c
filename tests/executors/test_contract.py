"""What every executor promises; one suite over all of them."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import pytest
from batches import batch, drain
from stub_objectives import STEPS, Stub, value

from hpsearch.executors.base import Batch, Done, Event, Executor, Lost, Progress, drive
from hpsearch.records import Completed, Failed


def test_every_batch_comes_back_once_with_one_outcome_a_trial(executor: Executor, tmp_path: Path) -> None:
    batches = [batch(key, *range(10 * key, 10 * key + key + 1)) for key in range(5)]
    executor.load(Stub(tmp_path))
    events = drain(executor, batches)
    done = {event.batch.key: event for event in events if isinstance(event, Done)}
    assert len(done) == len(batches) == sum(not isinstance(event, Progress) for event in events)
    for submitted in batches:
        event = done[submitted.key]
        assert event.batch == submitted
        assert [outcome.number for outcome in event.outcomes] == [trial.number for trial in submitted.trials]
    assert executor.wait(0) == []


def test_points_come_before_the_outcome_and_never_twice(executor: Executor, tmp_path: Path) -> None:
    executor.load(Stub(tmp_path, waits={1}))
    executor.submit(batch(0, 1, 2))
    events: list[Event] = []
    # The trials stay at their first point until it has been seen.
    while not events:
        events += executor.wait(0.1)
        assert not any(isinstance(event, Done | Lost) for event in events)
    (tmp_path / "go-1").touch()
    events += drain(executor, back=1)
    done = events.pop()
    assert isinstance(done, Done)
    points: list[tuple[int, int]] = []
    for event in events:
        assert isinstance(event, Progress)
        assert all(report.value == value(report.number, report.step) for report in event.reports)
        points += [(report.number, report.step) for report in event.reports]
    assert {(1, 1), (2, 1)} <= set(points)
    assert len(points) == len(set(points))
    assert [o.intermediate for o in done.outcomes] == [tuple(value(n, s) for s in range(1, STEPS + 1)) for n in (1, 2)]


def test_each_flush_has_the_points_since_the_last_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hpsearch.executors.base.FLUSH_S", 0.0)
    *events, _ = [event for event in drive(Stub(tmp_path), batch(0, 1, 2)) if event is not None]
    points = [[(r.number, r.step) for r in event.reports] for event in events if isinstance(event, Progress)]
    assert points == [[(1, step), (2, step)] for step in range(1, STEPS + 1)]


def test_what_an_objective_raises_is_the_reason_on_one_line(executor: Executor, tmp_path: Path) -> None:
    executor.load(Stub(tmp_path, raises={5}))
    bad, good = batch(0, 4, 5), batch(1, 6)
    events = drain(executor, [bad, good])
    assert Lost(bad, "ValueError: trial 5 is bad") in events
    assert [event.batch for event in events if isinstance(event, Done)] == [good]
    assert executor.free == executor.slots


@pytest.mark.parametrize(
    ("silent", "twice", "says"),
    [({5, 7}, (), "no outcome for trials [5, 7]"), ((), {6}, "more than one outcome for trials [6]")],
)
def test_trials_without_exactly_one_outcome_are_lost(
    executor: Executor, tmp_path: Path, silent: Collection[int], twice: Collection[int], says: str
) -> None:
    executor.load(Stub(tmp_path, silent=silent, twice=twice))
    asked = batch(0, 5, 6, 7)
    (lost,) = drain(executor, [asked])
    assert isinstance(lost, Lost)
    assert lost.batch == asked
    assert says in lost.reason


@pytest.mark.parametrize("bonus", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_a_failure(executor: Executor, tmp_path: Path, bonus: float) -> None:
    executor.load(Stub(tmp_path, bonus=bonus))
    (done,) = drain(executor, [batch(0, 5)])
    assert isinstance(done, Done)
    (failed,) = done.outcomes
    assert isinstance(failed, Failed)
    assert (failed.number, failed.reason) == (5, f"the score is {bonus}")
    assert len(failed.intermediate) == STEPS


def test_free_counts_what_may_be_submitted(executor: Executor, tmp_path: Path) -> None:
    executor.load(Stub(tmp_path, waits=range(executor.slots)))
    assert executor.free == executor.slots
    for key in range(executor.slots):
        executor.submit(batch(key))
        assert executor.free == executor.slots - key - 1
    assert not any(isinstance(event, Done | Lost) for event in executor.wait(0))
    for key in range(executor.slots):
        (tmp_path / f"go-{key}").touch()
    drain(executor, back=executor.slots)
    assert executor.free == executor.slots


def test_load_again_switches_the_objective(executor: Executor, tmp_path: Path) -> None:
    def scores(batches: list[Batch]) -> set[float]:
        events = drain(executor, batches)
        outcomes = [outcome for event in events if isinstance(event, Done) for outcome in event.outcomes]
        return {o.score - value(o.number, STEPS) for o in outcomes if isinstance(o, Completed)}

    executor.load(Stub(tmp_path))
    assert scores([batch(key) for key in range(4)]) == {0.0}
    executor.load(Stub(tmp_path, bonus=2.0))
    assert scores([batch(key) for key in range(4)]) == {2.0}


@pytest.mark.parametrize("kill", [False, True])
def test_close_drops_what_is_under_way_and_may_be_called_again(
    own_executor: Executor, tmp_path: Path, kill: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.executors.pool._JOIN_S", 0.1)
    own_executor.load(Stub(tmp_path, waits={0}))
    own_executor.submit(batch(0))
    own_executor.close(kill=kill)
    own_executor.close(kill=kill)
    assert own_executor.wait(0) == []


def test_a_worker_in_quarantine_is_given_no_batch_and_the_last_one_goes_on(
    own_executor: Executor, tmp_path: Path
) -> None:
    own_executor.load(Stub(tmp_path))

    def workers(*keys: int) -> set[str]:
        events = drain(own_executor, [batch(key) for key in keys])
        return {event.worker for event in events if isinstance(event, Done)}

    slots, named = own_executor.slots, workers(*range(8))
    assert len(named) == slots
    if slots == 2:
        first, second = named
        assert own_executor.quarantine(first)
        assert own_executor.slots == own_executor.free == 1
        assert workers(*range(8, 12)) == {second}
        assert not own_executor.quarantine(first)
    (last,) = workers(20)
    assert not own_executor.quarantine(last)
    assert workers(21) == {last}
