"""Changes of a stage between two looks, over SQLite and PostgreSQL; and whether anybody has written at all."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from stored import Opener, claim

from hpsearch.records import Completed, Failed, Report, Stage
from hpsearch.store import NewStage, Owner, Store, changes
from hpsearch.store.changes import Changes, ChangeTracker
from hpsearch.store.engine import Writes


def states(seen: Changes) -> dict[int, str]:
    """The trials that changed, with their states."""
    assert seen.trials is not None
    return dict(zip(seen.trials["number"], seen.trials["state"], strict=True))


def test_the_first_look_sees_all_there_is_and_the_next_one_nothing(store: Store, stage: Stage, me: Owner) -> None:
    ids = claim(store, stage, me, until=3)
    store.record(stage, [Completed(1, 0.5)], ids, owner=me)
    tracker = ChangeTracker(stage)
    first = store.changes(tracker)
    assert states(first) == {0: "RUNNING", 1: "COMPLETE", 2: "RUNNING"}
    assert first.counts is not None
    assert (first.counts.complete, first.counts.running) == (1, 2)
    assert not store.changes(tracker)


def test_trials_that_begin_end_and_are_given_back(store: Store, stage: Stage, me: Owner) -> None:
    tracker = ChangeTracker(stage)
    store.changes(tracker)
    ids = claim(store, stage, me, until=3)
    assert states(store.changes(tracker)) == dict.fromkeys(range(3), "RUNNING")
    store.record(stage, [Completed(1, 0.5), Failed(2, "no")], ids, owner=me)
    ended = store.changes(tracker)
    assert states(ended) == {1: "COMPLETE", 2: "FAIL"}
    assert ended.trials is not None
    assert (ended.trials["score"], ended.trials["reason"]) == ([0.5, None], [None, "no"])
    store.release(stage, owner=me)
    assert states(store.changes(tracker)) == {0: "WAITING"}
    store.retry(stage)
    assert states(store.changes(tracker)) == {2: "WAITING"}


def test_a_trial_that_began_and_ended_between_two_looks(store: Store, stage: Stage, me: Owner) -> None:
    tracker = ChangeTracker(stage)
    store.changes(tracker)
    store.record(stage, [Completed(0, 0.5)], claim(store, stage, me, until=1), owner=me)
    assert states(store.changes(tracker)) == {0: "COMPLETE"}


def test_points_of_running_trials_come_once(store: Store, stage: Stage, me: Owner) -> None:
    tracker = ChangeTracker(stage)
    ids = claim(store, stage, me, until=2)
    store.report(stage, [Report(0, 1, 0.25), Report(0, 2, 0.5), Report(1, 1, 0.125)], ids, owner=me)
    assert store.changes(tracker).points == [(0, 2, [0.25, 0.5]), (1, 1, [0.125])]
    store.report(stage, [Report(1, 2, float("inf")), Report(1, 3, 0.75)], ids, owner=me)
    seen = store.changes(tracker)
    assert (seen.counts, states(seen), seen.points) == (None, {}, [(1, 3, [float("inf"), 0.75])])
    assert not store.changes(tracker)


def test_points_of_a_trial_that_is_run_again_come_again(store: Store, stage: Stage, me: Owner) -> None:
    tracker = ChangeTracker(stage)
    store.report(stage, [Report(0, 1, 0.25)], claim(store, stage, me, until=1), owner=me)
    store.changes(tracker)
    store.release(stage, owner=me)
    store.changes(tracker)
    store.report(stage, [Report(0, 1, 0.25)], claim(store, stage, me, until=1), owner=me)
    assert store.changes(tracker).points == [(0, 1, [0.25])]


def test_of_too_many_trials_only_the_counts_come(
    store: Store, stage: Stage, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MANY", 2)
    tracker = ChangeTracker(stage)
    claim(store, stage, me, until=3)
    seen = store.changes(tracker)
    assert seen.trials is None
    assert seen.counts is not None
    assert seen.counts.running == 3


def test_writes_of_others_are_noticed(store: Store, stage: Stage, url: str, me: Owner, opener: Opener) -> None:
    watching = opener(url)
    with closing(Writes(watching.database)) as writes:
        assert writes.since()
        server = watching.database.dialect != "sqlite"  # which does not say
        assert writes.since() is server
        claim(store, stage, me, until=1)
        assert writes.since()
        assert writes.since() is server


def test_the_stages_of_a_search(store: Store, stage: Stage, new_stage: NewStage) -> None:
    for name in ('other "one"', "mnist2", "größer"):
        other = store.create_stage(replace(new_stage, search=name))
        assert store.stages(name) == [other]
    assert store.stages("mnist") == [stage]
    assert store.stages("nist") == []
    assert len(store.stages()) == 4
