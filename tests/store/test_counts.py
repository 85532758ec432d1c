"""Counts without counting again: true whoever wrote in between, and at the price of what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from stored import storage

from hpsearch.records import Completed, Failed, Outcome, Report
from hpsearch.store import Counts, NewStage, Owner, Store, open_store

Opener = Callable[..., Store]


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


@contextmanager
def open_other(store: Store) -> Iterator[Store]:
    """Another process's view of the database."""
    other = open_store(store.url, write=True)
    try:
        yield other
    finally:
        other.close()


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
    with open_other(store) as other:  # by the time that this store looks, the newest trial's id is there once more
        other.claim(again, until=2, most=2, owner=me)
    assert store.counts(again) == Counts(running=2)


@contextmanager
def watched(store: Store) -> Iterator[list[str]]:
    """What SQLite's driver runs meanwhile, with the values in it."""
    said: list[str] = []
    with store.database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
    driver.set_trace_callback(said.append)
    yield said
    driver.set_trace_callback(None)


def test_a_call_s_price_is_what_it_touches(file: Path, opener: Opener, new_stage: NewStage, me: Owner) -> None:
    """The same statements over any number of finished trials, and none of them goes through a stage's trials."""
    store = opener(file)
    stage = store.create_stage(new_stage)
    counted = []
    for until in (4, 300, 304):
        while store.counts(stage).finished < until:
            with watched(store) as said:
                trials = store.claim(stage, until=until, most=4, owner=me).trials
                ids = {trial.number: trial.trial_id for trial in trials}
                store.report(stage, [Report(n, 1, 0.5) for n in ids], ids, owner=me)
                store.beat(stage, ids.values(), owner=me)
                store.record(stage, [Completed(n, 0.5, (0.5,), {"seconds": 1}) for n in ids], ids, owner=me)
                store.counts(stage)
        counted.append(said)
    assert len(counted[1]) == len(counted[2])
    engine = sqlalchemy.create_engine(store.url)
    with engine.connect() as connection:
        plans = {
            step.detail
            for text in counted[2]
            if text.startswith(("SELECT", "UPDATE", "DELETE"))
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        }
    engine.dispose()
    assert len(plans) > 5
    for plan in plans:
        assert plan.startswith("SEARCH"), plan
        # A search by the stage alone finds all of its trials.
        assert not plan.endswith("ix_trials_study_id (study_id=?)"), plan
