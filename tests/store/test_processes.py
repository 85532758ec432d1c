"""Several processes at one database, at the same moment."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
from postgres import Server

from hpsearch.records import Stage
from hpsearch.sampling import values
from hpsearch.store import Store, open_store

# Each says when it is ready, waits for the word, and says what came of it.
_BEGIN = """
import json, os, sys
import optuna
from hpsearch.space import Float
from hpsearch.store import NewStage, Owner, open_store, tables
from hpsearch.store.fallback import FallbackStore
if sys.argv[2] == "fallback":
    tables.REVISION = "another"
def go():
    print("ready", flush=True)
    sys.stdin.readline()
"""
_CREATE = f"""{_BEGIN}
go()
store = open_store(sys.argv[1], create=True, write=True)
new = NewStage(f"of-{{os.getpid()}}", 1, "maximize", 0, {{"lr": Float(0.1, 1.0)}}, {{}})
print(json.dumps(store.create_stage(new).search))
"""
_CLAIM = f"""{_BEGIN}
store = open_store(sys.argv[1], write=True)
(stage,) = store.stages()
me, mine = Owner.current(), []
go()
while trials := store.claim(stage, until=40, most=3, owner=me).trials:
    mine += [(trial.number, dict(trial.params)) for trial in trials]
print(json.dumps(mine))
"""


def at_once(program: str, many: int, *arguments: str) -> list[Any]:
    """Run a program in several processes that all begin when all are ready; what each of them prints."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-W", "error", "-c", program, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(many)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [child.communicate(timeout=120) for child in children]
    assert [(child.returncode, err) for child, (_, err) in zip(children, told, strict=True)] == [(0, "")] * many
    return [json.loads(out) for out, _ in told]


def test_six_make_one_database(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    made = at_once(_CREATE, 6, str(file), "bulk")
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
    url: str, kind: str, store: Store, stage: Stage, study: optuna.Study, rows: Callable[[str], list[dict[str, Any]]]
) -> None:
    """Every number is claimed by one process, and the stage has not one trial more than asked for."""
    claimed = at_once(_CLAIM, 3, url, kind)
    assert sorted(number for one in claimed for number, _ in one) == list(range(40))
    for one in claimed:
        for number, params in one:
            assert params == values(stage.space, seed=stage.seed, number=number)
    assert store.counts(stage).running == 40
    owners = [row["value_json"] for row in rows("trial_system_attributes") if row["key"] == "hpsearch:owner"]
    assert len(owners) == 40
    assert sorted(map(owners.count, set(owners))) == sorted(len(one) for one in claimed if one)


def test_three_make_the_tables_of_one_database_on_a_server(postgres: Server) -> None:
    url = postgres.empty()
    made = at_once(_CREATE, 3, url, "bulk")
    store = open_store(url)
    assert sorted(stage.search for stage in store.stages()) == sorted(made)
    store.close()
    name = url.rpartition("/")[2]
    assert postgres.run("SELECT count(*) FROM alembic_version", database=name) == [(1,)]
    assert postgres.run("SELECT count(*) FROM version_info", database=name) == [(1,)]
    assert postgres.connections(url) == 0
    postgres.drop(url)
