"""`hpsearch db check`: everything that can be known to be wrong with a study database, from the file to the scores."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy import event, text

from hpsearch.errors import BadStorage, StorageFailure
from hpsearch.store import tables as t
from hpsearch.store.care import attributes, file_checks, reading, results, rows, stage_rules
from hpsearch.store.care.findings import Checked, Finding
from hpsearch.store.database import Database
from hpsearch.store.opening import as_permitted, check_there, open_store
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy.engine import URL, Connection


def check(storage: str, *, everyone: bool = False) -> Checked:
    """Look at a study database from end to end; nothing is changed, but that SQLite undoes what was cut off.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        everyone: Whether all trials of a stage are held to what hpsearch writes, and not only those that it says it
            ran: where rows are lost, that one may be.

    Raises:
        BadStorage: There is no such database, or it is not one of Optuna's.
    """
    url = parse_url(storage)
    file = sqlite_file(url)
    found: list[Finding] = []
    if file is None:
        open_store(storage).close()  # a server that is not there, or a database without studies, is not damaged
    else:
        check_there(file)
        found = file_checks.file_findings(file)
        if any(finding.kind == "header" for finding in found):
            if not reading.anything(file):
                raise BadStorage(f"{file} is not a SQLite database; give another --storage")
            return Checked(show(url), found)
        try:
            with file_checks.looking(file) as connection:
                found += _schema(connection, url)
                if (revision := file_checks.revision(connection)) != t.REVISION:
                    return _of_another_revision(url, found, revision)
        except sqlite3.Error as error:
            file_checks.refuse_passing(file, error)
            return Checked(show(url), found or [_unreadable(error)])
        if any(finding.kind in ("table", "column") for finding in found):
            return Checked(show(url), found)
        if any(finding.kind == "index" for finding in found):
            # What is looked up by them would be wrong.
            return Checked(show(url), found, notes=["the trials were not looked at: first the indexes must be right"])
    with care_database(url) as database:
        try:
            with database.read() as transaction:
                return contents(transaction, show(url), found, everyone=everyone)
        except (StorageFailure, BadStorage) as error:
            # A page that SQLite cannot read. What it said of the whole file is there already, mostly.
            if found:
                return Checked(show(url), found)
            if file is None:
                raise
            return Checked(show(url), [_unreadable(error.__cause__ or error)])


def _unreadable(error: BaseException) -> Finding:
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    return Finding("file", f"SQLite cannot read all of it ({said})", advice=file_checks.SALVAGE, many=1)


def _schema(connection: sqlite3.Connection, url: URL) -> list[Finding]:
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and not names & {"studies", "trials", "trial_params", "trial_values"}:
        raise BadStorage(f"{show(url)} holds other tables ({', '.join(sorted(names)[:3])}), not Optuna's")
    return file_checks.schema_findings(connection)


def _of_another_revision(url: URL, found: list[Finding], revision: str | None) -> Checked:
    if revision is None:
        what = "the table alembic_version is empty: Optuna cannot know the schema"
        mend = f"the revision is {t.REVISION}, as the tables are"
        return Checked(show(url), [*found, Finding("revision", what, mend=mend, many=1)])
    note = f"its schema is {revision}, not {t.REVISION}: only the file was looked at"
    return Checked(show(url), [one for one in found if one.kind in ("file", "index")], notes=[note])


def contents(connection: Connection, where: str, found: Sequence[Finding] = (), *, everyone: bool = False) -> Checked:
    """Look at what a database holds, where the file and its schema are in order.

    Args:
        connection: A transaction.
        where: The database, for people.
        found: What was found in the file.
        everyone: See `check`.
    """
    names = dict(map(tuple, connection.execute(text("SELECT study_id, study_name FROM studies"))))
    trials = connection.execute(text("SELECT count(*) FROM trials")).scalar_one()
    found = [*found, *rows.row_findings(connection, names), *attributes.attribute_findings(connection, names)]
    found += attributes.distribution_findings(connection, names)
    found += stage_rules.number_findings(connection, names) + stage_rules.stuck_findings(connection, names)
    stages, unreadable = stage_rules.read_stages(connection, names)
    found += unreadable + stage_rules.lineage_findings(connection, stages, names)
    # Of a trial that is damaged otherwise its results say nothing new.
    # (That its number is another one's, or that none has, is said of the number.)
    known = {
        (place.study, place.number)
        for finding in found
        if finding.kind not in ("doubled", "gap", "lineage")
        for place in finding.places
    }
    for stage in stages:
        for finding in results.result_findings(connection, stage, everyone=everyone):
            fresh = [place for place in finding.places if (place.study, place.number) not in known]
            if fresh:
                found.append(Finding(finding.kind, finding.what, fresh, finding.mend, finding.study))
    return Checked(where, found, studies=len(names), trials=trials, names=names)


@contextlib.contextmanager
def care_database(url: URL, *, write: bool = False) -> Iterator[Database]:
    """An engine that reads bytes which are no text, too: damage is to be found, not to stop the search for it."""
    file: Path | None = sqlite_file(url)
    database = Database(url if file is None else as_permitted(file, url, write=write))
    if database.dialect == "sqlite":
        event.listen(database.engine, "connect", _tolerant)
    database.opened()
    try:
        yield database
    finally:
        database.close()


def _tolerant(connection: sqlalchemy.engine.interfaces.DBAPIConnection, _: object) -> None:
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
