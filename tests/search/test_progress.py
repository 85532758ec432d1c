"""The progress of a search that others run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from unittest.mock import Mock

import made_stages
import pytest

from hpsearch.records import Completed, Failed, Outcome, Stage
from hpsearch.search.confirmation import best_settings, planned
from hpsearch.search.progress import Watcher
from hpsearch.store import Counts, Owner, Store, open_store


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Another process that runs trials of a stage."""

    def __init__(self, store: Store, stage: Stage) -> None:
        self.store, self.stage, self.owner = store, stage, Owner.current()
        self.ids: dict[int, int] = {}

    def claim(self, most: int, until: int = 100) -> None:
        trials = self.store.claim(self.stage, until=until, most=most, owner=self.owner).trials
        self.ids |= {trial.number: trial.trial_id for trial in trials}

    def record(self, *scores: float, first: int) -> None:
        self.give(*(Completed(number, score, (0.1, score)) for number, score in enumerate(scores, first)))

    def give(self, *outcomes: Outcome) -> None:
        self.store.record(self.stage, outcomes, self.ids, owner=self.owner)


@pytest.fixture
def reader(store: Store) -> Iterator[Store]:
    with closing(open_store(store.url)) as opened:
        yield opened


@pytest.fixture
def work(store: Store, stage: Stage) -> Work:
    return Work(store, stage)


def test_a_search_as_it_runs(reader: Store, stage: Stage, work: Work) -> None:
    watcher = Watcher(reader, None, until=4)
    empty = watcher.read()
    assert (empty.shown.stage, empty.shown.counts, empty.shown.best) == (stage, Counts(), None)
    assert (empty.runners, empty.curve, empty.latest["number"], empty.done) == ((), (), [], False)
    work.claim(3)
    begun = watcher.read()
    assert begun.runners == ((work.owner, 3),)
    assert begun.changes != empty.changes
    assert watcher.read().changes == begun.changes
    work.record(0.5, 0.75, first=0)
    work.give(Failed(2, "diverged"))
    view = watcher.read()
    assert view.shown.counts == Counts(complete=2, failed=1)
    assert (view.shown.best, view.curve) == ((1, 0.75), (0.1, 0.75))
    assert (view.latest["number"], view.runners) == ([2, 1, 0], ())
    work.claim(1)
    work.record(0.25, first=3)
    assert [watcher.read().done for _ in range(3)] == [False, True, True]
    assert watcher.read().shown.best == (1, 0.75)


def test_the_goal_is_the_given_one_or_the_study_file_s(store: Store, reader: Store, stage: Stage) -> None:
    file = {**stage.study_file, "trials": {"count": 7}}
    stage = store.create_stage(replace(stage, search="other", study_file=file))
    assert [Watcher(reader, "other", until=until).read().until for until in (None, 3)] == [7, 3]
    Work(store, stage).claim(9)
    assert Watcher(reader, "other").read().until == 9


def test_a_run_that_has_ended_had_its_own_goal(store: Store, reader: Store, stage: Stage) -> None:
    stage = store.create_stage(
        replace(stage, search="other", study_file={**stage.study_file, "trials": {"count": 100}})
    )
    work = Work(store, stage)
    work.owner = Owner.current(until=2)
    work.claim(1)
    work.record(0.5, first=0)
    work.claim(1)  # and is stopped before it has finished that one
    store.release(stage, owner=work.owner)
    assert [Watcher(reader, "other").read().until, Watcher(reader, "other").read().done] == [2, False]
    work.claim(1)
    work.record(0.5, first=1)
    watcher = Watcher(reader, "other")
    assert [watcher.read().done for _ in range(2)] == [False, True]


def test_the_rate_is_measured_while_watching(reader: Store, work: Work) -> None:
    clock = Clock()
    work.claim(20, until=20)
    work.record(0.5, first=0)
    watcher = Watcher(reader, None, until=20, clock=clock)
    assert watcher.read().rate is None  # trials that were finished before say nothing
    clock.now = 2.0
    work.record(*[0.5] * 8, first=1)
    view = watcher.read()
    assert view.rate == pytest.approx(4.0)
    assert view.seconds_left == pytest.approx(11 / 4)
    clock.now = 8.0  # nothing more has come
    assert watcher.read().rate == pytest.approx(1.0)
    for number, clock.now in enumerate((100.0, 120.0, 140.0, 160.0, 180.0), start=9):
        work.record(0.5, first=number)
        view = watcher.read()
    assert view.rate == pytest.approx(1 / 20)  # of the last changes, not of long ago
    work.record(*[0.5] * 6, first=14)
    assert watcher.read().seconds_left is None


def test_the_last_stage_with_trials_is_shown(store: Store, reader: Store, stage: Stage, work: Work) -> None:
    clock = Clock()
    watcher = Watcher(reader, None, until=2, clock=clock)
    work.claim(2)
    work.record(0.5, 0.25, first=0)
    watcher.read()
    second = store.create_stage(replace(stage, number=2, parent=1))
    assert watcher.read().shown.stage == stage
    other = Work(store, second)
    other.claim(4)
    clock.now = 5.0
    view = watcher.read()
    assert (view.shown.stage, view.rate, view.latest["number"], view.curve) == (second, None, [], ())
    assert not view.done
    other.record(*[0.75] * 4, first=0)
    clock.now = 6.0
    assert watcher.read().rate == pytest.approx(4.0)  # of this stage alone
    assert [one.stage.number for one in view.stages] == [1, 2]
    assert view.stages[0].best == (0, 0.5)


def test_a_run_that_ended_below_the_goal_is_done_and_one_that_was_stopped_is_not(reader: Store, work: Work) -> None:
    watcher = Watcher(reader, None, until=100)
    work.claim(4)
    assert not watcher.read().done
    work.record(0.5, 0.5, first=0)
    work.store.release(work.stage, owner=work.owner)
    assert [watcher.read().done for _ in range(3)] == [False] * 3
    work.claim(2)
    work.record(0.5, 0.5, first=2)
    assert [watcher.read().done for _ in range(2)] == [False, True]
    # Who comes later has seen nobody run it: it may begin any moment.
    assert [Watcher(reader, None, until=100).read().done for _ in range(3)] == [False] * 3


def test_a_reading_costs_what_has_changed(reader: Store, work: Work) -> None:
    work.claim(3)
    work.record(0.5, first=0)
    counted = Mock(wraps=reader)
    watcher = Watcher(counted, None)
    watcher.read()
    counted.reset_mock()
    watcher.read()
    assert [name for name, *_ in counted.method_calls] == ["stages", "counts", "confirmations", "runners"]
    work.give(Failed(1, "diverged"))
    counted.reset_mock()
    watcher.read()
    read = ["stages", "counts", "confirmations", "latest", "points", "runners"]
    assert [name for name, *_ in counted.method_calls] == read


def test_a_confirmation_that_runs_is_shown(store: Store, reader: Store) -> None:
    made = made_stages.make(store, [0.6, 0.8, 0.7], trials=3)
    watcher = Watcher(reader, None, until=3)
    assert watcher.read().shown.stage == made
    other = Work(store, planned(store, made, best_settings(store, made, 2), 3))
    other.claim(3)
    view = watcher.read()
    assert (view.shown.stage.name, view.until, view.shown.counts.running) == ("made/confirm-01", 6, 3)
    assert (view.curve, view.done, view.confirmations) == ((), False, (view.shown,))
    assert [one.stage.name for one in view.stages] == ["made/stage-01"]
    other.record(0.5, 0.65, 0.7, first=0)
    assert watcher.read().shown.best == (2, 0.65)  # of the values of the stage's trial 2
    other.claim(3)
    other.record(0.7, 0.7, 0.7, first=3)
    assert [watcher.read().done for _ in range(2)] == [False, True]
    # It stays in sight until a stage runs; who comes later sees the stages.
    assert watcher.read().shown.stage.name == "made/confirm-01"
    assert Watcher(reader, None, until=3).read().shown.stage == made
    Work(store, made).claim(1, until=4)
    assert watcher.read().shown.stage == made
