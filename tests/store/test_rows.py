"""The same operations leave the same rows in Optuna's tables, whichever store wrote them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, create_trial

from hpsearch.records import Completed, Failed, Pruned, Report, Stage
from hpsearch.store import NewStage, Owner, Store, releases, tables
from hpsearch.store.leases import LEASE, utc_now

Opener = Callable[..., Store]
Rows = dict[str, list[tuple[Any, ...]]]

_BEATS = ("trial_heartbeats", "hpsearch:heartbeat")
"""A table, and an attribute: heartbeats are the one thing that the stores keep differently."""


def work(store: Store, new_stage: NewStage, gone: Owner) -> Stage:
    """Everything that a store can do to a database, with somebody else at work in it too."""
    me = replace(Owner.current(), run="the runner", pid=gone.pid - 1)  # the same text in both databases
    first = store.create_stage(new_stage)
    store.create_stage(new_stage)
    stage = store.create_stage(replace(new_stage, seed=5, fingerprint="cd34"), replace=True)
    assert first.name == stage.name
    store.create_stage(replace(new_stage, number=2, direction="minimize"))
    study = optuna.load_study(study_name=stage.name, storage=store.url)
    study.enqueue_trial({"lr": 0.005, "activation": "tanh"}, user_attrs={"asked by": "somebody"})
    study.enqueue_trial({"batch_size": 50})  # between two steps
    study.ask()  # takes the first one
    study.enqueue_trial({"activation": "sigmoid"})

    ids = {trial.number: trial.trial_id for trial in store.claim(stage, until=7, most=4, owner=me).trials}
    store.report(stage, [Report(n, step, n / 8) for n in (1, 2) for step in (1, 2)], ids, owner=me)
    attributes = {"validation_loss": 0.5, "seconds": 0.25, "curves": {"train_loss": [1.0, math.inf, math.nan]}}
    store.record(stage, [Completed(1, 0.125, (0.5, 0.25, 0.125), attributes)], ids, owner=me)
    store.record(stage, [Failed(2, "diverged", (0.25, math.nan, -math.inf), {"seconds": 0.5})], ids, owner=me)
    store.record(stage, [Completed(1, 0.99)], ids, owner=me)  # too late
    store.beat(stage, ids.values(), owner=me)
    store.release(stage, owner=me)

    ids |= {trial.number: trial.trial_id for trial in store.claim(stage, until=7, most=9, owner=gone).trials}
    store.record(stage, [Completed(3, 1e-300, (math.inf, 1e-300))], ids, owner=gone)
    store.release_dead(stage, me=me)
    study.add_trial(create_trial(state=optuna.trial.TrialState.WAITING, **_again(study.trials[1])))
    ids |= {trial.number: trial.trial_id for trial in store.claim(stage, until=8, most=5, owner=me).trials}
    store.record(stage, [Completed(5, 0.5)], ids, owner=me)
    store.record(stage, [Pruned(6, 2, (0.25, 0.5), {"validation_loss": 0.75})], ids, owner=me)
    store.record(stage, [Pruned(7, 1, (math.nan,))], ids, owner=me)
    return stage


def _again(trial: FrozenTrial) -> dict[str, Any]:
    return {"params": trial.params, "distributions": trial.distributions}


@pytest.fixture
def both(
    tmp_path: Path,
    empty_database: bytes,
    open_kind: Opener,
    new_stage: NewStage,
    gone: Callable[[], Owner],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Store, Store]:
    """Both stores, each over a database of its own in which the same was done."""
    monkeypatch.setattr(optuna.samplers.RandomSampler, "reseed_rng", lambda self: None)
    now = utc_now()
    monkeypatch.setattr(releases, "utc_now", lambda: now)  # it stands in what is kept of a release
    owner = replace(gone(), run="the one that is gone")
    stores = []
    for kind in ("bulk", "fallback"):
        file = tmp_path / f"{kind}.db"
        file.write_bytes(empty_database)
        store = open_kind(file, kind)
        work(store, new_stage, owner)
        stores.append(store)
    assert LEASE.total_seconds() > 60  # so that only the process that is gone loses its trials above
    return stores[0], stores[1]


def read(store: Store) -> Rows:
    """All rows of Optuna's tables, with what a row's id refers to instead of the id, and without times."""
    engine = sqlalchemy.create_engine(store.url)
    found: Rows = {}
    with engine.connect() as connection:
        trials, studies = tables.trials.c, tables.studies.c
        numbers = {row[0]: row[1] for row in connection.execute(sqlalchemy.select(trials.trial_id, trials.number))}
        names = {row[0]: row[1] for row in connection.execute(sqlalchemy.select(studies.study_id, studies.study_name))}
        for name in sqlalchemy.inspect(connection).get_table_names():
            if name in (*_BEATS, "version_info"):
                continue
            table = sqlalchemy.Table(name, sqlalchemy.MetaData(), autoload_with=connection)
            for row in connection.execute(sqlalchemy.select(table)):
                plain: dict[str, Any] = dict(row._mapping)
                plain = {key: value for key, value in plain.items() if not table.c[key].primary_key}
                if plain.get("key") in _BEATS:
                    continue
                for key, meaning in (("trial_id", numbers), ("study_id", names)):
                    if key in plain:
                        plain[key] = meaning[plain[key]]
                for key in ("datetime_start", "datetime_complete"):
                    # A released trial is waiting; what it says of its start is read by nobody.
                    if key in plain:
                        plain[key] = plain[key] is not None or plain["state"] == "WAITING"
                found.setdefault(name, []).append(tuple(sorted(plain.items())))
    engine.dispose()
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def test_the_same_rows(both: tuple[Store, Store]) -> None:
    bulk, fallback = map(read, both)
    # The one trial that plain Optuna asked for has no values; all others have three.
    assert {name: len(rows) for name, rows in bulk.items()} == {
        "alembic_version": 1,
        "studies": 2,
        "study_directions": 2,
        "study_user_attributes": 22,
        "trials": 9,
        "trial_params": 24,
        "trial_values": 4,
        "trial_intermediate_values": 11,
        "trial_user_attributes": 7,
        "trial_system_attributes": 16,
    }
    for name in bulk:
        assert bulk[name] == fallback[name], name
    assert bulk.keys() == fallback.keys()


def through_optuna(store: Store) -> list[Any]:
    """All that Optuna says of the database."""
    seen: list[Any] = []
    for name in optuna.get_all_study_names(store.url):
        study = optuna.load_study(study_name=name, storage=store.url)
        seen.append((name, study.directions, study.user_attrs))
        for trial in study.trials:
            system = {key: value for key, value in trial.system_attrs.items() if key not in _BEATS}
            # Curves and attributes hold NaN, which equals nothing.
            told = repr(sorted(trial.intermediate_values.items())), repr(sorted(trial.user_attrs.items()))
            seen.append((trial.number, trial.state, trial.params, trial.distributions, trial.values, *told, system))
    return seen


def test_optuna_reads_the_same(both: tuple[Store, Store]) -> None:
    bulk, fallback = map(through_optuna, both)
    assert len(bulk) == 2 + 9
    assert bulk == fallback


def test_what_the_rows_say(both: tuple[Store, Store]) -> None:
    for store in both:
        (stage, _) = store.stages()
        assert (stage.seed, stage.fingerprint) == (5, "cd34")
        trials = optuna.load_study(study_name=stage.name, storage=store.url).trials
        states = ["RUNNING", "COMPLETE", "FAIL", "COMPLETE", "RUNNING", "COMPLETE", "PRUNED", "PRUNED", "RUNNING"]
        assert [trial.state.name for trial in trials] == states
        assert trials[1].values == [0.125]
        assert trials[2].params["activation"] == "sigmoid"
        assert trials[8].params == trials[1].params
        assert (store.counts(stage).finished, store.counts(stage).running) == (6, 2)
