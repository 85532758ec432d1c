"""A stage of up to ten million finished trials, made by the database itself, and what the store then takes.

The rows are those that hpsearch writes: a trial, two parameters, a value, E points of its curve, three attributes and
its owner. The store would take hours to write ten million; ``INSERT ... SELECT`` takes minutes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optuna.distributions import distribution_to_json
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine

from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed, Stage
from hpsearch.space import Float, to_distribution
from hpsearch.store import NewStage, Owner, Store, open_store
from hpsearch.store.stages import OWNER

PARTS = {"trial_params": 2, "trial_values": 1, "trial_user_attributes": 3, "trial_system_attributes": 1}
"""Rows of each table that a trial has, beside its own and a point a epoch."""
_EXAMPLES = 10_000
"""Scores are shares of so many: at a million trials a hundred share each."""
_BATCH = 32
_AT_ONCE = 1_000_000
"""So many trials are made in one transaction: the log of ten million would be as long as the database."""
_RUNNING = 1000
"""So many trials are held by a runner while the store is timed."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A stage of so many trials, and what it takes.

    Args:
        backend: ``sqlite`` or ``postgresql``.
        trials: Finished trials.
        epochs: Points of each one's curve.
        made_s: Seconds that the database took to make them.
        size: Bytes of the database, indexes included.
        seconds: The least of several timings, by what was done.
    """

    backend: str
    trials: int
    epochs: int
    made_s: float
    size: int
    seconds: dict[str, float]

    @property
    def rows(self) -> int:
        """Rows of all tables together."""
        return self.trials * rows_of_trial(self.epochs)


def rows_of_trial(epochs: int) -> int:
    """How many rows a finished trial is."""
    return 1 + sum(PARTS.values()) + epochs


def fill(engine: Engine, stage: Stage, first: int, trials: int, epochs: int, owner: Owner) -> None:
    """Add finished trials to a stage that has the trials below ``first``, by statements that the database runs alone.

    Args:
        engine: The database.
        stage: Its only stage.
        first: The number of the first new trial; ids are numbers and 1.
        trials: How many are added.
        epochs: Points of each one's curve.
        owner: Who is to have run them.
    """
    with engine.begin() as connection:
        postgres = connection.dialect.name == "postgresql"
        if postgres:  # the rows refer to each other as they should; to look every one up would take half the time
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement, values in _statements(stage, first, trials, epochs, owner, postgres=postgres):
            connection.execute(text(statement), values)
        if postgres:
            connection.execute(text("SELECT setval('trials_trial_id_seq', (SELECT max(trial_id) FROM trials))"))


def settle(engine: Engine) -> None:
    """Have the database look at what it holds, as it does by itself in time."""
    postgres = engine.dialect.name == "postgresql"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if postgres else "ANALYZE"))


def _statements(
    stage: Stage, first: int, trials: int, epochs: int, owner: Owner, *, postgres: bool
) -> list[tuple[str, dict[str, Any]]]:
    last = first + trials - 1
    n = (
        f"(SELECT generate_series(CAST({first} AS bigint), {last}) AS n) AS made"
        if postgres
        else f"(WITH RECURSIVE c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c WHERE n < {last}) SELECT n FROM c)"
        " AS made"
    )
    drawn = "((n * 2654435761 + {salt}) % 4294967296) / 4294967296.0"
    at = "timezone('utc', now())" if postgres else "datetime('now')"
    state = "CAST('COMPLETE' AS trialstate)" if postgres else "'COMPLETE'"
    kind = "CAST('FINITE' AS trialvaluetype)" if postgres else "'FINITE'"
    point = "CAST('FINITE' AS trialintermediatevaluetype)" if postgres else "'FINITE'"
    score = f"floor({_EXAMPLES} * {drawn.format(salt=0)}) / {_EXAMPLES}.0"
    made: list[tuple[str, dict[str, Any]]] = [
        (
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) "
            f"SELECT n + 1, n, :study, {state}, {at}, {at} FROM {n} ORDER BY n",
            {"study": stage.study_id},
        ),
        (
            "INSERT INTO trial_values (trial_id, objective, value, value_type) "
            f"SELECT n + 1, 0, {score}, {kind} FROM {n} ORDER BY n",
            {},
        ),
        (
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
            f"SELECT n + 1, step, {score} * step / {epochs}.0, {point} FROM {n}, ("
            + " UNION ALL ".join(f"SELECT {step} AS step" for step in range(1, epochs + 1))
            + ") AS steps ORDER BY n, step",
            {},
        ),
        (
            "INSERT INTO trial_system_attributes (trial_id, key, value_json) "
            f"SELECT n + 1, :key, :owner FROM {n} ORDER BY n",
            {"key": OWNER, "owner": owner.to_json()},
        ),
    ]
    for salt, (name, parameter) in enumerate(stage.space.items(), start=1):
        assert isinstance(parameter, Float)
        distribution = to_distribution(parameter)
        value = f"{parameter.low} + {parameter.high - parameter.low} * {drawn.format(salt=salt * 1_000_003)}"
        made.append(
            (
                "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
                f"SELECT n + 1, :name, {value}, :distribution FROM {n} ORDER BY n",
                {"name": name, "distribution": distribution_to_json(distribution)},
            )
        )
    curves = json.dumps({name: [1 / 3] * epochs for name in ("train_loss", "validation_loss", "train_accuracy")})
    loss = "substr(CAST(" + drawn.format(salt=7) + " + 0.1 AS text), 1, 10)"
    for key, told in ((CURVES, ":told"), (SECONDS, ":told"), (VALIDATION_LOSS, loss)):
        values = {"key": key} | ({"told": curves if key == CURVES else "4.125"} if told == ":told" else {})
        made.append(
            (
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
                f"SELECT n + 1, :key, {told} FROM {n} ORDER BY n",
                values,
            )
        )
    return made


def size_of(connection: Connection) -> int:
    """Bytes of a database."""
    if connection.dialect.name == "postgresql":
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    pages = connection.execute(text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    return int(pages.scalar_one())


def timings(url: str, *, epochs: int, rounds: int = 3) -> dict[str, float]:
    """What a stage's store takes, in seconds, with `_RUNNING` trials under way; the least of ``rounds``.

    Args:
        url: The database, which has one stage.
        epochs: Points of the curves that are recorded.
        rounds: How often each is timed, in a store that was just opened each time.
    """
    found: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        given = call()
        found[name] = min(found.get(name, float("inf")), time.perf_counter() - began)
        return given

    for _ in range(rounds):
        store = timed("open", lambda: open_store(url, write=True))
        try:
            _timed_store(store, timed, epochs)
        finally:
            store.close()
    return found


def _timed_store(store: Store, timed: Callable[[str, Callable[[], Any]], Any], epochs: int) -> None:
    (stage,) = store.stages()
    owner, enough = Owner.current(), 10**9
    timed("first counts", lambda: store.counts(stage))
    store.claim(stage, until=enough, most=_RUNNING, owner=owner)
    claimed = timed(f"claim {_BATCH}", lambda: store.claim(stage, until=enough, most=_BATCH, owner=owner)).trials
    ids = {trial.number: trial.trial_id for trial in claimed}
    attributes = {CURVES: {}, SECONDS: 4.125, VALIDATION_LOSS: 0.5}
    outcomes = [Completed(trial.number, 0.5, (0.5,) * epochs, attributes) for trial in claimed]
    timed(f"record {_BATCH}", lambda: store.record(stage, outcomes, ids, owner=owner))
    timed("counts", lambda: store.counts(stage))
    timed("dead runners", lambda: store.release_dead(stage, me=owner))
    timed("latest 5", lambda: store.latest(stage, 5))
    timed("who finished", lambda: store.finishers(stage, among=10_000))
    timed("top 5", lambda: store.columns(stage, top=5))
    timed("narrow", lambda: store.scores(stage, ranked=lambda many: math.ceil(many / 4)))
    timed("release", lambda: store.release(stage, owner=owner))


def grow(url: str, new: NewStage, trials: int, epochs: int, owner: Owner, *, rounds: int) -> Grown:
    """Make a stage of finished trials in an empty database, and time what the store then takes."""
    store = open_store(url, create=True, write=True)
    assert isinstance(store, Store)
    try:
        began = time.perf_counter()
        stage, engine = store.create_stage(new), store.database.engine
        for first in range(0, trials, _AT_ONCE):
            fill(engine, stage, first, min(_AT_ONCE, trials - first), epochs, owner)
        settle(engine)
        made = time.perf_counter() - began
        with store.database.read() as connection:
            size, backend = size_of(connection), connection.dialect.name
    finally:
        store.close()
    return Grown(backend, trials, epochs, made, size, timings(url, epochs=epochs, rounds=rounds))
