"""The runner's promise: the stage comes to have exactly its number of trials, whatever happens on the way."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import DEFAULT, Mock

import bounded
import pytest
from bounded import LIMIT_S
from clusters import adaptive
from stub_objectives import STEPS, Items, Stub, value

from hpsearch import samplers, search
from hpsearch.errors import EvaluationFailure, StorageFailure
from hpsearch.executors.base import Batch, Done, Evaluates, Event, Executor, InlineExecutor, Lost, Progress, drive
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.records import Completed, Report, Stage, Trial
from hpsearch.search.runner import Runner, Summary, Tick
from hpsearch.store import Counts, Owner, Store


def run(store: Store, stage: Stage, objective: Any, executor: Executor | None = None, **options: Any) -> Summary:
    used = executor or InlineExecutor()
    try:
        return Runner(store, stage, objective, used, **options).run()
    finally:
        used.close(kill=True)


def numbers(store: Store, stage: Stage, *states: str) -> list[int]:
    frame = store.trials(stage)
    return [n for n, state in zip(frame["number"], frame["state"], strict=True) if not states or state in states]


def curves(store: Store, stage: Stage, count: int) -> bool:
    points = [(n, s, value(n, s)) for n in range(count) for s in range(1, STEPS + 1)]
    return list(store.curves(stage, range(count)).itertuples(index=False, name=None)) == points


def test_the_stage_comes_to_have_its_trials_and_keeps_them(store: Store, stage: Stage, tmp_path: Path) -> None:
    summary = run(store, stage, Stub(tmp_path), until=10)
    assert summary == replace(summary, counts=Counts(complete=10), recorded=10, given_back=0, ended_by="trials")
    first = store.trials(stage)
    assert first["number"].tolist() == list(range(10))
    assert first["score"].tolist() == [value(n, STEPS) for n in range(10)]
    assert first["param:lr"].tolist() == [samplers.values(stage.space, seed=7, number=n)["lr"] for n in range(10)]
    assert curves(store, stage, 10)
    nothing = run(store, stage, Stub(tmp_path / "nowhere"), until=10)
    assert (nothing.recorded, nothing.stopped) == (0, False)
    assert store.trials(stage).equals(first)
    assert run(store, stage, Stub(tmp_path), until=13).recorded == 3
    assert numbers(store, stage, "COMPLETE") == list(range(13))
    assert store.trials(stage).head(10).equals(first)


def test_stopping_gives_back_what_had_begun(store: Store, stage: Stage, tmp_path: Path) -> None:
    summary = run(store, stage, Stub(tmp_path), until=12, lanes=2, stopping=lambda: store.counts(stage).complete >= 4)
    assert (summary.stopped, summary.recorded) == (True, 4)
    assert numbers(store, stage, "COMPLETE") == [0, 1, 2, 3]
    waiting = numbers(store, stage, "WAITING")
    assert len(waiting) == summary.given_back > 0
    assert len(numbers(store, stage)) == 4 + summary.given_back
    assert store.curves(stage, waiting).empty
    rest = run(store, stage, Stub(tmp_path), until=12)
    assert (rest.recorded, rest.stopped) == (8, False)
    assert numbers(store, stage, "COMPLETE") == numbers(store, stage) == list(range(12))
    # A stop once all is done is none.
    more = run(store, stage, Stub(tmp_path), until=14, stopping=lambda: store.counts(stage).complete == 14)
    assert (more.stopped, more.given_back, more.recorded) == (False, 0, 2)


def test_a_point_of_a_trial_that_is_over_is_dropped(
    store: Store, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread of the user's may report while the next batch runs."""
    monkeypatch.setattr("hpsearch.executors.base.FLUSH_S", 0.0)
    assert run(store, stage, Stub(tmp_path, late={1}), until=4, lanes=1).recorded == 4
    assert curves(store, stage, 4)


@pytest.mark.parametrize("how", ["raises", "kills", "kills on Dask"])
def test_the_guilty_trial_of_a_batch_fails_alone(
    store: Store, stage: Stage, tmp_path: Path, how: str, request: pytest.FixtureRequest
) -> None:
    stub, says = Stub(tmp_path, kills={1}), "ValueError: trial 1 is bad"
    executor: Executor | None = None
    if how == "raises":
        stub = Stub(tmp_path, raises={1})
    elif how == "kills":
        executor, says = PoolExecutor(2), r"the worker process died \(killed by signal 9\)"
    else:
        executor = DaskExecutor(request.getfixturevalue("scheduler"))
        says = r"its worker processes died \(tcp://127.0.0.1:\d+, tcp://127.0.0.1:\d+\)"
    summary = run(store, stage, stub, executor, until=6, lanes=3)
    assert (summary.counts, summary.recorded) == (Counts(complete=5, failed=1), 6)
    frame = store.trials(stage).set_index("number")
    assert frame["state"][1] == "FAIL"
    (reason,) = frame["reason"].dropna()
    assert re.fullmatch(says, reason)
    assert frame["score"].dropna().to_dict() == {n: value(n, STEPS) for n in range(6) if n != 1}


def test_a_failing_database_or_an_exception_leaves_nothing_running(store: Store, stage: Stage, tmp_path: Path) -> None:
    failing = Mock(wraps=store)
    failing.record.side_effect = [DEFAULT, DEFAULT, StorageFailure("the disk is full")]
    with pytest.raises(StorageFailure, match="the disk is full"):
        run(failing, stage, Stub(tmp_path), until=12, lanes=2)
    assert numbers(store, stage, "COMPLETE") == [0, 1, 2, 3]
    assert numbers(store, stage, "RUNNING") == []

    def interrupted(tick: Tick) -> None:
        if tick.recorded:
            raise KeyboardInterrupt

    none = Summary(Counts(), 0, 0, given_back=2, lost=0, seconds=0.0, store_seconds=0.0, ended_by="signal")
    assert "has 0 of 12 trials; 2 that had begun were given back" in str(search.runner.interrupted(stage, none, 12))
    with pytest.raises(KeyboardInterrupt):
        run(store, stage, Stub(tmp_path), until=12, lanes=2, on_tick=interrupted)
    assert (store.counts(stage).complete, store.counts(stage).running) == (6, 0)
    assert run(store, stage, Stub(tmp_path), until=12).recorded == 6
    assert numbers(store, stage, "COMPLETE") == numbers(store, stage) == list(range(12))


@pytest.mark.parametrize("how", ["finishes", "releases", "dies"])
def test_a_runner_waits_for_another_one_s_trials(store: Store, stage: Stage, tmp_path: Path, how: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = replace(Owner.current(), pid=process.pid, started="")
    theirs = store.claim(stage, until=5, most=2, owner=other).trials
    waited: list[Tick] = []

    def other_ends(tick: Tick) -> None:
        if tick.waiting_for_others and not waited:
            waited.append(tick)
            if how == "finishes":
                ids = {trial.number: trial.trial_id for trial in theirs}
                store.record(stage, [Completed(n, 77.0) for n in ids], ids, owner=other)
            elif how == "releases":
                store.release(stage, owner=other)
            else:
                process.kill()
                process.wait()

    with process:
        summary = run(store, stage, Stub(tmp_path), until=5, on_tick=other_ends)
        process.kill()
    (tick,) = waited
    assert tick.counts == Counts(complete=3, running=2)
    assert summary == replace(summary, counts=Counts(complete=5), recorded=3 if how == "finishes" else 5)
    scores = store.trials(stage).set_index("number")["score"].to_dict()
    assert scores == {n: 77.0 if how == "finishes" and n < 2 else value(n, STEPS) for n in range(5)}


def test_a_dead_runner_s_trials_run_again_under_their_numbers(
    store: Store, stage: Stage, tmp_path: Path, gone: int
) -> None:
    store.claim(stage, until=5, most=2, owner=replace(Owner.current(), pid=gone, started=""))
    assert numbers(store, stage, "RUNNING") == [0, 1]
    summary = run(store, stage, Stub(tmp_path), until=5)
    assert summary == replace(summary, counts=Counts(complete=5), recorded=5, released=2, lost=0)
    assert numbers(store, stage) == list(range(5))


def test_curves_reach_the_database_before_their_batch_ends(store: Store, stage: Stage, tmp_path: Path) -> None:
    seen: list[Any] = []

    def look() -> bool:
        points = store.curves(stage, [0, 1])
        if len(points) and not seen:
            seen.extend(points.itertuples(index=False, name=None))
            assert numbers(store, stage, "RUNNING") == [0, 1]
            (tmp_path / "go-0").touch()
        return False

    run(store, stage, Stub(tmp_path, waits={0}), until=2, stopping=look)
    assert seen == [(0, 1, value(0, 1)), (1, 1, value(1, 1))]
    assert curves(store, stage, 2)


class AllAtOnce:
    """Says nothing until every slot has a batch, and then everything at once, each point of a curve twice.

    The first batches of the trials in `loses` are lost; `before` is called before events are given.
    """

    def __init__(self, slots: int, *, loses: tuple[int, ...] = (), before: Callable[[], object] = lambda: None) -> None:
        self.slots, self._loses, self._before = slots, set(loses), before
        self._batches: list[Batch] = []

    @property
    def free(self) -> int:
        return self.slots - len(self._batches)

    def load(self, objective: Evaluates) -> None:
        self._objective = objective

    def expect(self, batches: int) -> None:
        pass

    def quarantine(self, worker: str) -> bool:
        return False

    def submit(self, batch: Batch) -> None:
        self._batches.append(batch)

    def wait(self, timeout: float) -> list[Event]:
        self._before()
        batches, self._batches = self._batches, []
        return [event for batch in batches for event in self._events(batch)]

    def _events(self, batch: Batch) -> list[Event]:
        if lost := self._loses & {trial.number for trial in batch.trials}:
            self._loses -= lost
            return [Lost(batch, "its worker died")]
        points = tuple(Report(trial.number, 1, value(trial.number, 1)) for trial in batch.trials)
        (done,) = [event for event in drive(self._objective, batch) if isinstance(event, Done)]
        return [Progress(points), Progress(points), done]

    def close(self, *, kill: bool = False) -> None:
        self._batches = []


@pytest.mark.parametrize("loses", [(), (2, 9)])
def test_batches_that_come_back_together_are_recorded_together(
    store: Store, stage: Stage, tmp_path: Path, loses: tuple[int, ...]
) -> None:
    ticks: list[Tick] = []
    summary = run(store, stage, Stub(tmp_path), AllAtOnce(3, loses=loses), until=14, lanes=2, on_tick=ticks.append)
    assert (summary.counts, summary.recorded, summary.stopped) == (Counts(complete=14), 14, False)
    assert loses or [len(tick.recorded) for tick in ticks if tick.recorded] == [6, 6, 2]
    assert curves(store, stage, 14)


def test_what_has_come_back_before_a_stop_is_recorded(store: Store, stage: Stage, tmp_path: Path) -> None:
    waits: list[None] = []
    executor = AllAtOnce(3, before=lambda: waits.append(None))
    summary = run(store, stage, Stub(tmp_path), executor, until=12, lanes=2, stopping=lambda: bool(waits))
    assert (summary.stopped, summary.recorded, summary.given_back) == (True, 6, 0)
    assert store.counts(stage) == Counts(complete=6)


def test_workers_end_before_their_trials_are_given_back(store: Store, stage: Stage, tmp_path: Path) -> None:
    """Another runner may begin the same trials at once, in the same folder."""
    running: list[int] = []

    class Silent(AllAtOnce):
        def wait(self, timeout: float) -> list[Event]:
            return []

        def close(self, *, kill: bool = False) -> None:
            running.append(store.counts(stage).running)

    silent = Silent(2)
    options: dict[str, Any] = {"until": 8, "lanes": 2, "stopping": lambda: not silent.free}
    summary = Runner(store, stage, Stub(tmp_path), silent, **options).run()
    assert (running, summary.given_back) == ([4], 4)


def test_a_runner_that_slept_past_its_lease_counts_its_trials_once(
    store: Store, stage: Stage, tmp_path: Path, gone: int
) -> None:
    """Its trials were given to another runner, which died."""
    taken: list[int] = []

    def sleep() -> None:
        if not taken:
            (owner,) = store.runners(stage)
            store.release(stage, owner=owner)
            other = replace(Owner.current(), pid=gone, started="")
            taken.extend(trial.number for trial in store.claim(stage, until=8, most=4, owner=other).trials)

    summary = run(store, stage, Stub(tmp_path), AllAtOnce(2, before=sleep), until=8, lanes=2)
    assert taken == [0, 1, 2, 3]
    assert numbers(store, stage, "COMPLETE") == numbers(store, stage) == list(range(8))
    assert summary == replace(summary, counts=Counts(complete=8), recorded=8, lost=4)


@pytest.mark.parametrize("until", [1, 2, 20])
def test_where_nothing_can_be_evaluated_nothing_is_used_up(
    store: Store, stage: Stage, tmp_path: Path, until: int
) -> None:
    with pytest.raises(EvaluationFailure, match=r"ValueError: trial \d+ is bad; 0 trials recorded; fix the cause"):
        run(store, stage, Stub(tmp_path, raises=range(until)), until=until)
    assert (store.counts(stage).finished, store.counts(stage).running) == (0, 0)
    assert run(store, stage, Stub(tmp_path), until=until).counts == Counts(complete=until)


def test_a_database_that_is_deleted_meanwhile_ends_the_run(store: Store, stage: Stage, tmp_path: Path) -> None:
    executor = AllAtOnce(1, before=lambda: (tmp_path / "studies.db").unlink(missing_ok=True))
    with pytest.raises(StorageFailure, match="was deleted or replaced while in use"):
        run(store, stage, Stub(tmp_path), executor, until=4, lanes=2)


class Slow(Stub):
    """Shows nothing of a trial until the lease on it was renewed twice."""

    def evaluate(self, trials: Sequence[Trial], **more: Any) -> Items:
        seen: set[str] = set()

        def beaten() -> bool:
            with contextlib.closing(sqlite3.connect(self.folder / "studies.db")) as connection:
                query = "SELECT heartbeat FROM trial_heartbeats WHERE trial_id = ?"
                seen.update(beat for (beat,) in connection.execute(query, [trials[0].trial_id]))
            return len(seen) > 2

        bounded.until(beaten, what="a third heartbeat")
        yield from super().evaluate(trials, **more)


def test_a_lease_is_renewed_while_the_loop_stands_still(
    store: Store, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.search.runner.BEAT_EVERY_S", 0.01)
    assert run(store, stage, Slow(tmp_path), until=2, lanes=1).counts == Counts(complete=2)
    assert not [thread.name for thread in threading.enumerate() if "pulse" in thread.name]


def test_a_run_has_a_cluster_grow_from_nothing(store: Store, stage: Stage, tmp_path: Path) -> None:
    """No trial is claimed before there is a worker for it, and none ends before all workers are there."""
    end = time.monotonic() + LIMIT_S
    with adaptive(0, 3) as made:
        executor = DaskExecutor(made.scheduler_address)

        def stopping() -> bool:
            assert executor.slots or not store.counts(stage).running
            if executor.slots == 3:
                for number in range(8):
                    (tmp_path / f"go-{number}").touch()
            return time.monotonic() > end

        stub = Stub(tmp_path, waits=range(8))
        summary = run(store, stage, stub, executor, until=8, lanes=1, stopping=stopping)
    assert summary.counts == Counts(complete=8)
