"""Failed trials that are given back: what of them stays, and who notices."""

from __future__ import annotations

import json
from contextlib import closing

import optuna
import pytest
from stored import Rows, claim, storage

from hpsearch.errors import BadArgument
from hpsearch.records import REASON, SECONDS, Completed, Failed, Pruned, Stage
from hpsearch.store import Counts, Owner, Store, open_store


@pytest.fixture
def ended(store: Store, stage: Stage, me: Owner) -> Store:
    """A store whose stage has two complete trials, two failed ones and a pruned one."""
    ids = claim(store, stage, me, until=5)
    failed = [Failed(n, f"trial {n} is bad", (0.1, 0.2), {SECONDS: 1.5}) for n in (1, 3)]
    store.record(stage, [Completed(0, 0.5), *failed, Pruned(2, 1, (0.1,)), Completed(4, 0.25)], ids, owner=me)
    return store


def test_they_wait_with_their_values_and_nothing_of_what_came_of_them(
    ended: Store, stage: Stage, study: optuna.Study, rows: Rows
) -> None:
    before = {trial.number: trial.params for trial in study.trials}
    assert ended.retry(stage) == [1, 3]
    seen = optuna.load_study(study_name=stage.name, storage=storage(ended.url)).trials
    assert [trial.state.name for trial in seen] == ["COMPLETE", "WAITING", "PRUNED", "WAITING", "COMPLETE"]
    assert {trial.number: trial.params for trial in seen} == before
    for trial in (seen[1], seen[3]):
        assert (trial.user_attrs, trial.intermediate_values, trial.datetime_complete) == ({}, {}, None)
    released = [row["value_json"] for row in rows("trial_system_attributes") if row["key"].endswith("released")]
    assert [json.loads(text)["why"] for text in released] == [f"it failed: trial {n} is bad" for n in (1, 3)]
    assert ended.retry(stage) == []


def test_they_are_claimed_first_with_the_same_values_and_finish(ended: Store, stage: Stage, me: Owner) -> None:
    values = {n: ended.columns(stage)["param:lr"][n] for n in (1, 3)}
    ended.retry(stage)
    other = Owner.current()
    trials = ended.claim(stage, until=5, most=9, owner=other).trials
    assert {trial.number: trial.params["lr"] for trial in trials} == values
    ids = {trial.number: trial.trial_id for trial in trials}
    # Who ran them first holds them no longer.
    assert ended.record(stage, [Completed(1, 9.0)], ids, owner=me) == []
    ended.record(stage, [Completed(1, 0.75), Failed(3, "again")], ids, owner=other)
    columns = ended.columns(stage)
    assert (columns["state"][1], columns["score"][1], columns["reason"][1]) == ("COMPLETE", 0.75, None)
    assert columns[REASON][3] == "again"
    assert [ended.owned(stage, [n])[n].begun for n in (0, 1)] == [1, 2]


def test_who_has_counted_them_before_counts_anew(ended: Store, stage: Stage) -> None:
    with closing(open_store(ended.url, write=True)) as other:
        assert other.counts(stage) == Counts(complete=2, pruned=1, failed=2)
        ended.retry(stage, [3])
        assert other.counts(stage) == ended.counts(stage) == Counts(complete=2, pruned=1, failed=1, waiting=1)
        (trial,) = other.claim(stage, until=5, most=9, owner=Owner.current()).trials
        assert trial.number == 3


@pytest.mark.parametrize("numbers", [[0], [1, 2], [7]])
def test_only_failed_ones_can_be_given_back(ended: Store, stage: Stage, numbers: list[int]) -> None:
    with pytest.raises(BadArgument, match="mnist/stage-01 has no failed trial of this number"):
        ended.retry(stage, numbers)
    assert ended.counts(stage) == Counts(complete=2, pruned=1, failed=2)
