"""Optuna's tables for the one schema revision that the store knows, and the making of new databases.

Optuna owns the schema. Making it takes Optuna a third of a second, most of it spent on loading what migrates old
databases. So what it makes is kept beside this module as SQL, for the version that made it; with any other version
installed, and on a server, Optuna makes the tables itself. ``tests/store/test_schema.py`` holds both the declarations
and the SQL against the tables that the installed Optuna makes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Column, DateTime, Enum, Float, ForeignKey, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import URL, Connection

from hpsearch.errors import BadStorage
from hpsearch.records import Action
from hpsearch.store.engine import SIDE_FILES, Database, beside, folder_lock, literal, show

REVISION = "v3.2.0.a"
"""The alembic revision whose tables these are."""
OPTUNAS = "3.2 to 5"
"""The versions of Optuna that make this revision."""
KEPT_VERSION = "5.0.0"
"""The version of Optuna whose empty database is kept."""
KEPT = Path(__file__).with_name(f"optuna-{KEPT_VERSION}.sql")


metadata = MetaData()

alembic_version = Table("alembic_version", metadata, Column("version_num", String(32)))
studies = Table("studies", metadata, Column("study_id", Integer, primary_key=True), Column("study_name", String(512)))
trials = Table(
    "trials",
    metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer, ForeignKey("studies.study_id")),
    Column("state", Enum("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING", name="trialstate")),
    Column("datetime_start", DateTime),
    Column("datetime_complete", DateTime),
)


def _part(of: Table, name: str, key: str, *columns: Column[Any]) -> Table:
    """Declare a table whose rows belong to a study or a trial."""
    (owner,) = of.primary_key.columns
    of_owner = Column(owner.name, Integer, ForeignKey(owner))
    return Table(name, metadata, Column(key, Integer, primary_key=True), of_owner, *columns)


def _attributes(of: Table, name: str) -> Table:
    return _part(of, f"{name}s", f"{name}_id", Column("key", String(512)), Column("value_json", Text))


_direction: Column[Any] = Column("direction", Enum("NOT_SET", "MINIMIZE", "MAXIMIZE", name="studydirection"))
study_directions = _part(studies, "study_directions", "study_direction_id", _direction, Column("objective", Integer))
study_user_attributes = _attributes(studies, "study_user_attribute")
study_system_attributes = _attributes(studies, "study_system_attribute")
trial_params = _part(
    trials,
    "trial_params",
    "param_id",
    Column("param_name", String(512)),
    Column("param_value", Float(precision=53)),
    Column("distribution_json", Text),
)
trial_values = _part(
    trials,
    "trial_values",
    "trial_value_id",
    Column("objective", Integer),
    Column("value", Float(precision=53)),
    Column("value_type", Enum("FINITE", "INF_POS", "INF_NEG", name="trialvaluetype")),
)
trial_intermediate_values = _part(
    trials,
    "trial_intermediate_values",
    "trial_intermediate_value_id",
    Column("step", Integer),
    Column("intermediate_value", Float(precision=53)),
    Column("intermediate_value_type", Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype")),
)
trial_user_attributes = _attributes(trials, "trial_user_attribute")
trial_system_attributes = _attributes(trials, "trial_system_attribute")
trial_heartbeats = _part(trials, "trial_heartbeats", "trial_heartbeat_id", Column("heartbeat", DateTime))


def create_sqlite(file: str) -> None:
    """Make the tables in an empty SQLite file that nobody else has open, and set it to write-ahead logging."""
    kept = packages.version("optuna") == KEPT_VERSION
    if not kept:
        let_optuna_create(URL.create("sqlite", database=file))
    with contextlib.closing(sqlite3.connect(file)) as connection:
        if kept:
            connection.executescript(KEPT.read_text(encoding="utf-8"))
        # WAL lets the dashboard read while a stage writes; the mode stays with the file.
        connection.execute("PRAGMA journal_mode=WAL")


def let_optuna_create(url: URL) -> None:
    """Have Optuna make the tables of an empty database, of either kind."""
    import optuna  # loading it takes 0.3 s, and only a new database on a server needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url.render_as_string(hide_password=False))
    storage.engine.dispose()


def create_file(file: Path) -> None:
    """Make a database beside ``file`` and move it there whole, unless another process was faster.

    Optuna's own creation in place is no single transaction: two processes at it crash each other, and a full
    disk leaves half a schema.
    """
    try:
        file = file.resolve()  # a link stays a link
        with folder_lock(file):
            if file.exists() and file.stat().st_size > 0:
                return
            descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
            os.close(descriptor)
            try:
                create_sqlite(name)
                mask = os.umask(0o077)
                os.umask(mask)
                os.chmod(name, 0o666 & ~mask)
                os.replace(name, file)
            finally:
                for end in ("", *SIDE_FILES):
                    beside(Path(name), end).unlink(missing_ok=True)
    except OSError as error:
        raise BadStorage(f"cannot make the database {file}: {error.strerror}") from error


def check_revision(database: Database, *, create: bool) -> None:
    """Raise BadStorage where a database lacks Optuna's tables of the known revision; ``create`` makes them."""
    where = show(database.url)
    revision = _read_revision(database)
    if revision is None and create:
        with database.exclusive():
            if _read_revision(database) is None:
                let_optuna_create(database.url)
            revision = _read_revision(database)
    if revision is None:
        action = Action("start", {"storage": where})
        raise BadStorage(f"the database {literal(where)} holds no studies; `{{}}` makes some", action)
    if revision != REVISION:
        raise BadStorage(
            f"the database {where} has the schema {revision}; hpsearch knows {REVISION}, that of Optuna {OPTUNAS}"
        )


def _read_revision(database: Database) -> str | None:
    where = show(database.url)
    with database.read() as connection:
        names = set(sqlalchemy.inspect(connection).get_table_names())
        if "alembic_version" in names and {"studies", "trials"} <= names:
            return connection.execute(sqlalchemy.select(alembic_version.c.version_num)).scalar()
        if _half_made(connection, names):
            return None
    if "studies" in names or "alembic_version" in names:
        raise BadStorage(f"the tables of {where} are not of a schema that Optuna can use; give another storage")
    if names and database.dialect == "sqlite":
        first = ", ".join(sorted(names)[:3])
        raise BadStorage(f"{where} holds other tables ({first}), not Optuna's; give another storage")
    return None


def _half_made(connection: Connection, names: set[str]) -> bool:
    """Return whether somebody was cut off while Optuna made the tables, which its next try then completes."""
    optunas = set(metadata.tables) - {"alembic_version"}  # it makes these in one transaction
    if not optunas <= names or "alembic_version" in names:
        return False
    return connection.execute(sqlalchemy.select(studies.c.study_id).limit(1)).first() is None
