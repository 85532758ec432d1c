"""Claims: which trials a runner gets, with which values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from hpsearch.records import Completed, Failed, Report, Stage
from hpsearch.samplers import values
from hpsearch.store import Owner, Store


def sampled(stage: Stage, number: int) -> dict[str, object]:
    return dict(values(stage.space, seed=stage.seed, number=number))


def test_every_number_once_with_its_values(
    store: Store, stage: Stage, study: optuna.Study, me: Owner, rows: Callable[[str], list[dict[str, Any]]]
) -> None:
    claims = [store.claim(stage, until=12, most=most, owner=me) for most in (5, 0, 1, 9, 9)]
    assert [len(claim.trials) for claim in claims] == [5, 0, 1, 6, 0]
    trials = [trial for claim in claims for trial in claim.trials]
    assert [trial.number for trial in trials] == list(range(12))
    assert len({trial.trial_id for trial in trials}) == 12
    assert [(row["number"], row["trial_id"]) for row in rows("trials")] == [(t.number, t.trial_id) for t in trials]
    for trial, seen in zip(trials, study.trials, strict=True):
        assert trial.params == sampled(stage, trial.number) == seen.params
        assert seen.state.name == "RUNNING"
    assert [claim.counts.running for claim in claims] == [5, 5, 6, 12, 12]
    assert claims[-1].counts == store.counts(stage)


def test_never_more_than_until(store: Store, stage: Stage, me: Owner) -> None:
    """Finished trials (failed ones too) and running ones count, whoever runs them."""
    ids = {t.number: t.trial_id for t in store.claim(stage, until=4, most=4, owner=me).trials}
    store.record(stage, [Completed(0, 0.5), Failed(1, "diverged")], ids, owner=me)
    other = Owner.current()
    assert store.claim(stage, until=4, most=9, owner=other).trials == ()
    assert store.claim(stage, until=3, most=9, owner=other).trials == ()
    assert [t.number for t in store.claim(stage, until=6, most=9, owner=other).trials] == [4, 5]
    counts = store.counts(stage)
    assert (counts.complete, counts.failed, counts.running, counts.waiting) == (1, 1, 4, 0)
    assert (counts.finished, counts.rows) == (2, 6)


def test_released_ones_come_first_and_are_the_same(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    first = store.claim(stage, until=9, most=4, owner=me).trials
    ids = {trial.number: trial.trial_id for trial in first}
    store.report(stage, [Report(0, 1, 0.1), Report(0, 2, 0.2)], ids, owner=me)
    store.record(stage, [Completed(1, 0.5)], ids, owner=me)
    assert store.release(stage, owner=me) == 3
    assert store.counts(stage).waiting == 3
    assert (study.trials[0].state.name, study.trials[0].intermediate_values) == ("WAITING", {})  # half a curve is gone
    again = store.claim(stage, until=3, most=9, owner=Owner.current())  # they count in for ``until``
    assert again.trials == (first[0], first[2])
    assert (again.counts.waiting, again.counts.running) == (1, 2)
    rest = store.claim(stage, until=9, most=9, owner=Owner.current()).trials
    assert rest[0] == first[3]
    assert [trial.number for trial in rest] == [3, 4, 5, 6, 7, 8]


def test_an_enqueued_trial_is_honoured(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    study.enqueue_trial({"lr": 0.005, "activation": "tanh", "momentum": 0.9})  # momentum: not of this stage
    study.enqueue_trial({"batch_size": 40.0})
    first, second, third = store.claim(stage, until=3, most=3, owner=me).trials
    assert first.params == sampled(stage, 0) | {"lr": 0.005, "activation": "tanh"}
    assert second.params == sampled(stage, 1) | {"batch_size": 40}
    assert isinstance(second.params["batch_size"], int)
    assert third.params == sampled(stage, 2)
    assert [dict(trial.params) for trial in (first, second, third)] == [seen.params for seen in study.trials]
    assert list(first.params) == list(stage.space)


@pytest.mark.parametrize("given", [{"lr": 3.0}, {"activation": "step"}, {"batch_size": 50}, {"lr": "fast"}])
def test_what_a_stage_has_no_place_for_is_sampled(
    store: Store, stage: Stage, study: optuna.Study, me: Owner, given: dict[str, object]
) -> None:
    study.enqueue_trial({**given})
    (trial,) = store.claim(stage, until=1, most=1, owner=me).trials
    assert trial.params == sampled(stage, 0) == study.trials[0].params


def test_a_trial_added_to_be_run_again_keeps_its_values(
    store: Store, stage: Stage, study: optuna.Study, me: Owner
) -> None:
    """As Optuna's retry of failed trials adds them."""
    (failed,) = store.claim(stage, until=1, most=1, owner=me).trials
    store.record(stage, [Failed(0, "lost")], {0: failed.trial_id}, owner=me)
    seen = study.trials[0]
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.WAITING, params=seen.params, distributions=seen.distributions
        )
    )
    (again,) = store.claim(stage, until=2, most=1, owner=me).trials
    assert again.number == 1
    assert again.params == failed.params == study.trials[1].params


def test_foreign_trials_count_once_they_have_finished(
    store: Store, stage: Stage, study: optuna.Study, me: Owner
) -> None:
    study.tell(study.ask(), 0.5)
    study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
    study.ask()
    assert (store.counts(stage).finished, store.counts(stage).running) == (2, 0)
    assert [t.number for t in store.claim(stage, until=4, most=9, owner=me).trials] == [3, 4]
    assert store.release(stage, owner=me) == 2
    assert store.release_dead(stage, me=Owner.current()) == 0
    assert study.trials[2].state.name == "RUNNING"


def test_a_released_trial_that_optuna_takes_is_nobodys(
    store: Store, stage: Stage, study: optuna.Study, gone: object, me: Owner
) -> None:
    """`study.optimize` on a stage takes waiting trials, ours too; from then on they are foreign."""
    store.claim(stage, until=1, most=1, owner=me)
    store.release(stage, owner=me)
    assert study.ask().number == 0
    assert store.counts(stage).running == 0
    assert store.release(stage, owner=me) == 0
    assert store.release_dead(stage, me=Owner.current()) == 0
    assert study.trials[0].state.name == "RUNNING"


def test_many_trials_at_once(store: Store, stage: Stage, me: Owner) -> None:
    """More than one statement can name: claims, records and reads go in portions."""
    most = 510
    trials = store.claim(stage, until=most, most=most, owner=me).trials
    store.release(stage, owner=me)
    assert store.claim(stage, until=most, most=most, owner=me).trials == trials
    ids = {trial.number: trial.trial_id for trial in trials}
    outcomes = [Completed(number, number / most, (0.5,)) for number in ids]
    assert store.record(stage, outcomes, ids, owner=me) == set(ids)
    assert store.counts(stage).complete == most
    assert len(store.curves(stage, list(ids))) == most
    assert len(store.trials(stage, states=("COMPLETE",)).dropna(subset=["param:lr"])) == most
