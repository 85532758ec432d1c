"""A sound study database with everything in it that a check looks at, and the same with damage planted."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import past_trials
import tiny

from hpsearch.__main__ import main
from hpsearch.store import open_store

FIRST, SECOND, CONFIRMED = "tiny/stage-01", "tiny/stage-02", "tiny/confirm-01"


@cache
def sound() -> bytes:
    """A search of two stages, its confirmation, an imported search and somebody's own study; all of it sound."""
    with tempfile.TemporaryDirectory() as folder:
        return _make(Path(folder)).read_bytes()


def write(folder: Path) -> Path:
    """The same as a file in a folder."""
    file = folder / "my.db"
    file.write_bytes(sound())
    return file


def _make(folder: Path) -> Path:
    file = folder / "made.db"
    study = tiny.write(folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for command in (
            f"start {study} --engine inline --storage {file}",
            f"confirm --engine inline --storage {file} --top 2 --repeats 2",
            f"narrow --top 3 --storage {file}",
            f"start {study} --engine inline --storage {file} --trials 4",
        ):
            assert main(command.split()) == 0, command
    store = open_store(str(file), write=True)
    past_trials.fill(store)
    store.close()
    _somebodys(file)
    return file


def _somebodys(file: Path) -> None:
    """A study as Optuna's users make them: values from outside a range, failures, trials under way."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    study = optuna.create_study(study_name="mine: größe", storage=storage)
    study.set_user_attr("note", "größer")
    study.enqueue_trial({"x": 0.25})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 9, step=2), n_trials=3)
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    study.ask().report(float("nan"), 0)
    storage.remove_session()
    storage.engine.dispose()


@dataclass(frozen=True)
class Plant:
    """One kind of damage."""

    kind: str  # what a check calls it
    sql: str  # what plants it, statement by statement
    study: str | None = FIRST  # where, or None for the whole file
    mended: bool = True  # whether a repair leaves nothing of it
    also: tuple[str, ...] = ()  # what cannot but be found with it


def run_sql(file: Path, sql: str) -> None:
    """Run statements that no sound program would: without foreign keys, with the schema open to writing."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.executescript(sql)


def trial(number: int) -> str:
    """The key of a trial of the first study, in SQL."""
    return f"(SELECT trial_id FROM trials WHERE study_id = 1 AND number = {number})"


_T2 = trial(2)
_ORPHANS = {
    "trial_params": "(trial_id, param_name, param_value, distribution_json) VALUES (9000, 'x', 1, '{}')",
    "trial_values": "(trial_id, objective, value, value_type) VALUES (9000, 0, 1, 'FINITE')",
    "trial_intermediate_values": "(trial_id, step, intermediate_value, intermediate_value_type)"
    " VALUES (9000, 1, 1, 'FINITE')",
    "trial_user_attributes": "(trial_id, key, value_json) VALUES (9000, 'x', '1')",
    "trial_system_attributes": "(trial_id, key, value_json) VALUES (9000, 'x', '1')",
    "trial_heartbeats": "(trial_id, heartbeat) VALUES (9000, '2026-01-01 00:00:00')",
    "study_user_attributes": "(study_id, key, value_json) VALUES (90, 'x', '1')",
    "study_system_attributes": "(study_id, key, value_json) VALUES (90, 'x', '1')",
    "study_directions": "(direction, study_id, objective) VALUES ('MAXIMIZE', 90, 0)",
    "trials": "(number, study_id, state) VALUES (0, 90, 'WAITING')",
}
PLANTS = (
    *(Plant(f"orphan:{table}", f"INSERT INTO {table} {row}", None) for table, row in _ORPHANS.items()),
    Plant("state", f"UPDATE trials SET state = 'COMPLETF' WHERE trial_id = {_T2}"),
    Plant("no-value", f"DELETE FROM trial_values WHERE trial_id = {_T2}"),
    Plant("value", f"UPDATE trial_values SET value = NULL WHERE trial_id = {_T2}"),
    Plant("value", f"UPDATE trial_values SET value = 9e999 WHERE trial_id = {_T2}"),
    Plant("value", f"UPDATE trial_values SET value = 'much' WHERE trial_id = {_T2}"),
    Plant("value", f"UPDATE trial_values SET value_type = 'FINITF' WHERE trial_id = {_T2}"),
    Plant("early-value", f"UPDATE trials SET state = 'WAITING' WHERE trial_id = {_T2}"),
    Plant("point", "UPDATE trial_intermediate_values SET intermediate_value = NULL"
          f" WHERE trial_id = {_T2} AND step = 1"),
    Plant("time", f"UPDATE trials SET datetime_start = '2026-13-45' WHERE trial_id = {_T2}"),
    Plant("param", f"UPDATE trial_params SET param_value = NULL WHERE trial_id = {_T2} AND param_name = 'lr'"),
    Plant("no-param", f"UPDATE trial_params SET param_value = 7.5 WHERE trial_id = {_T2} AND param_name = 'lr'"),
    Plant("sampled", "UPDATE trial_params SET param_value = param_value * (1 + 1e-15)"
          f" WHERE trial_id = {_T2} AND param_name = 'lr'"),
    Plant("no-param", f"DELETE FROM trial_params WHERE trial_id = {_T2} AND param_name = 'lr'"),
    Plant("distribution", "UPDATE trial_params SET distribution_json = '{'"
          f" WHERE trial_id = {_T2} AND param_name = 'lr'"),
    Plant("gap", f"DELETE FROM trials WHERE trial_id = {_T2};"
          + "".join(f"DELETE FROM {t} WHERE trial_id NOT IN (SELECT trial_id FROM trials);"
                    for t in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes",
                              "trial_system_attributes"))),
    Plant("stuck", "INSERT INTO trials (number, study_id, state, datetime_start)"
          " VALUES (6, 1, 'RUNNING', '2020-01-01 00:00:00')"),
    Plant("attribute", "UPDATE trial_user_attributes SET value_json = '{\"a'"
          f" WHERE trial_id = {_T2} AND key = 'curves'"),
    Plant("attribute", "UPDATE trial_user_attributes SET value_json = CAST(X'22ff22' AS TEXT)"
          f" WHERE trial_id = {_T2} AND key = 'hits'"),
    Plant("no-attribute", f"DELETE FROM trial_user_attributes WHERE trial_id = {_T2} AND key = 'hits'"),
    Plant("no-attribute", "DELETE FROM trial_user_attributes WHERE trial_id IN"
          f" (SELECT trial_id FROM trials WHERE study_id = 1 AND trial_id <> {_T2})"),
    Plant("curve", f"DELETE FROM trial_intermediate_values WHERE trial_id = {_T2} AND step = 2"),
    Plant("score", f"UPDATE trial_values SET value = 1 - value + 0.05 WHERE trial_id = {_T2}"),
    Plant("study-attribute", "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'x', '{')"),
    Plant("study-attribute", "UPDATE study_user_attributes SET value_json = '{' WHERE study_id = 1"
          " AND key = 'hpsearch:rule'", mended=False),
    Plant("stage", "DELETE FROM study_user_attributes WHERE study_id = 1 AND key = 'hpsearch:search'", mended=False),
    Plant("index", "PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql ="
          " 'CREATE INDEX ix_trials_study_id ON trials (number)' WHERE name = 'ix_trials_study_id'", None),
)  # fmt: skip


Rows = dict[str, list[tuple[Any, ...]]]


def rows(file: Path) -> Rows:
    """Every row of every table, by table."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def trials(file: Path) -> dict[tuple[str, int], tuple[str, ...]]:
    """Everything that lasts of every trial, by study and number; its state first."""
    found = rows(file)
    names: dict[int, str] = {row[0]: row[1] for row in found["studies"]}
    key = {trial[0]: (names.get(trial[2], ""), trial[1]) for trial in found["trials"]}
    made: dict[tuple[str, int], list[object]] = {key[trial[0]]: [trial[3]] for trial in found["trials"]}
    for table in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes"):
        for row in found[table]:
            if row[1] in key and row[2] != "seconds":
                made[key[row[1]]].append((table, *row[2:]))
    return {at: tuple(map(repr, [of[0], *sorted(of[1:], key=repr)])) for at, of in made.items()}
