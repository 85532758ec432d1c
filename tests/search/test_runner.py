"""The loop's promise: the stage comes to have exactly what was asked for, whatever happens on the way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from stub_objectives import STEPS, Stub, value

from hpsearch import samplers as sampling
from hpsearch.errors import StorageFailure
from hpsearch.executors.base import Executor
from hpsearch.executors.inline import InlineExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.objectives.base import Objective
from hpsearch.records import Completed, Outcome, Paused, Report, Stage, Trial
from hpsearch.search.runner import Runner, Summary, Tick
from hpsearch.store import Counts, Owner, Store, open_store


def run(store: Store, stage: Stage, objective: Objective, executor: Executor | None = None, **options: Any) -> Summary:
    used = executor or InlineExecutor()
    try:
        return Runner(store, stage, objective, used, **options).run()
    finally:
        used.close(kill=True)


def numbers(store: Store, stage: Stage, *states: str) -> list[int]:
    frame = store.trials(stage)
    return [n for n, state in zip(frame["number"], frame["state"], strict=True) if not states or state in states]


def test_the_stage_comes_to_have_what_is_asked_and_keeps_it(store: Store, stage: Stage, tmp_path: Path) -> None:
    summary = run(store, stage, Stub(tmp_path), until=10)
    assert summary == replace(summary, counts=Counts(complete=10), recorded=10, given_back=0, stopped=False)
    first = store.trials(stage)
    assert first["number"].tolist() == list(range(10))
    assert first["score"].tolist() == [value(n, STEPS) for n in range(10)]
    assert first["param:lr"].tolist() == [sampling.values(stage.space, seed=7, number=n)["lr"] for n in range(10)]
    points = [(n, s, value(n, s)) for n in range(10) for s in range(1, STEPS + 1)]
    assert list(store.curves(stage, range(10)).itertuples(index=False, name=None)) == points

    nothing = run(store, stage, Stub(tmp_path / "nowhere"), until=10)
    assert (nothing.recorded, nothing.stopped) == (0, False)
    assert store.trials(stage).equals(first)

    more = run(store, stage, Stub(tmp_path), until=13)
    assert more.recorded == 3
    assert numbers(store, stage, "COMPLETE") == list(range(13))
    assert store.trials(stage).head(10).equals(first)


@pytest.mark.parametrize("kinds", [1, 3])
@pytest.mark.parametrize("lanes", [None, 1, 3, 100])
def test_any_number_of_lanes_and_structures(
    store: Store, stage: Stage, tmp_path: Path, lanes: int | None, kinds: int
) -> None:
    ticks: list[Tick] = []
    summary = run(store, stage, Stub(tmp_path, kinds=kinds), until=11, lanes=lanes, on_tick=ticks.append)
    assert summary.counts == Counts(complete=11)
    assert numbers(store, stage) == list(range(11))
    finished = [tick.counts.finished for tick in ticks]
    assert finished == sorted(finished)
    assert finished[0] == 0
    assert sorted(outcome.number for tick in ticks for outcome in tick.recorded) == list(range(11))
    assert all(len(tick.recorded) <= (lanes or 4) for tick in ticks)


def test_stopping_gives_back_what_had_begun(store: Store, stage: Stage, tmp_path: Path) -> None:
    recorded: list[int] = []

    def note(tick: Tick) -> None:
        recorded.extend(outcome.number for outcome in tick.recorded)

    summary = run(store, stage, Stub(tmp_path), until=12, lanes=2, on_tick=note, stopping=lambda: len(recorded) >= 4)
    assert summary.stopped
    assert numbers(store, stage, "COMPLETE") == sorted(recorded) == [0, 1, 2, 3]
    assert len(numbers(store, stage, "WAITING")) == summary.given_back > 0
    assert len(numbers(store, stage)) == 4 + summary.given_back
    assert store.curves(stage, numbers(store, stage, "WAITING")).empty

    rest = run(store, stage, Stub(tmp_path), until=12)
    assert (rest.recorded, rest.stopped) == (8, False)
    assert numbers(store, stage, "COMPLETE") == numbers(store, stage) == list(range(12))


def test_asked_to_stop_when_all_is_done_is_no_stop(store: Store, stage: Stage, tmp_path: Path) -> None:
    def complete() -> bool:
        return store.counts(stage).complete == 4

    summary = run(store, stage, Stub(tmp_path), until=4, stopping=complete)
    assert (summary.stopped, summary.given_back, summary.recorded) == (False, 0, 4)


def test_the_guilty_trial_of_a_batch_fails_alone(store: Store, stage: Stage, tmp_path: Path) -> None:
    summary = run(store, stage, Stub(tmp_path, raises={5}), until=8, lanes=4)
    assert summary.counts == Counts(complete=7, failed=1)
    assert summary.recorded == 8
    frame = store.trials(stage).set_index("number")
    assert frame["reason"].dropna().to_dict() == {5: "ValueError: trial 5 is bad"}
    assert frame["state"][5] == "FAIL"
    assert frame["score"].dropna().to_dict() == {n: value(n, STEPS) for n in range(8) if n != 5}


def test_a_trial_that_kills_its_worker_fails_alone(store: Store, stage: Stage, tmp_path: Path) -> None:
    summary = run(store, stage, Stub(tmp_path, kills={1}), PoolExecutor(2), until=6, lanes=3)
    assert summary.counts == Counts(complete=5, failed=1)
    reasons = store.trials(stage).set_index("number")["reason"]
    assert reasons.dropna().to_dict() == {1: "the worker process died (killed by signal 9)"}


@dataclass
class Failing:
    """A store whose `record` fails once, at the n-th call."""

    store: Store
    left: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def record(self, stage: Stage, outcomes: Sequence[Outcome], ids: dict[int, int], *, owner: Owner) -> set[int]:
        self.left -= 1
        if self.left == 0:
            raise StorageFailure("the disk is full")
        return self.store.record(stage, outcomes, ids, owner=owner)


def test_a_failing_database_ends_the_run_and_leaves_nothing_running(store: Store, stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(StorageFailure, match="the disk is full"):
        run(cast("Store", Failing(store, 3)), stage, Stub(tmp_path), until=12, lanes=2)
    assert numbers(store, stage, "COMPLETE") == [0, 1, 2, 3]
    assert numbers(store, stage, "RUNNING") == []
    assert run(store, stage, Stub(tmp_path), until=12).recorded == 8
    assert numbers(store, stage, "COMPLETE") == numbers(store, stage) == list(range(12))


def test_an_exception_from_outside_leaves_nothing_running(store: Store, stage: Stage, tmp_path: Path) -> None:
    def interrupted(tick: Tick) -> None:
        if tick.recorded:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(store, stage, Stub(tmp_path), until=12, lanes=2, on_tick=interrupted)
    assert store.counts(stage).running == 0
    assert store.counts(stage).waiting > 0


@dataclass(frozen=True)
class Together(Stub):
    """Begins only once both runners have a batch."""

    barrier: threading.Barrier | None = None

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome]]:
        if self.barrier is not None and trials[0].number < 2:
            self.barrier.wait(timeout=60)
        yield from super().evaluate(trials)


def test_two_runners_share_a_stage(store: Store, stage: Stage, tmp_path: Path) -> None:
    objective = Together(tmp_path, barrier=threading.Barrier(2))
    summaries: list[Summary] = []

    def one_runner() -> None:
        own = open_store(store.url, write=True)
        summaries.append(run(own, stage, objective, until=30, lanes=1))
        own.close()

    threads = [threading.Thread(target=one_runner) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(summary.recorded for summary in summaries) == 30
    assert all(summary.recorded > 0 and summary.counts.finished == 30 for summary in summaries)
    assert numbers(store, stage, "COMPLETE") == numbers(store, stage) == list(range(30))


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
    assert summary == replace(summary, counts=Counts(complete=5), recorded=5, released=2)
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
    assert numbers(store, stage, "COMPLETE") == [0, 1]
    assert len(store.curves(stage, [0, 1])) == 2 * STEPS
