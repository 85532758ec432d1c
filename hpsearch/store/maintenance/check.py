"""Check of a study database: everything that can be known to be wrong with it, from the file to the scores."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import event, text
from sqlalchemy.engine import URL

from hpsearch.errors import BadStorage, StorageFailure
from hpsearch.store import schema as t
from hpsearch.store.engine import (
    BUSY_TIMEOUT_S,
    LOG,
    MAGIC,
    Database,
    as_permitted,
    check_there,
    left_in,
    parse_url,
    show,
    sqlite_file,
    translated,
)
from hpsearch.store.maintenance import results, rules
from hpsearch.store.maintenance.rules import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from hpsearch.samplers import Sampler

_MOST = 100
"""Messages that SQLite is asked for: one damaged page may give thousands."""
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)
"""Primary codes of errors that are no damage."""
RECOVER = "a salvage recovers what SQLite can read of it, into a new file"
INDEXES = {
    "ix_studies_study_name": "CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name)",
    "ix_trials_study_id": "CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id)",
}
"""The indexes that Optuna makes by name, and how."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings of a check: how many studies and trials there are, None where they could not be read; the studies'
    names by key; and notes on what was not looked at.
    """

    where: str
    findings: Sequence[Finding]
    studies: int | None = None
    trials: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def sound(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings

    @property
    def broken(self) -> bool:
        """True if SQLite itself cannot read all of the file, so that only a recovery helps."""
        return any(finding.kind == "file" for finding in self.findings)

    @property
    def mendable(self) -> list[Finding]:
        """Those that a repair does something about."""
        return [finding for finding in self.findings if finding.mend is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {
            "database": self.where,
            "sound": self.sound,
            "studies": self.studies,
            "trials": self.trials,
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
        }


def check(storage: str, sampler: Sampler | None = None) -> Checked:
    """Check a study database from end to end; nothing is changed.

    Raises:
        BadStorage: There is no such database, or it is not one of Optuna's.
    """
    url = parse_url(storage)
    where, file = show(url), sqlite_file(url)
    findings: list[Finding] = []
    if file is not None:
        if check_there(file) != MAGIC:
            raise BadStorage(f"{file} is not a SQLite database; give another storage")
        findings = _file_findings(file)
        if not any(finding.kind == "file" for finding in findings):
            findings += _schema_findings(file)
        kinds = {finding.kind for finding in findings}
        if kinds & {"file", "table", "revision"}:
            return Checked(where, findings)
        if "index" in kinds:  # what is looked up by them would be wrong
            return Checked(where, findings, notes=["the trials were not looked at: first the indexes must be right"])
    with tolerant_database(url) as database:
        t.check_revision(database, create=False)
        database.opened()
        try:
            with database.read() as connection:
                return contents(connection, where, findings, sampler)
        except StorageFailure as error:
            if file is None:
                raise
            return Checked(where, [*findings, _unreadable(error.__cause__ or error)])


def contents(
    connection: Connection, where: str, findings: Sequence[Finding] = (), sampler: Sampler | None = None
) -> Checked:
    """Check what a database holds, where the file and its schema are in order; ``findings`` are those of the file."""
    names = dict(map(tuple, connection.execute(text("SELECT study_id, study_name FROM studies"))))
    trials = connection.execute(text("SELECT count(*) FROM trials")).scalar_one()
    stages, unreadable = rules.read_stages(connection, names)
    findings = [*findings, *rules.row_findings(connection, names), *unreadable]
    # Of a trial that is damaged otherwise its results say nothing new.
    # (That its number is another one's, or that none has, is said of the number.)
    known = {
        (place.study, place.number)
        for finding in findings
        if finding.kind not in ("doubled", "gap")
        for place in finding.places
    }
    for stage in stages:
        for finding in results.result_findings(connection, stage, sampler):
            fresh = [place for place in finding.places if (place.study, place.number) not in known]
            if fresh:
                findings.append(Finding(finding.kind, finding.what, fresh, finding.mend, finding.study))
    return Checked(where, findings, studies=len(names), trials=trials, names=names)


@contextlib.contextmanager
def plain_connection(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a file with SQLite's driver alone, to read it; what a writer had begun that was cut off is rolled back.

    Raises:
        BadStorage: It cannot be opened, or somebody holds it for longer than `BUSY_TIMEOUT_S`.
    """
    # Where no side files can be made and no log is left, as a file that does not change.
    fixed = not os.access(file.parent, os.W_OK) and left_in(file, LOG) is None
    options = "mode=ro&immutable=1" if fixed else "mode=rw" if os.access(file, os.W_OK) else "mode=ro"
    uri = f"file:{quote(str(file))}?{options}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        yield connection


def _file_findings(file: Path) -> list[Finding]:
    """Return what SQLite finds wrong with a file: its pages, its indexes, its constraints."""
    try:
        with plain_connection(file) as connection:
            lines = _complaints(connection, "integrity_check")
            if not lines:
                return []
            # The quick check leaves out whether the indexes agree with their tables.
            if worse := _complaints(connection, "quick_check"):
                what = f"SQLite cannot read all of it ({worse[0]})"
                return [Finding("file", what, advice=RECOVER, total=len(worse))]
    except (sqlite3.Error, OverflowError) as error:
        refuse_passing(file, error)
        return [_unreadable(error)]
    what = f"indexes that do not agree with their tables ({lines[0]})"
    return [Finding("index", what, mend="the indexes are built anew", total=len(lines))]


def _complaints(connection: sqlite3.Connection, pragma: str) -> list[str]:
    rows = [row[0] for row in connection.execute(f"PRAGMA {pragma}({_MOST})")]
    return [line for row in rows for line in row.splitlines() if line not in ("ok", "") and "*** in" not in line]


def _unreadable(error: BaseException) -> Finding:
    reason = " ".join(str(getattr(error, "orig", None) or error).split())
    return Finding("file", f"SQLite cannot read all of it ({reason})", advice=RECOVER, total=1)


def refuse_passing(file: Path, error: BaseException) -> None:
    """Raise BadStorage where an error is no damage: somebody holds the file, or it cannot be opened here."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
        with translated(URL.create("sqlite", database=str(file)), door=True):
            raise error


def _schema_findings(file: Path) -> list[Finding]:
    """Return tables, columns and indexes of Optuna's that are missing, and a missing revision."""
    findings = []
    with plain_connection(file) as connection:
        rows = list(connection.execute("SELECT type, name FROM sqlite_master"))
        tables = {name for kind, name in rows if kind == "table"}
        if tables and not tables & {"studies", "trials", "trial_params", "trial_values"}:
            first = ", ".join(sorted(tables)[:3])
            raise BadStorage(f"{file} holds other tables ({first}), not Optuna's; give another storage")
        for name, table in t.metadata.tables.items():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            missing = [column.name for column in table.columns if column.name not in columns]
            if missing:
                what = f"the table {name} lacks {', '.join(missing)}" if columns else f"there is no table {name}"
                findings.append(Finding("table", what, advice="take the database from a backup", total=len(missing)))
        lost = INDEXES.keys() - {name for kind, name in rows if kind == "index"}
        if lost:
            what = f"no index {', '.join(sorted(lost))}"
            findings.append(Finding("no-index", what, mend="it is built anew", total=len(lost)))
        if not findings and connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (0,):
            what = "the table alembic_version is empty: Optuna cannot know the schema"
            mend = f"the revision is {t.REVISION}, as the tables are"
            findings.append(Finding("revision", what, mend=mend, total=1))
    return findings


@contextlib.contextmanager
def tolerant_database(url: URL, *, write: bool = False) -> Iterator[Database]:
    """Open an engine that reads bytes which are no text, too: damage is to be found, not to stop the search for it."""
    file = sqlite_file(url)
    database = Database(url if file is None else as_permitted(file, url, write=write))
    if database.dialect == "sqlite":
        event.listen(database.engine, "connect", _tolerant)
    try:
        yield database
    finally:
        database.close()


def _tolerant(connection: DBAPIConnection, _: object) -> None:
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
