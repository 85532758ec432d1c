"""What a study database holds, past all of hpsearch's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import optuna

from hpsearch.records import Stage
from hpsearch.store import Owner, Store

Opener: TypeAlias = Callable[..., Store]
Rows: TypeAlias = Callable[[str], list[dict[str, Any]]]


def storage(url: str) -> optuna.storages.RDBStorage:
    """A database whose tables are there, for Optuna, which would look at them for 30 ms each time."""
    return optuna.storages.RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)


def claim(store: Store, stage: Stage, owner: Owner, *, until: int) -> dict[int, int]:
    """Claim trials until the stage has so many: their keys in the database by number."""
    return {trial.number: trial.trial_id for trial in store.claim(stage, until=until, most=until, owner=owner).trials}


@contextmanager
def watched(store: Store) -> Iterator[list[str]]:
    """What SQLite's driver runs meanwhile, with the values in it."""
    statements: list[str] = []
    with store.database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
    driver.set_trace_callback(statements.append)
    yield statements
    driver.set_trace_callback(None)


def plans(store: Store, statements: list[str]) -> list[str]:
    """How SQLite goes about the statements that look for rows, step by step."""
    looks = [text for text in statements if text.startswith(("SELECT", "UPDATE", "DELETE"))]
    with store.database.read() as connection:
        return [step.detail for text in looks for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
