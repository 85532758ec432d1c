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


def _set(table: str, change: str, where: str = "") -> str:
    return f"UPDATE {table} SET {change} WHERE trial_id = {_T2}{where}"


_LR, _HITS = " AND param_name = 'lr'", " AND key = 'hits'"
_OF_TRIALS = tuple(table for table in _ORPHANS if table.startswith("trial_") and table != "trial_heartbeats")
PLANTS = (
    *(Plant(f"orphan:{table}", f"INSERT INTO {table} {row}", None) for table, row in _ORPHANS.items()),
    Plant("state", _set("trials", "state = 'COMPLETF'")),
    Plant("no-value", f"DELETE FROM trial_values WHERE trial_id = {_T2}"),
    *(Plant("value", _set("trial_values", change)) for change in (
        "value = NULL", "value = 9e999", "value = 'much'", "value_type = 'FINITF'")),
    Plant("early-value", _set("trials", "state = 'WAITING'")),
    Plant("point", _set("trial_intermediate_values", "intermediate_value = NULL", " AND step = 1")),
    Plant("time", _set("trials", "datetime_start = '2026-13-45'")),
    Plant("param", _set("trial_params", "param_value = NULL", _LR)),
    Plant("no-param", _set("trial_params", "param_value = 7.5", _LR)),
    Plant("sampled", _set("trial_params", "param_value = param_value * (1 + 1e-15)", _LR)),
    Plant("no-param", f"DELETE FROM trial_params WHERE trial_id = {_T2}{_LR}"),
    Plant("distribution", _set("trial_params", "distribution_json = '{'", _LR)),
    Plant("gap", f"DELETE FROM trials WHERE trial_id = {_T2};" + "".join(
        f"DELETE FROM {table} WHERE trial_id NOT IN (SELECT trial_id FROM trials);" for table in _OF_TRIALS)),
    Plant("stuck", "INSERT INTO trials (number, study_id, state, datetime_start)"
          " VALUES (6, 1, 'RUNNING', '2020-01-01 00:00:00')"),
    Plant("attribute", _set("trial_user_attributes", "value_json = '{\"a'", " AND key = 'curves'")),
    Plant("attribute", _set("trial_user_attributes", "value_json = CAST(X'22ff22' AS TEXT)", _HITS)),
    Plant("no-attribute", f"DELETE FROM trial_user_attributes WHERE trial_id = {_T2}{_HITS}"),
    Plant("no-attribute", "DELETE FROM trial_user_attributes WHERE trial_id IN"
          f" (SELECT trial_id FROM trials WHERE study_id = 1 AND trial_id <> {_T2})"),
    Plant("no-attribute", "DELETE FROM trial_user_attributes WHERE key = 'curves' AND trial_id IN"
          " (SELECT trial_id FROM trials WHERE study_id = 1)"),
    Plant("curve", f"DELETE FROM trial_intermediate_values WHERE trial_id = {_T2} AND step = 2"),
    Plant("score", _set("trial_values", "value = 1 - value + 0.05")),
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


Trials = dict[tuple[str, int], tuple[str, ...]]


def trials(file: Path) -> Trials:
    """Everything that lasts of every trial, by study and number; its state first."""
    found = rows(file)
    names: dict[int, str] = {row[0]: row[1] for row in found["studies"]}
    key = {trial[0]: (names.get(trial[2], ""), trial[1]) for trial in found["trials"]}
    made: dict[tuple[str, int], list[str]] = {at: [] for at in key.values()}
    for table in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes"):
        for row in found[table]:
            if row[1] in key and row[2] != "seconds":
                made[key[row[1]]].append(repr((table, *row[2:])))
    return {key[trial[0]]: (trial[3], *sorted(made[key[trial[0]]])) for trial in found["trials"]}
