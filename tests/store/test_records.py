"""Reports and outcomes: what a trial leaves in the database, as Optuna reads it."""

from __future__ import annotations

import math

import optuna
import pytest
from optuna.trial import TrialState
from stored import Rows, claim

from hpsearch.records import Completed, Failed, Outcome, Pruned, Report, Stage, Standing
from hpsearch.store import Owner, Store

Ids = dict[int, int]


@pytest.fixture
def ids(store: Store, stage: Stage, me: Owner) -> Ids:
    """Three trials of mine."""
    return claim(store, stage, me, until=3)


def test_standings(store: Store, stage: Stage, study: optuna.Study, me: Owner, ids: Ids) -> None:
    study.ask()
    store.claim(stage, until=6, most=2, owner=Owner.current())
    store.record(stage, [Completed(0, 0.5, (0.25, 0.5)), Failed(1, "diverged", (0.1,))], ids, owner=me)
    store.report(stage, [Report(2, 2, math.inf)], ids, owner=me)
    ended = [Standing(0, "COMPLETE", False, 0.5), Standing(1, "FAIL", False, None)]
    running = [Standing(2, "RUNNING", True, math.inf), Standing(3, "RUNNING", False, None)]  # 3 is somebody's own
    theirs = [Standing(number, "RUNNING", True, None) for number in (4, 5)]
    assert store.standings(stage, range(9), 2) == ended + running + theirs
    store.release(stage, owner=me)
    waiting = [Standing(1, "FAIL", False, 0.1), Standing(2, "WAITING", False, None)]
    assert store.standings(stage, range(1, 3), 1) == waiting
    assert [one.finished for one in store.standings(stage, range(4), 1)] == [True, True, False, False]
    assert store.standings(stage, range(20, 30), 1) == []


@pytest.mark.parametrize(
    "first", [Completed(0, 0.5, (0.5,), {"a": 1}), Failed(0, "lost"), Pruned(0, 1, (0.5,), {"a": 1})]
)
def test_recording_twice_changes_nothing(
    store: Store, stage: Stage, me: Owner, ids: Ids, first: Outcome, rows: Rows
) -> None:
    store.record(stage, [first], ids, owner=me)
    names = ["trials", "trial_values", "trial_intermediate_values", "trial_user_attributes"]
    before = [rows(name) for name in names]
    assert store.record(stage, [first], ids, owner=me) == []
    assert store.record(stage, [Completed(0, 0.9, (0.1, 0.9), {"a": 2})], ids, owner=me) == []
    store.report(stage, [Report(0, 5, 0.5)], ids, owner=me)
    assert [rows(name) for name in names] == before


def test_another_runners_trial_is_not_touched(
    store: Store, stage: Stage, study: optuna.Study, me: Owner, ids: Ids, rows: Rows
) -> None:
    study.ask()
    foreign = {row["number"]: row["trial_id"] for row in rows("trials")}
    other = Owner.current()  # the same process, another run
    outcomes: list[Outcome] = [Completed(0, 0.5, (0.5,)), Failed(1, "no"), Completed(3, 0.5)]
    assert store.record(stage, outcomes, foreign, owner=other) == []
    store.report(stage, [Report(0, 1, 0.5)], ids, owner=other)
    assert store.release(stage, owner=other) == 0
    for trial in study.trials:
        assert (trial.state, trial.intermediate_values, trial.user_attrs) == (TrialState.RUNNING, {}, {})
    assert store.record(stage, outcomes, foreign, owner=me) == outcomes[:2]  # of mixed ones only its own
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "RUNNING", "RUNNING"]


def test_nothing_to_write(store: Store, stage: Stage, me: Owner, ids: Ids) -> None:
    before, seconds = store.counts(stage), store.database.seconds
    assert store.record(stage, [], ids, owner=me) == []
    store.report(stage, [], ids, owner=me)
    store.beat(stage, [], owner=me)
    assert store.counts(stage) == before
    assert store.database.seconds > seconds > 0  # the time in the store is counted


def test_reports_then_a_record_leave_one_curve(
    store: Store, stage: Stage, study: optuna.Study, me: Owner, ids: Ids
) -> None:
    for points in ([(1, 0.1), (2, 0.9), (3, math.nan), (4, math.inf), (5, -math.inf)], [(2, 0.2)]):
        store.report(stage, [Report(0, step, value) for step, value in points], ids, owner=me)
    # While it runs, with the point overwritten.
    assert repr(sorted(study.trials[0].intermediate_values.items())[1:]) == "[(2, 0.2), (3, nan), (4, inf), (5, -inf)]"
    store.record(stage, [Completed(0, 0.3, (0.1, 0.2, 0.3))], ids, owner=me)
    assert study.trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}
    assert store.curves(stage, [0])["value"].tolist() == [0.1, 0.2, 0.3]


def test_somebodys_own_attributes_stay(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    study.enqueue_trial({"lr": 0.005}, user_attrs={"asked by": "me", "seconds": 99})
    (trial,) = store.claim(stage, until=1, most=1, owner=me).trials
    store.record(stage, [Completed(0, 0.5, (), {"seconds": 1.0})], {0: trial.trial_id}, owner=me)
    assert study.trials[0].user_attrs == {"asked by": "me", "seconds": 1.0}
    assert study.trials[0].system_attrs["fixed_params"] == {"lr": 0.005}
