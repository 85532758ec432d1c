"""The format of the database: Optuna's tables, stages as attributes in them, SQL over them, and making a new one.

Optuna owns the schema. Making it takes Optuna a third of a second, most of it spent on loading what migrates old
databases. So what it makes is kept beside this module as SQL, for the version that made it; with any other version
installed, and on a server, Optuna makes the tables itself. ``tests/store/test_schema.py`` holds both the declarations
and the SQL against the tables that the installed Optuna makes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from importlib import metadata as packages
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import Column, DateTime, Enum, Float, ForeignKey, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import URL

from hpsearch.errors import BadStorage, StageConflict
from hpsearch.files import replacing
from hpsearch.records import Action, ConfirmationPlan, Direction, NewStage, Stage
from hpsearch.space import space_from_dict, space_to_dict
from hpsearch.store.engine import SIDE_FILES, Database, beside, folder_lock, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

FINISHED = ("COMPLETE", "PRUNED", "FAIL")  # Optuna's states of trials that will not be run again
IS_FINISHED, IS_UNFINISHED = f"state IN {FINISHED}", "state IN ('RUNNING', 'WAITING')"
CHUNK = 500  # ids in one IN list: SQLite bounds the number of variables in a statement
ATTRIBUTE_PREFIX = "hpsearch:"  # hpsearch's own attributes begin with this, so that they never meet a user's
SEARCH = f"{ATTRIBUTE_PREFIX}search"  # the study attribute with the name of a stage's search
OWNER = f"{ATTRIBUTE_PREFIX}owner"  # the trial system attribute with the runner that claimed the trial
NOBODY = "null"  # the owner of a released trial, as JSON
RELEASED = f"{ATTRIBUTE_PREFIX}released"  # likewise, how many attempts were in vain; of the last one who, why and when
RANGES = f"{ATTRIBUTE_PREFIX}ranges"  # the study attribute with a stage's ranges
DECLARED = f"{ATTRIBUTE_PREFIX}declared"  # the study attribute with the ranges that its trials' calls have declared
PLAN_KEY = f"{ATTRIBUTE_PREFIX}roster"  # the study attribute with what each trial of a confirmation repeats
EVALUATIONS = f"{ATTRIBUTE_PREFIX}evaluations"  # on the test set, in order: an attribute of a search's first study
BASELINE = f"{ATTRIBUTE_PREFIX}baseline"  # of a stage's study: which of its trials is the baseline
STOP = f"{ATTRIBUTE_PREFIX}stop"  # of a search's first study: how often its runs were asked to stop, and when last
RETRIED = f"{ATTRIBUTE_PREFIX}retried"  # of a study: how often failed trials of it were given back
KIND = f"{ATTRIBUTE_PREFIX}kind"
CONFIRM = "confirm"  # the kind of study that is a confirmation. Stages of a search have no kind
# The study attributes that a stage's trials follow from.
DECISIVE = tuple(f"{ATTRIBUTE_PREFIX}{field}" for field in ("ranges", "seed", "study_file", "data_fingerprint"))
_FIELDS = {  # attributes without their prefix, and the fields of `hpsearch.records.NewStage` that they hold
    "search": "search",
    "number": "number",
    "seed": "seed",
    "ranges": "space",
    "study_file": "study_file",
    "parent": "parent",
    "rule": "rule",
    "trials_used": "trials_used",
    "data_fingerprint": "fingerprint",
    "data_sizes": "sizes",
    "preprocessing": "preprocessing",
    "versions": "versions",
}
_IMPORTED = f"{ATTRIBUTE_PREFIX}imported"
REVISION = "v3.2.0.a"  # the alembic revision whose tables these are
OPTUNAS = "3.2 to 5"  # the versions of Optuna that make this revision
KEPT_VERSION = "5.0.0"  # the version of Optuna whose empty database is kept
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


@contextlib.contextmanager
def replacing_database(file: Path, *, mode: int) -> Iterator[Path]:
    """Yield a path for a SQLite file that is to replace another; see `hpsearch.files.replacing`."""
    with replacing(file, mode=mode) as path:
        try:
            yield path
        finally:
            for end in SIDE_FILES:
                beside(path, end).unlink(missing_ok=True)


@contextlib.contextmanager
def created_file(file: Path) -> Iterator[Path]:
    """Make a database beside ``file``, yield it, and move it there whole; yield another process's that was faster.

    Optuna's own creation in place is no single transaction: two processes at it crash each other, and a full
    disk leaves half a schema.
    """
    file = file.resolve()  # a link stays a link
    mask = os.umask(0o077)
    os.umask(mask)
    with folder_lock(file), contextlib.ExitStack() as stack:
        if not file.exists() or not file.stat().st_size:
            file = stack.enter_context(replacing_database(file, mode=0o666 & ~mask))
            create_sqlite(str(file))
        yield file


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
        raise BadStorage(
            f"the database {where} holds no studies; `{{}}` makes some", Action("start", {"storage": where})
        )
    if revision != REVISION:
        raise BadStorage(
            f"the database {where} has the schema {revision}; hpsearch knows {REVISION}, that of Optuna {OPTUNAS}"
        )


def _read_revision(database: Database) -> str | None:
    where = show(database.url)
    with database.read() as connection:
        names = set(sqlalchemy.inspect(connection).get_table_names())
        if {"alembic_version", "studies", "trials"} <= names:
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
    """Return whether somebody is making the tables with Optuna, or was cut off at it; its next try completes them."""
    optunas = set(metadata.tables) - {"alembic_version"}  # it makes these in one transaction, and that one after them
    if not optunas <= names or "alembic_version" in names:
        return False
    return connection.execute(sqlalchemy.select(studies.c.study_id).limit(1)).first() is None


def stage_attributes(new: NewStage) -> dict[str, Any]:
    """Return the user attributes of a stage's study, by key."""
    attributes = {f"{ATTRIBUTE_PREFIX}{key}": getattr(new, field) for key, field in _FIELDS.items()}
    for key in ("study_file", "rule", "data_sizes", "preprocessing", "versions"):
        attributes[f"{ATTRIBUTE_PREFIX}{key}"] = dict(attributes[f"{ATTRIBUTE_PREFIX}{key}"])
    attributes[f"{ATTRIBUTE_PREFIX}trials_used"] = list(new.trials_used)
    attributes[RANGES] = space_to_dict(new.ranges)
    if new.declared:
        attributes[DECLARED] = space_to_dict(new.declared)
    if new.imported:
        attributes[_IMPORTED] = dict(new.imported)
    if new.plan is not None:
        # Without a number it is no stage to an hpsearch from before there were confirmations.
        del attributes[f"{ATTRIBUTE_PREFIX}number"]
        attributes |= {KIND: CONFIRM, PLAN_KEY: new.plan.to_dict()}
    return attributes


def is_same(stage: NewStage, attributes: Mapping[str, Any]) -> bool:
    """Return whether the trials of the study that has these attributes are those of a stage, value for value."""
    own = stage_attributes(stage)
    return all((attributes.get(key) or type(own[key])()) == own[key] for key in DECISIVE)


def stage_from_attributes(study_id: int, direction: Direction, attributes: Mapping[str, Any]) -> Stage | None:
    """Return the stage that a study's user attributes describe; None for a study that is not hpsearch's."""
    plain = {field: attributes.get(f"{ATTRIBUTE_PREFIX}{key}") for key, field in _FIELDS.items()}
    if (plan := attributes.get(PLAN_KEY)) is not None and attributes.get(KIND) == CONFIRM:
        plain |= {"number": plain["parent"], "plan": ConfirmationPlan.from_dict(plan)}
    if plain["search"] is None or plain["number"] is None or plain["space"] is None:
        return None
    # What databases of earlier versions lack has its default.
    given: dict[str, Any] = {"seed": 0, "study_file": {}}
    given |= {field: value for field, value in plain.items() if value is not None}
    declared = space_from_dict(attributes.get(DECLARED) or {})
    given |= {"space": {**declared, **space_from_dict(plain["space"])}, "declared": declared}
    given |= {"trials_used": tuple(plain["trials_used"] or ())}
    return Stage(study_id=study_id, direction=direction, imported=attributes.get(_IMPORTED) or {}, **given)


def replaced(stage: Stage) -> StageConflict:
    """Return the error for a stage that is no longer what it was when the caller read it."""
    return StageConflict(f"{stage.name} was narrowed or begun anew meanwhile; start again to run it as it is now")


# Statements that run for every batch, as SQL for each dialect. SQLAlchemy Core takes 4 us to bind a row and 50 us to
# run a statement: more than SQLite takes for the work, in a process that competes with the workers for the cores.
# psycopg sends an ``executemany`` as one statement a row. So SQLite's driver is given rows by position; PostgreSQL is
# given one array a column (``unnest``) and ids as ``= ANY``: one statement whatever their number, with the same text
# every time, which the server then prepares.


def _server_type(kind: Any) -> str:
    if isinstance(kind, Enum):
        return str(kind.name)
    # A cast to a text of bounded length would cut what is too long without an error.
    return {Integer: "INTEGER", Float: "FLOAT8", DateTime: "TIMESTAMP"}.get(type(kind), "TEXT")


# PostgreSQL's types of all columns.
_TYPES = {column.name: _server_type(column.type) for table in metadata.sorted_tables for column in table.columns}


def chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the items in runs short enough for one statement."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


class Query:
    """A SELECT with ``{name}`` for each value; ``trial_id {ids}`` compares with ids of any number.

    What it selects needs no conversion by SQLAlchemy: numbers and text.
    """

    def __init__(self, template: str) -> None:
        self._fields = [field for _, field, _, _ in Formatter().parse(template) if field]
        self._names = list(dict.fromkeys(self._fields))
        self._sqlite = template.format(**dict.fromkeys(self._names, "?") | {"ids": "IN ({})"})
        self._postgresql = template.format(
            **{name: f"%({name})s" for name in self._names} | {"ids": "= ANY(%(ids)s::INTEGER[])"}
        )

    def cursor(self, connection: Connection, *values: Any) -> Any:
        """Run it; return the cursor. One value for each name in order of appearance, none of them ``ids``."""
        given = dict(zip(self._names, values, strict=True))
        if connection.dialect.name == "sqlite":
            return driver(connection).execute(self._sqlite, [given[field] for field in self._fields])
        return connection.exec_driver_sql(self._postgresql, given)

    def rows(self, connection: Connection, *values: Any) -> list[tuple[Any, ...]]:
        """Run it; return the rows. One value for each name in order of appearance."""
        if "ids" not in self._names or connection.dialect.name != "sqlite":
            return list(map(tuple, self.cursor(connection, *values)))
        given = dict(zip(self._names, values, strict=True))
        rows: list[tuple[Any, ...]] = []
        for ids in chunks(given["ids"]):
            text = self._sqlite.format(", ".join("?" * len(ids)))
            bound = [value for field in self._fields for value in (ids if field == "ids" else (given[field],))]
            rows += driver(connection).execute(text, bound)
        return rows


class Write:
    """A statement that is run for each of some rows, of which no two change the same row of the database."""

    def __init__(self, sqlite: str, postgresql: str, columns: Sequence[str]) -> None:
        self._sqlite, self._postgresql, self._columns = sqlite, postgresql, columns
        self._times = [i for i, column in enumerate(columns) if _TYPES[column] == "TIMESTAMP"]
        self._floats = [i for i, column in enumerate(columns) if _TYPES[column] == "FLOAT8"]

    @classmethod
    def insert(cls, table: str, *columns: str) -> Write:
        """Return the statement that adds rows of these columns."""
        start = f"INSERT INTO {table} ({', '.join(columns)})"
        marks = ", ".join("?" * len(columns))
        return cls(f"{start} VALUES ({marks})", f"{start} SELECT * FROM {_given(columns)}", columns)

    @classmethod
    def change(cls, template: str) -> Write:
        """Return an UPDATE or DELETE whose values are ``{column}``s, with ``{rows}`` before its WHERE."""
        columns = [field for _, field, _, _ in Formatter().parse(template) if field and field != "rows"]
        keyword = "FROM" if template.startswith("UPDATE") else "USING"
        return cls(
            template.format(**dict.fromkeys(columns, "?"), rows=""),
            template.format(**{name: f"given.{name}" for name in columns}, rows=f"{keyword} {_given(columns)}"),
            columns,
        )

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it; for no rows, do nothing."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            for i in self._times:
                texts = {time: time and time.isoformat(" ", "microseconds") for time in {row[i] for row in rows}}
                rows = [(*row[:i], texts[row[i]], *row[i + 1 :]) for row in rows]
            driver(connection).executemany(self._sqlite, rows)
            return
        arrays: list[list[Any]] = list(map(list, zip(*rows, strict=True)))
        for i in self._floats:  # an array has one type: whole numbers among floats would not fit
            arrays[i] = [None if value is None else float(value) for value in arrays[i]]
        connection.exec_driver_sql(self._postgresql, dict(zip(self._columns, arrays, strict=True)))


def _given(columns: Sequence[str]) -> str:
    arrays = ", ".join(f"%({column})s::{_TYPES[column]}[]" for column in columns)
    return f"unnest({arrays}) AS given ({', '.join(columns)})"


def driver(connection: Connection) -> Any:
    """Return the driver's own connection; its errors are translated like SQLAlchemy's (`hpsearch.store.engine`)."""
    return connection.connection.driver_connection
