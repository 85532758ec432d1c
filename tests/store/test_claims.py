"""Claims and counts: which trials a runner gets, with which values, from several processes, and at what price."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from bounded import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from postgres import Server
from stored import Opener, Rows, plans, storage, watched
from together import MANY, at_once, claim, create

from hpsearch.records import Completed, Failed, Outcome, Report, Stage
from hpsearch.samplers import values
from hpsearch.store import Counts, NewStage, Owner, Store, open_store


def sampled(stage: Stage, number: int) -> dict[str, object]:
    return dict(values(stage.space, seed=stage.seed, number=number))


def test_every_number_once_with_its_values(
    store: Store, stage: Stage, study: optuna.Study, me: Owner, rows: Rows
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
    assert store.counts(stage) == Counts(complete=1, failed=1, running=4)
    assert (store.counts(stage).finished, store.counts(stage).rows) == (2, 6)


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
        optuna.trial.create_trial(state=TrialState.WAITING, params=seen.params, distributions=seen.distributions)
    )
    (trial,) = store.claim(stage, until=2, most=1, owner=me).trials
    assert trial.number == 1
    assert trial.params == failed.params == study.trials[1].params


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
    # `study.optimize` on a stage takes waiting trials, ours too; from then on they are foreign.
    assert study.ask().number == 3
    assert (store.counts(stage).running, store.counts(stage).waiting) == (0, 1)
    assert store.release(stage, owner=me) == 0
    assert store.release_dead(stage, me=Owner.current()) == 0
    assert study.trials[3].state.name == "RUNNING"


def test_many_trials_at_once(store: Store, stage: Stage, me: Owner) -> None:
    """More than one statement can name: claims, records and reads go in portions."""
    most = 510
    trials = store.claim(stage, until=most, most=most, owner=me).trials
    store.release(stage, owner=me)
    assert store.claim(stage, until=most, most=most, owner=me).trials == trials
    ids = {trial.number: trial.trial_id for trial in trials}
    outcomes = [Completed(number, number / most, (0.5,)) for number in ids]
    assert store.record(stage, outcomes, ids, owner=me) == outcomes
    assert store.counts(stage).complete == most
    assert len(store.curves(stage, list(ids))) == most
    assert len(store.trials(stage, states=("COMPLETE",)).dropna(subset=["param:lr"])) == most


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "record", "fail", "release", "ask", "tell", "prune", "enqueue"]),
        st.integers(0, 1),
        st.integers(1, 4),
    ),
    max_size=20,
)


def fresh(store: Store, study: optuna.Study) -> Counts:
    """The counts, from all of the stage's trials through Optuna."""
    trials = study.get_trials(deepcopy=False)
    states = [trial.state for trial in trials]
    ours = [t for t in trials if t.state == TrialState.RUNNING and t.system_attrs.get("hpsearch:owner") is not None]
    return Counts(
        complete=states.count(TrialState.COMPLETE),
        pruned=states.count(TrialState.PRUNED),
        failed=states.count(TrialState.FAIL),
        running=len(ours),
        waiting=states.count(TrialState.WAITING),
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_counts_are_those_of_a_fresh_count(
    tmp_path: Path, empty_database: bytes, opener: Opener, new_stage: NewStage, steps: list[tuple[str, int, int]]
) -> None:
    """Two runners and somebody with Optuna, in any order."""
    file = tmp_path / "studies.db"
    for old in tmp_path.iterdir():
        old.unlink()
    file.write_bytes(empty_database)
    runners = [(opener(file), Owner.current(), dict[int, int]()) for _ in range(2)]
    stage = runners[0][0].create_stage(new_stage)
    study = optuna.load_study(study_name=stage.name, storage=storage(f"sqlite:///{file}"))
    asked: list[optuna.Trial] = []
    for what, who, many in steps:
        store, owner, ids = runners[who]
        if what == "claim":
            claimed = store.claim(stage, until=15, most=many, owner=owner)
            assert claimed.counts == fresh(store, study)
            ids |= {trial.number: trial.trial_id for trial in claimed.trials}
        elif what in ("record", "fail"):
            some: list[Outcome] = [Completed(n, 0.5) if what == "record" else Failed(n, "no") for n in list(ids)[:many]]
            store.record(stage, some, ids, owner=owner)
        elif what == "release":
            store.release(stage, owner=owner)
        elif what == "ask":
            asked.append(study.ask())
        elif what in ("tell", "prune") and asked:
            state = TrialState.COMPLETE if what == "tell" else TrialState.PRUNED
            study.tell(asked.pop(), 0.5 if what == "tell" else None, state=state)
        elif what == "enqueue":
            study.enqueue_trial({"lr": 0.005})
        # The other runner's own counts go on from where they were when it last looked.
        assert store.counts(stage) == fresh(store, study)
    for store, _, _ in runners:
        assert store.counts(stage) == fresh(store, study)
        store.close()


def test_a_study_that_took_anothers_place_is_counted_anew(
    store: Store, kind: str, new_stage: NewStage, me: Owner
) -> None:
    """SQLite gives a deleted study's id, and its trials', to the next one; a server counts on."""
    stage = store.create_stage(new_stage)
    ids = {trial.number: trial.trial_id for trial in store.claim(stage, until=3, most=3, owner=me).trials}
    store.record(stage, [Completed(n, 0.5) for n in ids], ids, owner=me)
    assert store.counts(stage) == Counts(complete=3)
    optuna.delete_study(study_name=stage.name, storage=storage(store.url))
    again = store.create_stage(new_stage)
    second = store.create_stage(replace(new_stage, number=2))
    assert store.create_stage(new_stage) == again
    assert (again == stage) is (kind != "postgresql")
    store.claim(second, until=2, most=2, owner=me)
    # By the time that this store looks, the newest trial's id is there once more.
    with closing(open_store(store.url, write=True)) as other:
        other.claim(again, until=2, most=2, owner=me)
    assert store.counts(again) == Counts(running=2)


def test_a_call_s_price_is_what_it_touches(file: Path, opener: Opener, new_stage: NewStage, me: Owner) -> None:
    """The same statements over any number of finished trials, and none of them goes through a stage's trials."""
    store = opener(file)
    stage = store.create_stage(new_stage)
    counted = []
    for many in (4, 300, 304):
        while store.counts(stage).finished < many:
            with watched(store) as said:
                trials = store.claim(stage, until=many, most=4, owner=me).trials
                ids = {trial.number: trial.trial_id for trial in trials}
                store.report(stage, [Report(n, 1, 0.5) for n in ids], ids, owner=me)
                store.beat(stage, ids.values(), owner=me)
                store.record(stage, [Completed(n, 0.5, (0.5,), {"seconds": 1}) for n in ids], ids, owner=me)
                store.counts(stage)
        counted.append(said)
    assert len(counted[1]) == len(counted[2])
    steps = set(plans(store, counted[2]))
    assert len(steps) > 5
    for step in steps:
        assert step.startswith("SEARCH"), step
        # A search by the stage alone finds all of its trials.
        assert not step.endswith("ix_trials_study_id (study_id=?)"), step


TABLES = ("alembic_version", "version_info")


def made_together(url: str, processes: int) -> None:
    """Have processes make a database at once: none puts an empty one in the place of one that is in use already."""
    made = at_once(create, processes, url)
    with closing(open_store(url)) as store:
        assert sorted(stage.search for stage in store.stages()) == sorted(made)


def test_six_make_one_database(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    made_together(str(file), 6)
    assert {path.name for path in tmp_path.iterdir()} <= {"new.db", "new.db-wal", "new.db-shm"}
    with closing(sqlite3.connect(file)) as connection:
        counts = (f"SELECT count(*) FROM {table}" for table in TABLES)
        queries = [*counts, "PRAGMA integrity_check", "PRAGMA journal_mode"]
        assert [connection.execute(query).fetchone()[0] for query in queries] == [1, 1, "ok", "wal"]


def test_three_make_the_tables_of_one_database_on_a_server(postgres: Server) -> None:
    url = postgres.empty()
    made_together(url, 3)
    for table in TABLES:
        assert postgres.run(f"SELECT count(*) FROM {table}", database=url.rpartition("/")[2]) == [(1,)]
    until(lambda: postgres.connections(url) == 0, what="the server's end of the connections")
    postgres.drop(url)


def test_claims_are_disjoint(url: str, store: Store, stage: Stage, study: optuna.Study, rows: Rows) -> None:
    """Every number is claimed by one process, and the stage has not one trial more than asked for."""
    claimed = at_once(claim, 3, url)
    assert sorted(number for one in claimed for number, _ in one) == list(range(MANY))
    for one in claimed:
        for number, params in one:
            assert params == values(stage.space, seed=stage.seed, number=number)
    assert store.counts(stage).running == MANY
    owners = [row["value_json"] for row in rows("trial_system_attributes") if row["key"] == "hpsearch:owner"]
    assert len(owners) == MANY
    assert sorted(map(owners.count, set(owners))) == sorted(len(one) for one in claimed if one)
