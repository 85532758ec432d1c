"""A stage of up to millions of finished trials, made by the database itself, and how long the store then takes.

The store writes a thousand trials; each further step copies all that are there under new numbers, with one
``INSERT ... SELECT`` a table.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import big_stage
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine

from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed
from hpsearch.store import NewStage, Owner, Store, open_store
from hpsearch.store import schema as tables

PARTS = {"trial_params": 2, "trial_values": 1, "trial_user_attributes": 3, "trial_system_attributes": 1}
"""Rows of each table that a trial has, beside its own and a point an epoch."""
FIRST = 1000
BATCH = 32
RUNNING = 1000
"""So many trials are held by a runner while the store is timed."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A stage of so many trials, and the store's times."""

    backend: str  # ``sqlite`` or ``postgresql``
    trials: int  # finished trials
    epochs: int  # points of each one's curve
    made_s: float  # seconds that the database took to make them
    size: int  # bytes of the database, indexes included
    seconds: dict[str, float]  # the least of several timings, by what was done


def rows_of_trial(epochs: int) -> int:
    """The rows of a finished trial."""
    return 1 + sum(PARTS.values()) + epochs


def double(connection: Connection, have: int, more: int) -> None:
    """Copy the first ``more`` of ``have`` trials of the only stage; their ids are their numbers and 1."""
    trials = "number + :have, study_id, state, datetime_start, datetime_complete FROM trials"
    statements = [
        "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) "
        f"SELECT trial_id + :have, {trials} WHERE trial_id <= :more ORDER BY trial_id"
    ]
    for name in (*PARTS, "trial_intermediate_values"):
        columns = tables.metadata.tables[name].columns
        kept = ", ".join(column.name for column in columns if not column.primary_key and column.name != "trial_id")
        statements.append(
            f"INSERT INTO {name} (trial_id, {kept}) SELECT trial_id + :have, {kept} FROM {name} "
            "WHERE trial_id <= :more ORDER BY trial_id"
        )
    if connection.dialect.name == "postgresql":  # the rows refer to each other as they should
        connection.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in statements:
        connection.execute(text(statement), {"have": have, "more": more})


def fill(store: Store, new: NewStage, trials: int, epochs: int, engine: Engine) -> None:
    """Make a stage of so many finished trials in an empty database, and have the database count its rows."""
    have = min(trials, FIRST)
    big_stage.fill(store, store.create_stage(new), have, epochs, curves=True)
    while have < trials:
        more = min(have, trials - have)
        with engine.begin() as connection:
            double(connection, have, more)
        have += more
    postgres = engine.dialect.name == "postgresql"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if postgres:
            connection.execute(text("SELECT setval('trials_trial_id_seq', (SELECT max(trial_id) FROM trials))"))
        connection.execute(text("VACUUM ANALYZE" if postgres else "ANALYZE"))


def size_of(connection: Connection) -> int:
    """Bytes of a database."""
    pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    postgres = connection.dialect.name == "postgresql"
    statement = "SELECT pg_database_size(current_database())" if postgres else pages
    return int(connection.execute(text(statement)).scalar_one())


def timings(url: str, *, epochs: int, rounds: int) -> dict[str, float]:
    """Seconds that calls of a stage's store take, with `RUNNING` trials under way; the least of ``rounds``.

    Args:
        url: The database, which has one stage.
        epochs: Points of the curves that are recorded.
        rounds: How often each is timed, in a store that was just opened each time.
    """
    found: dict[str, float] = {}

    def timed(name: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        given = call(*arguments, **named)
        found[name] = min(found.get(name, float("inf")), time.perf_counter() - began)
        return given

    owner, enough = Owner.current(), 10**9
    for _ in range(rounds):
        store: Store = timed("open", open_store, url, write=True)
        (stage,) = store.stages()
        timed("first counts", store.counts, stage)
        store.claim(stage, until=enough, most=RUNNING, owner=owner)
        claimed = timed(f"claim {BATCH}", store.claim, stage, until=enough, most=BATCH, owner=owner).trials
        ids = {trial.number: trial.trial_id for trial in claimed}
        attributes = {CURVES: {}, SECONDS: 4.125, VALIDATION_LOSS: 0.5}
        outcomes = [Completed(trial.number, 0.5, (0.5,) * epochs, attributes) for trial in claimed]
        timed(f"record {BATCH}", store.record, stage, outcomes, ids, owner=owner)
        timed("counts", store.counts, stage)
        timed("dead runners", store.release_dead, stage, me=owner)
        timed("latest 5", store.latest, stage, 5)
        timed("who finished", store.finishers, stage, among=10_000)
        timed("top 5", store.columns, stage, top=5)
        timed("narrow", store.scores, stage, ranked=lambda trials: math.ceil(trials / 4))
        timed("release", store.release, stage, owner=owner)
        store.close()
    return found


def grow(url: str, new: NewStage, trials: int, epochs: int, *, rounds: int) -> Grown:
    """Make a stage of finished trials in an empty database, and time the store."""
    store = open_store(url, create=True, write=True)
    try:
        began = time.perf_counter()
        fill(store, new, trials, epochs, store.database.engine)
        made = time.perf_counter() - began
        with store.database.read() as connection:
            size, backend = size_of(connection), connection.dialect.name
    finally:
        store.close()
    return Grown(backend, trials, epochs, made, size, timings(url, epochs=epochs, rounds=rounds))
