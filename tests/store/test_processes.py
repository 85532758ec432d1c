"""Several processes at one database, at the same moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from postgres import Server
from together import MANY, at_once, claim, create

from hpsearch.records import Stage
from hpsearch.samplers import values
from hpsearch.store import Store, open_store


def test_six_make_one_database(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    made = at_once(create, 6, str(file))
    store = open_store(str(file))
    # Nobody put an empty database in the place of one that was in use already.
    assert sorted(stage.search for stage in store.stages()) == sorted(made)
    store.close()
    assert {path.name for path in tmp_path.iterdir()} <= {"new.db", "new.db-wal", "new.db-shm"}
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM version_info").fetchone() == (1,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_claims_are_disjoint(
    url: str, store: Store, stage: Stage, study: optuna.Study, rows: Callable[[str], list[dict[str, Any]]]
) -> None:
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


def test_three_make_the_tables_of_one_database_on_a_server(postgres: Server) -> None:
    url = postgres.empty()
    made = at_once(create, 3, url)
    store = open_store(url)
    assert sorted(stage.search for stage in store.stages()) == sorted(made)
    store.close()
    name = url.rpartition("/")[2]
    assert postgres.run("SELECT count(*) FROM alembic_version", database=name) == [(1,)]
    assert postgres.run("SELECT count(*) FROM version_info", database=name) == [(1,)]
    assert postgres.connections(url) == 0
    postgres.drop(url)
